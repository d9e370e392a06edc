//! The machine that the cases run on: lockc installed and loaded, and a host that has something to
//! attack.

use std::cell::Cell;
use std::fs;
use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};
use jiff::Timestamp;
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use serde_json::Value;

use crate::bundle::PLACE;
use crate::command;
use crate::config;
use crate::containerd::Containerd;
use crate::docker::Docker;
use crate::launch::{Runtime, STATE};
use crate::podman::Podman;
use crate::select::Tier;
use crate::workloads::Sessions;

/// Folder with the host's sockets, given to containers as a volume.
pub const SOCKETS: &str = "/srv/lockc-it/sockets";
/// A folder that no container is given.
pub const SECRETS: &str = "/var/lib/lockc-it-secrets";

/// The lab.
pub struct Lab {
    /// Without lockc: the first half of each proof only.
    pub plain: bool,
    /// How much of each proof is made.
    pub tier: Tier,
    docker: Option<Docker>,
    containerd: Option<Containerd>,
    podman: Option<Podman>,
    /// A process of the host's, to be attacked.
    victim: Child,
    loaded: bool,
    /// When the record of denials was last looked at.
    looked: Cell<Timestamp>,
    /// Containers of the workloads.
    pub sessions: Sessions,
}

impl Lab {
    /// Installs everything; loads lockc unless `plain`.
    pub fn new(plain: bool, tier: Tier) -> Result<Self> {
        for program in ["lockc", "lockc-runc-wrapper", "lockc-probe"] {
            let target = format!("/usr/local/bin/{program}");
            // By rename: an earlier copy may be running.
            fs::copy(program, format!("{target}.new"))
                .with_context(|| format!("cannot install {program}"))?;
            fs::rename(format!("{target}.new"), &target)
                .with_context(|| format!("cannot install {program}"))?;
        }
        for folder in [PLACE, SOCKETS, SECRETS, STATE, "/srv/lockc-it/data", "/home/user/data"] {
            fs::create_dir_all(folder).with_context(|| format!("cannot create {folder}"))?;
        }
        fs::write(format!("{SECRETS}/key"), "secret of the host\n")
            .context("cannot write a secret")?;
        command::sh(&format!(
            "cd {SECRETS}; touch renamed; ln -sf key link; for n in 1 2 3 4 5 6 7 8 9; do touch \
             file-$n; mkdir -p folder-$n; lockc-probe setxattr key user.lockc-$n; done; \
             lockc-probe setxattr key"
        ))?;
        // As hosts with NFS or CIFS have it; this one answers every request.
        command::sh(
            "printf '#!/bin/sh\nexec /usr/local/bin/lockc-probe answer-key \"$2\"\n' > \
             /sbin/request-key; chmod 755 /sbin/request-key",
        )?;
        // A hierarchy of version 1 without controllers, as hosts with old software have.
        command::sh(
            "mkdir -p /srv/lockc-it/cgroup1; mountpoint -q /srv/lockc-it/cgroup1 || mount -t \
             cgroup -o none,name=lockc-it cgroup /srv/lockc-it/cgroup1",
        )?;
        fs::write("/home/user/data/note", "a note\n").context("cannot write a note")?;
        // Containers may read the log without lockc; where a distribution forbids it, nothing would
        // be proven.
        command::sh(
            "sysctl -qw kernel.dmesg_restrict=0 kernel.yama.ptrace_scope=0 2>/dev/null || true",
        )?;
        serve_host_sockets()?;
        let victim = Command::new("sleep")
            .arg("100000")
            .stdin(Stdio::null())
            .spawn()
            .context("cannot start a victim")?;
        let mut lab = Self {
            plain,
            tier,
            docker: None,
            containerd: None,
            podman: None,
            victim,
            loaded: false,
            looked: Cell::new(Timestamp::UNIX_EPOCH),
            sessions: Sessions::default(),
        };
        config::write(Runtime::Crun)?;
        if !plain {
            lab.load()?;
        }
        Ok(lab)
    }

