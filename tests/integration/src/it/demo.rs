//! The demo: the seven cases that lockc was made for, each with plain runc, under lockc, and under
//! lockc's `privileged` level chosen by the administrator. The same rows are cases of the suite.

use std::path::Path;

use anyhow::{Result, bail};
use jiff::Timestamp;

use crate::command::{self, Run};
use crate::docker::IMAGE;
use crate::lab::{self, Lab};
use crate::select::Tier;

/// The disk file system's folder in sysfs, and the renamed socket, in a row's arguments.
const DISK: &str = "{disk}";
/// Folder with the engine's socket under a harmless name.
pub const SHARED: &str = "/srv/lockc-demo";

/// One of the seven.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Short name, of the case too.
    pub name: &'static str,
    /// What a person reads.
    title: &'static str,
    /// Arguments of `docker run`, with `IMAGE` for the image.
    args: &'static [&'static str],
}

/// The seven.
pub const ROWS: [Row; 7] = [
    Row { name: "sysfs", title: "read the host's disks in sysfs", args: &["IMAGE", "ls", DISK] },
    Row {
        name: "host-root",
        title: "the host's root as a volume",
        args: &["-v", "/:/rootfs", "IMAGE", "ls", "/rootfs/etc/shadow"],
    },
    Row {
        name: "chroot",
        title: "chroot into the host",
        args: &["-v", "/:/rootfs", "IMAGE", "chroot", "/rootfs", "/bin/cat", "/etc/hostname"],
    },
    Row {
        name: "docker-sock",
        title: "Docker's socket: docker ps in a container",
        args: &[
            "-v",
            "/var/run/docker.sock:/var/run/docker.sock",
            "IMAGE",
            "/probe",
            "docker-ps",
            "/var/run/docker.sock",
        ],
    },
    Row {
        name: "renamed-sock",
        title: "the same socket under another name, in a volume",
        args: &["-v", "/srv/lockc-demo:/data", "IMAGE", "/probe", "docker-ps", "/data/notes.txt"],
    },
    Row {
        name: "privileged",
        title: "--privileged: mount in the container",
        args: &["--privileged", "IMAGE", "mount", "-t", "tmpfs", "none", "/tmp"],
    },
    Row {
        name: "dmesg",
        title: "the kernel's log",
        args: &["--cap-add", "SYSLOG", "IMAGE", "dmesg"],
    },
];

/// How a row went under a runtime.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Went {
    Worked(String),
    /// Not started: lockc's sentence in Docker's message.
    Refused(String),
    /// Started, and denied by the kernel: lockc's event.
    Denied(String),
    /// Failed for another reason than lockc.
    Failed(String),
}

impl Went {
    fn word(&self) -> &'static str {
        match self {
            Self::Worked(_) => "works",
            Self::Refused(_) => "refused",
            Self::Denied(_) => "denied",
            Self::Failed(_) => "FAILED",
        }
    }
}

/// Runs a row with `runtime` (empty: plain runc).
pub fn run_row(row: &Row, runtime: &str, disk: &str) -> Result<Went> {
    let confined = !runtime.is_empty();
    let start = Timestamp::now().to_string();
    let mut words = vec!["docker", "run", "--rm", "--network", "none"];
    words.extend(["--runtime", if confined { runtime } else { "runc" }]);
    words.extend(row.args.iter().map(|arg| match *arg {
        "IMAGE" => IMAGE,
        DISK => disk,
        other => other,
    }));
    let run: Run = command::run(&words)?;
    if run.ok() {
        return Ok(Went::Worked(run.stdout.lines().next().unwrap_or_default().to_owned()));
    }
    // Docker puts "…: unknown" and the like around the sentence.
    if let Some(at) = run.stderr.find("lockc: ") {
        return Ok(Went::Refused(
            run.stderr[at..]
                .lines()
                .next()
                .unwrap_or_default()
                .trim_end_matches('.')
                .trim_end_matches(": unknown")
                .to_owned(),
        ));
    }
    if confined && let Some(event) = lab::events(&["--since", &start])?.last() {
        let text = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
        return Ok(Went::Denied(format!(
            "rule {} of level {}: {} {}",
            text("rule"),
            text("level"),
            text("comm"),
            text("detail")
        )));
    }
    Ok(Went::Failed(format!("status {}: {}", run.status, run.said())))
}

/// The folder that the first row lists: of the file system that the host's disk has.
pub fn disk() -> Result<String> {
    for kind in ["ext4", "xfs", "btrfs", "f2fs"] {
        let folder = format!("/sys/fs/{kind}");
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        if let Some(entry) = entries.flatten().find(|entry| entry.file_name() != "features") {
            return Ok(entry.path().display().to_string());
        }
    }
    bail!("no disk file system in /sys/fs")
}

/// The engine's socket as `notes.txt` in a folder that may be a volume; undone when dropped.
pub struct Renamed;

