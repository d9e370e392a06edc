//! What `lockc load` needs.

use std::fs;

use anyhow::{Result, bail};
use lockc_core::hooks::{PROGRAMS, Without};
use lockc_policy::policy::PolicySet;
use nix::{
    sys::statfs::{BPF_FS_MAGIC, FsType, statfs},
    unistd::geteuid,
};

use crate::{
    btf::{self, KernelInfo},
    check::{Check, State, check, verdict},
    pinned::attached_version,
};

/// Checks them.
pub fn all() -> Vec<Check> {
    let mut checks = vec![root(), kernel(), lsm(), kernel_btf(), bpffs()];
    checks.extend(hooks());
    checks
}

/// Refuses with every remedy where `lockc load` would fail.
pub fn require() -> Result<()> {
    let failed: Vec<String> = all()
        .into_iter()
        .filter(|check| check.state == State::Failed)
        .map(|check| check.to_string())
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
    match fs::read_to_string(path) {
        Ok(active) => active_lsm(active.trim()),
        Err(error) => check(
            "BPF LSM active",
            State::Failed,
            format!("{path}: {error}"),
            format!(
                "mount -t securityfs securityfs /sys/kernel/security; then, if `bpf` is not in \
                 {path}, {}",
                with_bpf("LIST")
            ),
        ),
    }
}

fn active_lsm(active: &str) -> Check {
    let good = active.split(',').any(|name| name == "bpf");
    check("BPF LSM active", verdict(good), active, with_bpf(active))
}

/// How to add `bpf` to the LSMs that are active; `docs/distributions.md` says the same.
fn with_bpf(active: &str) -> String {
    format!(
        "boot with the kernel parameter lsm={active},bpf, in place of another lsm= (GRUB: \
         GRUB_CMDLINE_LINUX in /etc/default/grub, then update-grub; Fedora, RHEL, Amazon Linux: \
         grubby --update-kernel=ALL --args=\"lsm=...\"; systemd-boot: the options line of the \
         entry; others: docs/distributions.md)"
    )
}

fn kernel_btf() -> Check {
    match btf::kernel() {
        Ok(kernel) => match kernel.untold_layers {
            None if attached_version().is_some_and(|meta| meta.layers_told == 0) => check(
                "BTF",
                State::Warning,
                "overlays of host directories are refused: the programs were loaded before \
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
                    "overlays of host directories are refused, because their layers \
                     cannot be read: {why}"
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
        // The check of BTF reports it.
        return Vec::new();
    };
    let required = PolicySet::of_host().map(|config| config.settings.require).unwrap_or_default();
    found_hooks(&kernel, &required)
}

fn found_hooks(kernel: &KernelInfo, required: &[String]) -> Vec<Check> {
    if !kernel.attaches {
        return vec![check(
            "LSM hooks",
            State::Failed,
            "this kernel cannot attach BPF LSM programs, because its ftrace has no direct calls",
            "boot a kernel with CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS=y: on aarch64 one of 6.4 \
             or later, built without kernel CFI",
        )];
    }
    let lacking = kernel.lacks.iter().map(|program| {
        let remedy = format!("boot a kernel of {} or later", program.since);
        let required = required.iter().any(|name| name == program.name);
        let found = |what| format!("this kernel has no hook {}: {what}", program.name);
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

fn bpffs() -> Check {
    let good = is_fs("/sys/fs/bpf", BPF_FS_MAGIC);
    let found = if good { "mounted at /sys/fs/bpf" } else { "/sys/fs/bpf is not a bpffs" };
    check("bpffs", verdict(good), found, "mount -t bpf bpf /sys/fs/bpf (systemd does it at boot)")
}

/// Whether a file system of that kind is mounted there.
pub fn is_fs(path: &str, magic: FsType) -> bool {
    statfs(path).is_ok_and(|found| found.filesystem_type() == magic)
}

fn read(path: &str) -> String {
    fs::read_to_string(path)
        .map_or_else(|error| format!("{path}: {error}"), |text| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A kernel with every hook but the first.
    fn fake(attaches: bool) -> KernelInfo {
        let lacks = PROGRAMS.iter().take(1).collect();
        KernelInfo { globals: Vec::new(), untold_layers: None, lacks, attaches }
    }

    #[test]
    fn a_kernel_that_attaches_nothing_fails_and_the_remedy_names_one_that_does() {
        let checks = found_hooks(&fake(false), &[]);
        let [check] = &checks[..] else { panic!("{checks:?}") };
        assert_eq!((check.name, check.state), ("LSM hooks", State::Failed));
        assert!(check.found.contains("cannot attach"), "{}", check.found);
        assert!(check.to_string().ends_with("(LOCKC-E061)"), "{check}");
        for word in ["CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS=y", "aarch64", "6.4 or later"] {
            assert!(check.remedy.contains(word), "{}", check.remedy);
        }
    }

    #[test]
    fn the_lsms_that_are_active_stay_so() {
        let check = active_lsm("lockdown,capability,yama,apparmor");
        assert_eq!((check.state, check.id), (State::Failed, Some("LOCKC-E056")));
        let list = "lsm=lockdown,capability,yama,apparmor,bpf,";
        assert!(check.remedy.contains(list), "{}", check.remedy);
        for active in ["bpf", "lockdown,bpf", "capability,bpf,ima"] {
            assert_eq!(active_lsm(active).state, State::Ok, "{active}");
        }
        assert_eq!(active_lsm("landlock,notbpf").state, State::Failed);
    }

    #[test]
    fn the_page_of_distributions_has_the_same_ways() {
        let page = include_str!("../../../docs/distributions.md");
        for way in [
            "GRUB_CMDLINE_LINUX",
            "`/etc/default/grub`",
            "`update-grub`",
            "grubby --update-kernel=ALL --args=\"lsm=",
            "the `options` line of the entry",
        ] {
            assert!(page.contains(way), "{way}");
            let plain = way.replace('`', "");
            assert!(with_bpf("x").contains(&plain), "{plain}");
        }
    }

    #[test]
    fn a_kernel_that_attaches_is_checked_for_each_hook() {
        let checks = found_hooks(&fake(true), &[]);
        let [all, lacking] = &checks[..] else { panic!("{checks:?}") };
        assert_eq!((all.name, all.state), ("LSM hooks", State::Ok));
        assert_eq!(all.found, format!("{} of {}", PROGRAMS.len() - 1, PROGRAMS.len()));
        assert!(lacking.found.contains(PROGRAMS[0].name), "{}", lacking.found);
        let required = [PROGRAMS[0].name.to_owned()];
        assert_eq!(found_hooks(&fake(true), &required)[1].state, State::Failed);
    }
}