    /// `lockc load`, which a busy machine may need minutes for in emulation.
    pub fn load(&mut self) -> Result<()> {
        command::run_for(300, &["lockc", "load"], "")?.must().context("lockc load")?;
        self.loaded = true;
        Ok(())
    }

    /// `lockc unload`.
    pub fn unload(&mut self) -> Result<()> {
        self.loaded = false;
        command::run(&["lockc", "unload"])?.must().context("lockc unload").map(|_| ())
    }

    /// Loads lockc again if a case took it away.
    pub fn restore(&mut self) -> Result<()> {
        if self.plain || self.loaded { Ok(()) } else { self.load() }
    }

    /// Forgets what was denied so far.
    pub fn forget_events(&self) -> Result<()> {
        self.looked.set(Timestamp::now());
        Ok(())
    }

    /// The same where lockc may not be there.
    pub fn forget_events_unless_plain(&self) -> Result<()> {
        if self.plain { Ok(()) } else { self.forget_events() }
    }

    /// What was denied since the last look.
    pub fn events(&self) -> Result<Vec<Value>> {
        let since = self.looked.replace(Timestamp::now());
        events(&["--since", &since.to_string()])
    }

    /// That one of the denials since the last look was by `rule`, and what it said.
    pub fn expect_event(&self, rule: &str) -> Result<String> {
        self.expect_event_of(&[rule])
    }

    /// The same for any of several rules.
    pub fn expect_event_of(&self, rules: &[&str]) -> Result<String> {
        let events = self.events()?;
        let found = events.iter().find(|event| rules.iter().any(|rule| event["rule"] == *rule));
        match found {
            Some(event) => Ok(event.to_string()),
            None => bail!(
                "no event of the rule {}; there are {}",
                rules.join(" or "),
                Value::from(events)
            ),
        }
    }

    /// Docker, started at the first use.
    pub fn docker(&mut self) -> Result<&Docker> {
        if self.docker.is_none() {
            config::write(Runtime::Runc)?;
            self.docker = Some(Docker::start(self.plain)?);
        }
        self.docker.as_ref().context("Docker does not run")
    }

    /// containerd, started at the first use.
    pub fn containerd(&mut self) -> Result<&mut Containerd> {
        if self.containerd.is_none() {
            config::write(Runtime::Runc)?;
            self.containerd = Some(Containerd::start()?);
        }
        self.containerd.as_mut().context("containerd does not run")
    }

    /// Podman, configured at the first use.
    pub fn podman(&mut self) -> Result<&Podman> {
        if self.podman.is_none() {
            self.podman = Some(Podman::start(self.plain)?);
        }
        self.podman.as_ref().context("Podman is not configured")
    }

    /// For cases that are about lockc's own choices.
    pub fn only_with_lockc(&self) -> Result<()> {
        if self.plain {
            bail!("proves nothing: needs lockc's runtimes");
        }
        Ok(())
    }

    /// Replaces `{victim}` and the like in a probe's arguments.
    pub fn fill(&self, args: &[&str]) -> Vec<String> {
        args.iter().map(|arg| arg.replace("{victim}", &self.victim.id().to_string())).collect()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // The machine is switched off next.
        let _ = self.victim.kill();
    }
}

/// The machine's disk with that serial number.
pub fn disk(serial: &str) -> Option<PathBuf> {
    let entries = fs::read_dir("/sys/block").ok()?.flatten();
    let has = |entry: &fs::DirEntry| {
        fs::read_to_string(entry.path().join("serial")).is_ok_and(|text| text.trim() == serial)
    };
    let entry = entries.into_iter().find(has)?;
    Some(Path::new("/dev").join(entry.file_name()))
}