impl Renamed {
    pub fn new() -> Result<Self> {
        command::sh(&format!(
            "mkdir -p {SHARED} && touch {SHARED}/notes.txt && mount --bind /run/docker.sock \
             {SHARED}/notes.txt"
        ))?;
        Ok(Self)
    }
}

impl Drop for Renamed {
    fn drop(&mut self) {
        // Best effort: the folder is the demo's own.
        let _ = command::sh(&format!("umount {SHARED}/notes.txt 2>/dev/null && rm -rf {SHARED}"));
    }
}

/// Prints the table; true if every cell is as promised.
pub fn run(here: bool) -> Result<bool> {
    if here {
        host_is_ready()?;
    } else {
        let mut lab = Lab::new(false, Tier::All)?;
        let version = lab.docker()?.version.clone();
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        println!("\nDocker {version} on kernel {}\n", kernel.trim());
        std::mem::forget(lab);
    }
    let (disk, _renamed) = (disk()?, Renamed::new()?);
    println!(
        "{:<50} {:<12} {:<18} {:<18}",
        "docker run …", "plain runc", "lockc (baseline)", "lockc (privileged)"
    );
    println!("{}", "-".repeat(100));
    let mut good = true;
    for row in &ROWS {
        let plain = run_row(row, "", &disk)?;
        let baseline = run_row(row, "lockc", &disk)?;
        let privileged = run_row(row, "lockc-privileged", &disk)?;
        let shown: Vec<&str> =
            row.args.iter().map(|arg| if *arg == DISK { disk.as_str() } else { arg }).collect();
        println!(
            "{:<50} {:<12} {:<18} {:<18}",
            row.title,
            plain.word(),
            baseline.word(),
            privileged.word()
        );
        println!("   docker run {}", shown.join(" ").replace("IMAGE", IMAGE));
        for (who, went) in
            [("plain runc", &plain), ("baseline", &baseline), ("privileged", &privileged)]
        {
            match went {
                Went::Worked(_) => {}
                Went::Refused(why) | Went::Denied(why) | Went::Failed(why) => {
                    println!("   {who}: {why}")
                }
            }
        }
        println!();
        good &= as_promised(&plain, &baseline, &privileged);
    }
    println!(
        "{}",
        if good { "Everything as promised." } else { "Something is not as promised: see above." }
    );
    Ok(good)
}

/// Works, is stopped with a reason, works.
pub fn as_promised(plain: &Went, baseline: &Went, privileged: &Went) -> bool {
    matches!(plain, Went::Worked(_))
        && matches!(baseline, Went::Refused(_) | Went::Denied(_))
        && matches!(privileged, Went::Worked(_))
}

/// Says what is missing on a user's own host, all at once.
fn host_is_ready() -> Result<()> {
    let mut missing = Vec::new();
    if !command::run(&["id", "-u"])?.stdout.eq("0") {
        missing.push("root: run `sudo -E cargo xtask demo --here`".to_owned());
    }
    let active = std::fs::read_to_string("/sys/kernel/security/lsm").unwrap_or_default();
    if !active.split(',').any(|lsm| lsm.trim() == "bpf") {
        missing.push(format!(
            "bpf among the active LSMs (now: {active}): add `lsm={active},bpf` to the kernel's \
             command line"
        ));
    }
    if !Path::new("/run/docker.sock").exists() {
        missing.push("Docker: no /run/docker.sock".to_owned());
    } else {
        let runtimes = command::run(&["docker", "info", "--format", "{{json .Runtimes}}"])?.stdout;
        for runtime in ["lockc", "lockc-privileged"] {
            if !runtimes.contains(&format!("\"{runtime}\"")) {
                let level = runtime.strip_prefix("lockc-");
                let level = level.map(|level| format!(" --level {level}")).unwrap_or_default();
                missing.push(format!(
                    "Docker's runtime {runtime}: run `lockc install docker{level} --restart`"
                ));
            }
        }
        if !command::run(&["docker", "image", "inspect", IMAGE])?.ok() && image_here().is_err() {
            missing.push("busybox-static, for the demo's image".to_owned());
        }
    }
    if !command::run(&["lockc", "status"]).is_ok_and(|run| run.ok()) {
        missing.push("lockc installed and loaded: `lockc load`".to_owned());
    }
    if missing.is_empty() {
        Ok(())
    } else {
        bail!("this host can't show the demo yet; missing:\n  - {}", missing.join("\n  - "))
    }
}

/// The demo's image from what the host has.
fn image_here() -> Result<String> {
    command::sh(&format!(
        "set -e; d=$(mktemp -d); trap 'rm -rf $d' EXIT; mkdir -p $d/bin $d/tmp $d/rootfs; cp \
         $(command -v busybox) $d/bin/busybox; $d/bin/busybox --install -s $d/bin; for l in \
         $d/bin/*; do [ -L $l ] && ln -sfn busybox $l; done; cp lockc-probe $d/probe; tar c -C $d \
         . | docker import - {IMAGE}"
    ))
}
