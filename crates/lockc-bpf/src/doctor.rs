//! `lockc doctor`: every precondition, and a remedy for each that is not met.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path};

use anyhow::{Result, bail};
use lockc_core::{
    abi::MODE_AUDIT,
    hooks::{PROGRAMS, Without},
    maps::Registry,
    paths,
};
use lockc_policy::policy::PolicySet;
use nix::{
    sys::statfs::{BPF_FS_MAGIC, CGROUP2_SUPER_MAGIC, FsType, statfs},
    unistd::geteuid,
};
use serde::Serialize;

use crate::{btf, labels, loader::attached_version};

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Met.
    Ok,
    /// Not met, and lockc works without it.
    Warning,
    /// Not met: no container starts under lockc.
    Failed,
}

/// One precondition.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// What is checked.
    pub name: &'static str,
    /// How it ended.
    pub state: State,
    /// What was found.
    pub found: String,
    /// What to do; empty where there is nothing to do.
    pub remedy: String,
}

pub(crate) fn check(
    name: &'static str,
    state: State,
    found: impl Into<String>,
    remedy: impl Into<String>,
) -> Check {
    let remedy = if state == State::Ok { String::new() } else { remedy.into() };
    Check { name, state, found: found.into(), remedy }
}

fn verdict(good: bool) -> State {
    if good { State::Ok } else { State::Failed }
}

/// Runs every check.
pub fn all() -> Vec<Check> {
    let mut checks = for_load();
    checks.extend([cgroup(), config(), runtime(), loaded(), guard(), objects()]);
    checks.extend(labels::check());
    checks.extend(engines());
    checks
}

/// What `lockc load` needs.
fn for_load() -> Vec<Check> {
    let mut checks = vec![root(), kernel(), lsm(), kernel_btf(), bpffs()];
    checks.extend(hooks());
    checks
}

/// Refuses with every remedy where `lockc load` would fail.
pub fn require_for_load() -> Result<()> {
    let failed: Vec<String> = for_load()
        .into_iter()
        .filter(|check| check.state == State::Failed)
        .map(|check| format!("{}: {}; {}", check.name, check.found, check.remedy))
        .collect();
    if failed.is_empty() {
        return Ok(());
    }
    bail!("nothing was loaded, and no container starts under lockc:\n  {}", failed.join("\n  "))
}

fn root() -> Check {
    check("root", verdict(geteuid().is_root()), format!("uid {}", geteuid()), "run it as root")
}

fn kernel() -> Check {
    let release = read("/proc/sys/kernel/osrelease");
    let mut numbers =
        release.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse().unwrap_or(0u32));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    let state = match version {
        v if v < (5, 11) => State::Failed,
        v if v < (6, 1) => State::Warning,
        _ => State::Ok,
    };
    check(
        "kernel",
        state,
        release,
        "install a kernel of 6.1 or later: 5.11 is the oldest that can work, 6.1 the oldest tested",
    )
}

fn lsm() -> Check {
    let path = "/sys/kernel/security/lsm";
    let remedy = "add `bpf` to the kernel's parameter lsm= (with GRUB: GRUB_CMDLINE_LINUX in \
                  /etc/default/grub, then update-grub; with systemd-boot: the options line of the \
                  entry), keep the others, and reboot";
    match fs::read_to_string(path) {
        Ok(active) => {
            let good = active.trim().split(',').any(|name| name == "bpf");
            check("BPF LSM active", verdict(good), active.trim(), remedy)
        }
        Err(error) => check(
            "BPF LSM active",
            State::Failed,
            format!("{path}: {error}"),
            format!(
                "mount -t securityfs securityfs /sys/kernel/security; then, if `bpf` is not in \
                 {path}, {remedy}"
            ),
        ),
    }
}

