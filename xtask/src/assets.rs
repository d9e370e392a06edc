//! Kernels and disk images of the virtual machines, made once from Debian's packages and cached
//! outside of the tree.
//!
//! Every asset's name carries a stamp, the hash of what it is made from (scripts, packages,
//! inputs): a change makes a new one, and one that nothing has used for a day is removed. Steps
//! write to a scratch name and rename, so an interrupted run leaves nothing.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use anyhow::{Context, Result, anyhow};
use sha2::{Digest, Sha256};

use crate::places::{cache, used};
use crate::tier::Tier;
use crate::{apt, ui};

const KERNEL_SH: &str = include_str!("../vm/kernel.sh");
const INIT_SH: &str = include_str!("../vm/init.sh");
const GUEST_SH: &str = include_str!("../vm/guest.sh");
const GUEST_SERVICE: &str = include_str!("../vm/guest.service");
const ROOTFS_SH: &str = include_str!("../vm/rootfs.sh");
const IMAGE_SH: &str = include_str!("../vm/image.sh");
const WORKLOADS_SH: &str = include_str!("../vm/workloads.sh");
/// Programs of the workloads' image that are compiled when it is made.
const WORKLOAD_SOURCES: [(&str, &str); 2] = [
    ("Cpus.java", include_str!("../vm/workloads/Cpus.java")),
    ("cpus.go", include_str!("../vm/workloads/cpus.go")),
];

/// What a guest has beyond Debian's minimum.
const GUEST_PACKAGES: &str = "docker.io,docker-cli,containerd,runc,crun,iproute2,iptables,procps,\
                              busybox-static,kmod,bpftool,strace,ca-certificates,apparmor,jq,criu,\
                              docker-buildx,btrfs-progs,erofs-utils,fuse-overlayfs,podman,\
                              netavark,catatonit,uidmap,containernetworking-plugins,runsc,\
                              systemd-sysv,dbus,rpm";

/// What the workloads' image has; Debian's suite of it, whatever kernel and engine run it.
const WORKLOAD_SUITE: &str = "trixie";
const WORKLOAD_PACKAGES: &str = "acl,apache2,apt-utils,attr,busybox,ca-certificates,chromium-headless-shell,cron,curl,\
     dbus-bin,dbus-daemon,gcc,gdb,git,gnupg,golang-go,haproxy,inotify-tools,iproute2,iputils-ping,\
     jq,libc6-dev,libcap2-bin,libeclipse-jdt-core-compiler-batch-java,lsof,make,nginx,nodejs,\
     openjdk-21-jre-headless,openssh-client,openssh-server,openssl,perl,php-cli,postgresql-17,\
     procps,prometheus-node-exporter,psmisc,python3-pip,python3-setuptools,python3-venv,\
     python3-wheel,redis-server,rsync,rsyslog,ruby,socat,sqlite3,strace,sudo,supervisor,tini,tmux,\
     util-linux-extra,xz-utils";

/// What a machine of an architecture is made of, where QEMU or the kernel wants to be told.
#[derive(Debug, PartialEq, Eq)]
pub struct Platform {
    /// QEMU's program.
    pub emulator: &'static str,
    /// QEMU's options for the machine.
    pub machine: &'static [&'static str],
    pub processor: &'static str,
    /// The same where the clock counts instructions.
    pub counting_processor: &'static str,
    /// What the kernel's command line begins with.
    pub kernel: &'static str,
}

/// The architecture of most servers.
pub const X86: Platform = Platform {
    emulator: "qemu-system-x86_64",
    machine: &["-M", "q35"],
    processor: "max",
    // Copies by `rep movsb` would count each byte as an instruction.
    counting_processor: "max,-erms,-fsrm",
    kernel: "console=ttyS0 tsc=reliable no_timer_check",
};

/// A kernel that lockc is tested on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// The name on the command line.
    pub name: &'static str,
    /// Debian's suite with that kernel.
    suite: &'static str,
    /// Debian's suite of the guest.
    image: &'static str,
    /// What it runs on.
    pub platform: &'static Platform,
    /// The parts of the suite that the gate runs on it, each with how much of it.
    pub gate: &'static [(&'static str, Tier)],
}