/// Sockets of the host's in every type, under harmless names too, and abstract ones. They live as
/// long as the process.
fn serve_host_sockets() -> Result<()> {
    let listener = |listener: UnixListener| {
        std::thread::spawn(move || listener.incoming().for_each(drop));
    };
    let reader = |socket: UnixDatagram| {
        std::thread::spawn(move || {
            let mut byte = [0; 16];
            while socket.recv(&mut byte).is_ok() {}
        });
    };
    let at = |name: &str| format!("{SOCKETS}/{name}");
    for name in ["stream.sock", "notes.txt", &"n".repeat(60)] {
        let _ = fs::remove_file(at(name));
        listener(UnixListener::bind(at(name)).with_context(|| format!("cannot bind {name}"))?);
    }
    let _ = fs::remove_file(at("dgram.sock"));
    reader(UnixDatagram::bind(at("dgram.sock")).context("cannot bind a datagram socket")?);
    let name = |name: &[u8]| std::os::unix::net::SocketAddr::from_abstract_name(name);
    listener(
        UnixListener::bind_addr(&name(b"lockc-it-stream")?)
            .context("cannot bind an abstract socket")?,
    );
    reader(
        UnixDatagram::bind_addr(&name(b"lockc-it-dgram")?)
            .context("cannot bind an abstract socket")?,
    );
    give("gives-file", || fs::File::open(format!("{SECRETS}/key")).map(OwnedFd::from))?;
    give("gives-folder", || fs::File::open(SECRETS).map(OwnedFd::from))?;
    for (name, family, kind, protocol) in [
        ("gives-inet", libc::AF_INET, libc::SOCK_DGRAM, 0),
        ("gives-packet", libc::AF_PACKET, libc::SOCK_RAW, 0),
        ("gives-vsock", libc::AF_VSOCK, libc::SOCK_STREAM, 0),
        ("gives-uevents", libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_KOBJECT_UEVENT),
    ] {
        give(name, move || made(family, kind, protocol))?;
    }
    give("gives-pipe", || std::io::pipe().map(|(read, _)| OwnedFd::from(read)))?;
    // std has no such type: the probe serves it.
    Command::new("/usr/local/bin/lockc-probe")
        .args(["serve", "seqpacket", &at("seqpacket.sock")])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .map(|_| ())
        .context("cannot serve a seqpacket socket")
}

/// A socket of any family.
fn made(family: i32, kind: i32, protocol: i32) -> io::Result<OwnedFd> {
    // SAFETY: three numbers.
    let fd = unsafe { libc::socket(family, kind | libc::SOCK_CLOEXEC, protocol) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just given this descriptor to this process.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Serves a descriptor to whoever connects.
fn give(name: &str, open: impl Fn() -> io::Result<OwnedFd> + Send + 'static) -> Result<()> {
    let path = format!("{SOCKETS}/{name}");
    let _ = fs::remove_file(&path);
    let listener = UnixListener::bind(&path).with_context(|| format!("cannot bind {name}"))?;
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let Ok(file) = open() else { continue };
            let fds = [file.as_raw_fd()];
            let rights = [ControlMessage::ScmRights(&fds)];
            // The peer may be gone.
            let _ = sendmsg::<()>(
                stream.as_raw_fd(),
                &[IoSlice::new(b"x")],
                &rights,
                MsgFlags::MSG_NOSIGNAL,
                None,
            );
        }
    });
    Ok(())
}

/// What `lockc events` has with these options, the latest last.
pub fn events(options: &[&str]) -> Result<Vec<Value>> {
    let words = [&["lockc", "events", "--json"], options].concat();
    let text = command::run(&words)?.must().context("lockc events")?;
    text.lines()
        .map(|line| serde_json::from_str(line).with_context(|| format!("not JSON: {line}")))
        .collect()
}

/// What `lockc status` has. That a container is in audit mode is no failure.
pub fn status() -> Result<Value> {
    let run = command::run(&["lockc", "status", "--json"])?;
    if !matches!(run.status, 0 | 4) {
        bail!("lockc status: status {}: {}", run.status, run.said());
    }
    serde_json::from_str(&run.stdout).context("lockc status --json is not valid JSON")
}