fn kernel_btf() -> Check {
    match btf::kernel() {
        Ok(kernel) => match kernel.untold_layers {
            None if attached_version().is_some_and(|meta| meta.layers_told == 0) => check(
                "BTF",
                State::Warning,
                "overlays of the host's directories are refused: the programs were loaded before \
                 overlayfs was"
                    .to_owned(),
                "lockc load",
            ),
            None => {
                check("BTF", State::Ok, format!("{} kernel fields found", kernel.globals.len()), "")
            }
            Some(why) => check(
                "BTF",
                State::Warning,
                format!(
                    "overlays of the host's directories are refused, what they are made of is not \
                     known: {why}"
                ),
                "modprobe overlay; lockc load",
            ),
        },
        Err(error) => check(
            "BTF",
            State::Failed,
            error.to_string(),
            "boot a distribution kernel (CONFIG_DEBUG_INFO_BTF=y); if it is one, report its \
             release",
        ),
    }
}

/// Hooks that this kernel lacks, and what is not enforced without them.
fn hooks() -> Vec<Check> {
    let Ok(kernel) = btf::kernel() else {
        // NamespaceLabel by the check before.
        return Vec::new();
    };
    let required = PolicySet::of_host().map(|config| config.settings.require).unwrap_or_default();
    let lacking = kernel.lacks.iter().map(|program| {
        let remedy = format!("boot a kernel of {} or later", program.since);
        let required = required.iter().any(|name| name == program.name);
        let found = |what| format!("this kernel has no {}: {what}", program.name);
        match program.without {
            Without::Loses(what) if !required => {
                check("LSM hook", State::Warning, found(format!("not enforced: {what}")), remedy)
            }
            Without::Covered(why) if !required => {
                check("LSM hook", State::Ok, found(why.to_owned()), "")
            }
            _ => check(
                "LSM hook",
                State::Failed,
                found(format!("nothing guards {}", program.guards)),
                remedy,
            ),
        }
    });
    let all = format!("{} of {}", PROGRAMS.len() - kernel.lacks.len(), PROGRAMS.len());
    std::iter::once(check("LSM hooks", State::Ok, all, "")).chain(lacking).collect()
}

fn is_fs(path: &str, magic: FsType) -> bool {
    statfs(path).is_ok_and(|found| found.filesystem_type() == magic)
}

fn bpffs() -> Check {
    let good = is_fs("/sys/fs/bpf", BPF_FS_MAGIC);
    let found = if good { "mounted at /sys/fs/bpf" } else { "/sys/fs/bpf is not a bpffs" };
    check("bpffs", verdict(good), found, "mount -t bpf bpf /sys/fs/bpf (systemd does it at boot)")
}

fn cgroup() -> Check {
    let good = is_fs("/sys/fs/cgroup", CGROUP2_SUPER_MAGIC);
    let state = if good { State::Ok } else { State::Warning };
    let found =
        if good { "version 2 at /sys/fs/cgroup" } else { "no unified hierarchy at /sys/fs/cgroup" };
    check(
        "cgroup",
        state,
        found,
        "lockc is tested with cgroup version 2; boot with systemd.unified_cgroup_hierarchy=1",
    )
}

fn config() -> Check {
    match PolicySet::of_host() {
        Ok(_) if Path::new(paths::CONFIG).exists() => {
            check("configuration", State::Ok, paths::CONFIG, "")
        }
        Ok(_) => check("configuration", State::Ok, "defaults (no lockc.toml)", ""),
        Err(error) => check(
            "configuration",
            State::Failed,
            format!("{error:#}"),
            "correct the file: until then no container starts under lockc",
        ),
    }
}

fn runtime() -> Check {
    let configured =
        PolicySet::of_host().map(|config| config.settings.runtimes).unwrap_or_default();
    match lockc_policy::runtimes::candidates(&configured).into_iter().find(|path| path.is_file()) {
        Some(path) => check("real runtime", State::Ok, path.display().to_string(), ""),
        None => check(
            "real runtime",
            State::Failed,
            "neither runc, crun nor youki in the usual places",
            "install runc or crun, or name it in lockc.toml: runtimes = [\"/path/to/runc\"]",
        ),
    }
}

