//! Kernels and disk images of the virtual machines, made once from Debian's packages and cached
//! outside of the tree.
//!
//! Every asset's name carries a stamp, the hash of what it is made from (scripts, packages,
//! inputs): a change makes a new one, and one that nothing has used for a day is removed. Steps
//! write to a scratch name and rename, so an interrupted run leaves nothing.

use std::collections::{BTreeSet, VecDeque};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use crate::arch::Arch;
use crate::kernels::{Guest, Kernel};
use crate::places::{cache, used};
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

/// What the workloads' image has; Debian's suite of it, whatever kernel and engine run it.
const WORKLOAD_SUITE: &str = "trixie";
const WORKLOAD_PACKAGES: &str = "\
     acl,apache2,apt-utils,attr,busybox,ca-certificates,chromium-headless-shell,cron,curl,\
     dbus-bin,dbus-daemon,gcc,gdb,git,gnupg,golang-go,haproxy,inotify-tools,iproute2,iputils-ping,\
     jq,libc6-dev,libcap2-bin,libeclipse-jdt-core-compiler-batch-java,lsof,make,nginx,nodejs,\
     openjdk-21-jre-headless,openssh-client,openssh-server,openssl,perl,php-cli,postgresql-17,\
     procps,prometheus-node-exporter,psmisc,python3-pip,python3-setuptools,python3-venv,\
     python3-wheel,redis-server,rsync,rsyslog,ruby,socat,sqlite3,strace,sudo,supervisor,tini,tmux,\
     util-linux-extra,xz-utils";

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

/// Directory with a kernel's `vmlinuz` and `initrd.img`.
pub fn kernel(kernel: &Kernel) -> Result<PathBuf> {
    let stamp = stamp(&[KERNEL_SH, INIT_SH, GUEST_SH, GUEST_SERVICE]);
    Ok(cache()?.join(kernel_prefix(kernel) + &stamp))
}

fn kernel_prefix(kernel: &Kernel) -> String {
    format!("kernel-{}-{}-", kernel.suite, kernel.package.trim_start_matches("linux-image-"))
}

/// A guest's tree, of which its disk image is made.
pub fn guest_tar(guest: &Guest) -> Result<PathBuf> {
    let stamp = stamp(&[ROOTFS_SH, guest.packages]);
    Ok(cache()?.join(format!("{}{stamp}.tar", guest_prefix("guest", guest))))
}

fn guest_prefix(kind: &str, guest: &Guest) -> String {
    format!("{kind}-{}-{}-{}-", guest.suite, guest.arch.debian(), guest.name)
}

/// The tree of a container in a guest.
fn container_tar(guest: &Guest) -> Result<PathBuf> {
    Ok(cache()?.join(format!("{}{}.tar", container_prefix(guest), stamp(&[ROOTFS_SH]))))
}

fn container_prefix(guest: &Guest) -> String {
    format!("container-{}-{}-", guest.suite, guest.arch.debian())
}

/// A guest's disk image.
pub fn image(guest: &Guest) -> Result<PathBuf> {
    let stamp = stamp(&[IMAGE_SH, ROOTFS_SH, guest.packages]);
    Ok(cache()?.join(format!("{}{stamp}.img", guest_prefix("image", guest))))
}

/// The disk with Docker's data directory and the workloads' image.
pub fn workloads() -> Result<PathBuf> {
    let sources = WORKLOAD_SOURCES.map(|(_, text)| text);
    let stamp = stamp(&[&[WORKLOADS_SH, WORKLOAD_PACKAGES], &sources[..]].concat());
    Ok(cache()?.join(format!("workloads-{WORKLOAD_SUITE}-{stamp}.img")))
}

/// Makes what these machines lack, two at a time.
pub fn ensure(kernels: &[Kernel]) -> Result<()> {
    let mut jobs: VecDeque<(String, Job)> = VecDeque::new();
    // First what takes the longest.
    if kernels.iter().any(|kernel| kernel.arch() == Arch::X86) && !workloads()?.is_file() {
        jobs.push_back((
            "disk of the workloads (servers, languages, tools)".into(),
            Job::Workloads,
        ));
    }
    for kernel in kernels {
        let guest = kernel.guest;
        if !image(&guest)?.is_file() {
            let Guest { name, suite, .. } = guest;
            let what = format!("disk image {suite} for {} ({name})", guest.arch.name());
            jobs.push_back((what, Job::Image(guest)));
        }
    }
    for kernel in kernels {
        if !kernel.directory()?.is_dir() {
            let what = format!("kernel {} (Debian {})", kernel.name, kernel.suite);
            jobs.push_back((what, Job::Kernel(*kernel)));
        }
    }
    // Kernels share guests.
    let mut seen = BTreeSet::new();
    jobs.retain(|(what, _)| seen.insert(what.clone()));
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
    Image(Guest),
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
            Job::Kernel(kernel) => self.kernel(&kernel),
            Job::Image(guest) => self.image(&guest),
            Job::Workloads => self.workloads(),
        }
    }

    fn kernel(&self, made: &Kernel) -> Result<()> {
        let done = kernel(made)?;
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
        command.env("SUITE", made.suite).env("PACKAGE", made.package);
        command.env("ARCH", made.arch().debian()).env("OUT", &out).env("ASSETS", scratch.path());
        command.env("WORK", scratch.path().join("work"));
        let prefix = kernel_prefix(made);
        self.retry(&mut command, prefix.trim_end_matches('-'))?;
        self.finish(&out, &done, &prefix)
    }

    fn image(&self, guest: &Guest) -> Result<()> {
        let done = image(guest)?;
        if done.is_file() {
            return Ok(());
        }
        let tree = self.tree(
            guest,
            ("minbase", guest.packages),
            guest_tar(guest)?,
            &guest_prefix("guest", guest),
        )?;
        let container =
            self.tree(guest, ("essential", ""), container_tar(guest)?, &container_prefix(guest))?;
        let scratch = self.scratch()?;
        let out = scratch.path().join("image");
        let mut command = self.script(IMAGE_SH);
        command.env("ROOTFS", &tree).env("CONTAINER", &container).env("OUT", &out);
        command.env("WORK", scratch.path().join("work"));
        let prefix = guest_prefix("image", guest);
        ui::quiet(&mut command, &self.logs.join(format!("{prefix}.log")))?;
        self.finish(&out, &done, &prefix)
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

    /// A tree of the guest's suite and architecture, of a variant of mmdebstrap's with packages.
    fn tree(
        &self,
        guest: &Guest,
        (variant, packages): (&str, &str),
        done: PathBuf,
        prefix: &str,
    ) -> Result<PathBuf> {
        if !done.is_file() {
            let scratch = self.scratch()?;
            let out = scratch.path().join("tree.tar");
            let mut command = self.script(ROOTFS_SH);
            command.env("SUITE", guest.suite).env("ARCH", guest.arch.debian());
            command.env("VARIANT", variant).env("PACKAGES", packages).env("OUT", &out);
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