/// The kernels, oldest first. A guest may be newer than its kernel: 6.1 runs with trixie's engines.
///
/// What depends on the kernel runs on each. An engine runs with one of its versions, so that the
/// gate keeps its time; `--kernel` or `--everything` run the other too.
pub const KERNELS: [Kernel; 3] = [
    Kernel {
        name: "6.1",
        suite: "bookworm",
        image: "trixie",
        platform: &X86,
        gate: &[("bare", Tier::Smoke), ("escape", Tier::Smoke)],
    },
    Kernel {
        name: "6.12",
        suite: "trixie",
        image: "trixie",
        platform: &X86,
        gate: &[
            ("system", Tier::Gate),
            ("bare", Tier::Gate),
            ("escape", Tier::Gate),
            ("containerd", Tier::Gate),
            ("podman", Tier::Gate),
            ("btrfs", Tier::Gate),
            ("work", Tier::Smoke),
        ],
    },
    Kernel {
        name: "7.2",
        suite: "sid",
        image: "sid",
        platform: &X86,
        gate: &[("docker", Tier::Gate), ("bare", Tier::Smoke), ("escape", Tier::Smoke)],
    },
];

impl Kernel {
    /// The kernel of that name.
    pub fn named(name: &str) -> Result<Self> {
        let known = || KERNELS.map(|kernel| kernel.name).join(", ");
        KERNELS
            .into_iter()
            .find(|kernel| kernel.name == name)
            .ok_or_else(|| anyhow!("no kernel {name}; there are {}", known()))
    }

    /// Folder with `vmlinuz` and `initrd.img`.
    pub fn folder(&self) -> Result<PathBuf> {
        Ok(cache()?.join(format!(
            "kernel-{}-{}",
            self.suite,
            stamp(&[KERNEL_SH, INIT_SH, GUEST_SH, GUEST_SERVICE])
        )))
    }

    /// Debian's suite of the guest.
    pub const fn guest_suite(&self) -> &'static str {
        self.image
    }

    /// The guest's tree, of which its disk image is made.
    pub fn guest_tar(&self) -> Result<PathBuf> {
        Ok(cache()?.join(guest_tar(self.image)))
    }

    /// The disk image it boots.
    pub fn image(&self) -> Result<PathBuf> {
        Ok(cache()?.join(image_name(self.image)))
    }
}

/// How long an asset is kept that nothing uses: another working tree may be testing with it.
const KEPT: std::time::Duration = std::time::Duration::from_secs(24 * 3600);

/// The hash by which an asset is named.
pub fn stamp(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    hash.finalize().iter().take(5).map(|byte| format!("{byte:02x}")).collect()
}

fn guest_tar(suite: &str) -> String {
    format!("guest-{suite}-{}.tar", stamp(&[ROOTFS_SH, GUEST_PACKAGES]))
}

fn container_tar(suite: &str) -> String {
    format!("container-{suite}-{}.tar", stamp(&[ROOTFS_SH]))
}

fn image_name(suite: &str) -> String {
    format!("image-{suite}-{}.img", stamp(&[IMAGE_SH, &guest_tar(suite), &container_tar(suite)]))
}

/// The disk with Docker's data directory and the workloads' image.
pub fn workloads() -> Result<PathBuf> {
    let sources = WORKLOAD_SOURCES.map(|(_, text)| text);
    let stamp = stamp(&[&[WORKLOADS_SH, WORKLOAD_PACKAGES], &sources[..]].concat());
    Ok(cache()?.join(format!("workloads-{WORKLOAD_SUITE}-{stamp}.img")))
}