fn loaded() -> Check {
    match Registry::open() {
        Ok(_) => {
            let attached = attached_version()
                .map_or(0, |meta| meta.attached.iter().map(|bits| bits.count_ones()).sum());
            check("programs", State::Ok, format!("{attached} attached"), "")
        }
        Err(error) => check("programs", State::Failed, error.to_string(), "lockc load"),
    }
}

fn guard() -> Check {
    let found = match Registry::open().and_then(|registry| registry.guarded()) {
        Ok(Some((_, entry))) => {
            format!(
                "runtimes without the wrapper: level {}",
                if entry.mode == MODE_AUDIT { "reported" } else { "enforced" }
            )
        }
        Ok(None) => {
            "off: containers that a runtime starts without the wrapper are not confined".into()
        }
        Err(_) => "not loaded".into(),
    };
    check("runtime guard", State::Ok, found, "")
}

/// lockc's own files: whoever can change them decides what is enforced.
fn objects() -> Check {
    let own = std::env::current_exe().unwrap_or_default();
    let paths = [Path::new(paths::PINS), Path::new(paths::CONFIG), &own];
    let open = |path: &&&Path| {
        path.ancestors().any(|path| {
            // Sticky directories keep others from replacing what is root's.
            fs::metadata(path).is_ok_and(|meta| {
                meta.uid() != 0
                    || (meta.mode() & 0o022 != 0 && !(meta.is_dir() && meta.mode() & 0o1000 != 0))
            })
        })
    };
    match paths.iter().find(open) {
        None => check(
            "lockc's files",
            State::Ok,
            "pins, configuration and programs are root's alone; pins and maps need CAP_BPF as \
             well while lockc is loaded",
            "",
        ),
        Some(path) => check(
            "lockc's files",
            State::Failed,
            format!("{} can be changed by others than root", path.display()),
            "chown root and chmod go-w it and the directories above it",
        ),
    }
}

/// Engines that are there, and whether lockc is one of their runtimes.
fn engines() -> Vec<Check> {
    [
        ("docker", "/usr/bin/dockerd", &["/etc/docker/daemon.json"][..]),
        (
            "containerd",
            "/usr/bin/containerd",
            &["/etc/containerd/config.toml", "/etc/containerd/conf.d"],
        ),
        (
            "podman",
            "/usr/bin/podman",
            &["/etc/containers/containers.conf", "/etc/containers/containers.conf.d"],
        ),
        ("crio", "/usr/bin/crio", &["/etc/crio/crio.conf", "/etc/crio/crio.conf.d"]),
    ]
    .into_iter()
    .filter(|(_, binary, _)| Path::new(binary).exists())
    .map(|(name, _, places)| match places.iter().find(|path| mentions_wrapper(Path::new(path))) {
        Some(path) => check(name, State::Ok, format!("{path} names lockc-runc-wrapper"), ""),
        None => {
            let found = format!("{} does not name lockc-runc-wrapper", places[0]);
            check(name, State::Warning, found, format!("lockc install {name} --restart"))
        }
    })
    .collect()
}

fn mentions_wrapper(path: &Path) -> bool {
    if path.is_dir() {
        return fs::read_dir(path).is_ok_and(|entries| {
            entries.filter_map(Result::ok).any(|entry| mentions_wrapper(&entry.path()))
        });
    }
    fs::read_to_string(path).is_ok_and(|text| text.contains("lockc-runc-wrapper"))
}

fn read(path: &str) -> String {
    fs::read_to_string(path)
        .map_or_else(|error| format!("{path}: {error}"), |text| text.trim().to_owned())
}

/// For people.
pub fn print(checks: &[Check]) {
    for check in checks {
        let mark = match check.state {
            State::Ok => "ok     ",
            State::Warning => "warning",
            State::Failed => "FAILED ",
        };
        println!("{mark}  {:<15} {}", check.name, check.found);
        if !check.remedy.is_empty() {
            println!("         {:<15} -> {}", "", check.remedy);
        }
    }
}