/// Makes what is missing, two at a time.
pub fn ensure_all() -> Result<()> {
    let mut jobs: VecDeque<(String, Job)> = VecDeque::new();
    for suite in ["trixie", "sid"] {
        if !cache()?.join(image_name(suite)).is_file() {
            jobs.push_back((
                format!("disk image {suite} (Docker, containerd, Podman, runc, crun, runsc)"),
                Job::Image(suite),
            ));
        }
    }
    if !workloads()?.is_file() {
        // First: it takes the longest.
        jobs.push_front((
            "disk of the workloads (servers, languages, tools)".into(),
            Job::Workloads,
        ));
    }
    for kernel in KERNELS {
        if !kernel.folder()?.is_dir() {
            jobs.push_back((
                format!("kernel {} (Debian {})", kernel.name, kernel.suite),
                Job::Kernel(kernel),
            ));
        }
    }
    if jobs.is_empty() {
        return Ok(());
    }
    eprintln!("setup: virtual machines to make in {} (some minutes, once)", cache()?.display());
    let lock = File::create(cache()?.join("lock")).context("cannot create the cache's lock")?;
    lock.lock().context("cannot lock the cache")?;
    // An interrupted run leaves its scratch folders; nobody else is at work under the lock.
    for entry in fs::read_dir(cache()?).context("cannot list the cache")?.flatten() {
        if entry.file_name().to_string_lossy().starts_with("making-") {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    let maker = Maker::new()?;
    let queue = Mutex::new(jobs);
    let failures = Mutex::new(Vec::new());
    let next = || queue.lock().ok().and_then(|mut queue| queue.pop_front());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some((what, job)) = next() {
                    if let Err(error) = ui::step(&what, || maker.make(job))
                        && let Ok(mut failures) = failures.lock()
                    {
                        failures.push(error.context(format!("cannot make {what}")));
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap_or_default();
    failures.into_iter().next().map_or(Ok(()), Err)
}

#[derive(Clone, Copy)]
enum Job {
    Kernel(Kernel),
    Image(&'static str),
    Workloads,
}

/// Runs the scripts that make assets.
pub struct Maker {
    mirror: String,
    keyring: PathBuf,
    pub logs: PathBuf,
    cache: PathBuf,
}

impl Maker {
    pub fn new() -> Result<Self> {
        let cache = cache()?;
        Ok(Self {
            mirror: apt::debian_mirror()?,
            keyring: apt::keyring()?,
            logs: cache.join("logs"),
            cache,
        })
    }

    fn make(&self, job: Job) -> Result<()> {
        match job {
            Job::Kernel(kernel) => self.kernel(kernel),
            Job::Image(suite) => self.image(suite),
            Job::Workloads => self.workloads(),
        }
    }

    fn kernel(&self, kernel: Kernel) -> Result<()> {
        let done = kernel.folder()?;
        if done.is_dir() {
            return Ok(());
        }
        let scratch = self.scratch()?;
        for (name, text) in
            [("init.sh", INIT_SH), ("guest.sh", GUEST_SH), ("guest.service", GUEST_SERVICE)]
        {
            fs::write(scratch.path().join(name), text).context("cannot write into the cache")?;
        }
        let out = scratch.path().join("out");
        let mut command = self.script(KERNEL_SH);
        command.env("SUITE", kernel.suite).env("OUT", &out).env("ASSETS", scratch.path());
        command.env("WORK", scratch.path().join("work"));
        self.retry(&mut command, &format!("kernel-{}", kernel.suite))?;
        self.finish(&out, &done, &format!("kernel-{}-", kernel.suite))
    }

    fn image(&self, suite: &str) -> Result<()> {
        let done = self.cache.join(image_name(suite));
        if done.is_file() {
            return Ok(());
        }
        let guest = self.tree(
            suite,
            "minbase",
            GUEST_PACKAGES,
            &guest_tar(suite),
            &format!("guest-{suite}-"),
        )?;
        let container = self.tree(
            suite,
            "essential",
            "",
            &container_tar(suite),
            &format!("container-{suite}-"),
        )?;
        let scratch = self.scratch()?;
        let out = scratch.path().join("image");
        let mut command = self.script(IMAGE_SH);
        command.env("ROOTFS", &guest).env("CONTAINER", &container).env("OUT", &out);
        command.env("WORK", scratch.path().join("work"));
        ui::quiet(&mut command, &self.logs.join(format!("image-{suite}.log")))?;
        self.finish(&out, &done, &format!("image-{suite}-"))
    }

    fn workloads(&self) -> Result<()> {
        let done = workloads()?;
        let scratch = self.scratch()?;
        let (sources, out) = (scratch.path().join("sources"), scratch.path().join("disk"));
        fs::create_dir(&sources).context("cannot write into the cache")?;
        for (name, text) in WORKLOAD_SOURCES {
            fs::write(sources.join(name), text).context("cannot write into the cache")?;
        }
        let mut command = self.script(WORKLOADS_SH);
        command
            .env("SUITE", WORKLOAD_SUITE)
            .env("PACKAGES", WORKLOAD_PACKAGES)
            .env("SOURCES", &sources);
        command.env("OUT", &out).env("WORK", scratch.path().join("work"));
        self.retry(&mut command, "workloads")?;
        self.finish(&out, &done, "workloads-")
    }

    fn tree(
        &self,
        suite: &str,
        variant: &str,
        packages: &str,
        name: &str,
        prefix: &str,
    ) -> Result<PathBuf> {
        let done = self.cache.join(name);
        if !done.is_file() {
            let scratch = self.scratch()?;
            let out = scratch.path().join("tree.tar");
            let mut command = self.script(ROOTFS_SH);
            command
                .env("SUITE", suite)
                .env("VARIANT", variant)
                .env("PACKAGES", packages)
                .env("OUT", &out);
            self.retry(&mut command, prefix.trim_end_matches('-'))?;
            self.finish(&out, &done, prefix)?;
        }
        Ok(done)
    }

    /// A script of ours; those that make file systems need root's view of owners.
    pub fn script(&self, text: &str) -> Command {
        let mut command =
            if apt::is_root() { Command::new("bash") } else { Command::new("fakeroot") };
        if !apt::is_root() {
            command.arg("bash");
        }
        command.args(["-c", text]).env("MIRROR", &self.mirror).env("KEYRING", &self.keyring);
        let path = std::env::var("PATH").unwrap_or_default();
        command
            .env("PATH", format!("{path}:/usr/local/sbin:/usr/sbin:/sbin"))
            .env("LC_ALL", "C.UTF-8");
        command
    }

    /// Downloads fail now and then; apt's own retries do not cover everything.
    pub fn retry(&self, command: &mut Command, name: &str) -> Result<()> {
        let mut attempt = 1;
        loop {
            let log = self.logs.join(format!("{name}-{attempt}.log"));
            match ui::quiet(command, &log) {
                Err(_) if attempt < 3 => {
                    eprintln!(
                        "     {name}: attempt {attempt} failed, trying again ({})",
                        log.display()
                    )
                }
                result => return result,
            }
            attempt += 1;
            std::thread::sleep(std::time::Duration::from_secs(5));
        }
    }

    pub fn scratch(&self) -> Result<tempfile::TempDir> {
        tempfile::Builder::new()
            .prefix("making-")
            .tempdir_in(&self.cache)
            .context("cannot create a directory in the cache")
    }

    /// Gives `made` its name and removes those of its kind that nobody has used lately.
    pub fn finish(&self, made: &Path, done: &Path, prefix: &str) -> Result<()> {
        fs::rename(made, done)
            .with_context(|| format!("cannot move {} to {}", made.display(), done.display()))?;
        used(done);
        for entry in fs::read_dir(&self.cache).context("cannot list the cache")?.flatten() {
            let path = entry.path();
            let modified = entry.metadata().and_then(|metadata| metadata.modified());
            let stale = modified.is_ok_and(|time| time.elapsed().is_ok_and(|age| age > KEPT));
            if entry.file_name().to_string_lossy().starts_with(prefix) && path != done && stale {
                // A leftover costs only space.
                let _ =
                    if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            }
        }
        Ok(())
    }
}
