//! Docker in the machine: started once, with lockc's runtimes beside the real ones.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::json;

use crate::cases::sandbox;
use crate::command::{self, Run};
use crate::demo::SHARED;
use crate::lab;
use crate::launch::{Runtime, WRAPPER};

/// The levels that have a runtime of their own: `lockc` chooses by itself, `lockc-LEVEL` is told.
pub const LEVELS: [&str; 5] = ["privileged", "baseline", "restricted", "offline", "test"];
/// Busybox and the probe.
pub const IMAGE: &str = "bb";
/// Debian's essential packages.
pub const DEBIAN: &str = "deb";

/// dockerd's configuration.
pub const CONFIG: &str = "/etc/docker/daemon.json";
/// What dockerd's BuildKit executes instead of runc: a link that the cases of it set.
pub const BUILDER: &str = "/usr/local/bin/lockc-it-builder";

/// gVisor, by its own name for it; beside it lockc in front of it.
pub const GVISOR: &str = "runsc";

/// A running Docker.
pub struct Docker {
    pub version: String,
}

impl Docker {
    /// Configures and starts containerd and dockerd, imports the busybox image.
    pub fn start(plain: bool) -> Result<Self> {
        let mut runtimes = serde_json::Map::new();
        runtimes
            .insert(GVISOR.into(), json!({"path": sandbox::RUNSC, "runtimeArgs": sandbox::FLAGS}));
        if !plain {
            runtimes.insert("lockc".into(), json!({ "path": WRAPPER }));
            let args = [&["--lockc-runtime", sandbox::RUNSC], &sandbox::FLAGS[..]].concat();
            runtimes.insert(Self::for_level(GVISOR), json!({"path": WRAPPER, "runtimeArgs": args}));
            for level in LEVELS {
                runtimes.insert(
                    Self::for_level(level),
                    json!({"path": WRAPPER, "runtimeArgs": ["--lockc-policy", level]}),
                );
            }
        }
        fs::create_dir_all("/etc/docker").context("cannot create /etc/docker")?;
        let mut config = json!({
            "storage-driver": "overlay2", "exec-opts": ["native.cgroupdriver=cgroupfs"],
                "runtimes": runtimes,
        });
        if data_disk()? {
            // Workloads: what users have, and what is still an experiment of Docker's
            // (checkpoints).
            config["experimental"] = true.into();
            config["ip6tables"] = false.into();
        } else {
            // No network: nothing else is about it, and it costs a second a container.
            config["iptables"] = false.into();
            config["ip6tables"] = false.into();
            config["bridge"] = "none".into();
        }
        fs::write(CONFIG, config.to_string()).context("cannot write daemon.json")?;
        fs::create_dir_all("/etc/containerd").context("cannot create /etc/containerd")?;
        let config = "version = 2\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\", \
                      \"io.containerd.internal.v1.tracing\"]\n";
        fs::write("/etc/containerd/config.toml", config).context("cannot configure containerd")?;
        // dockerd does not start without it.
        if !Path::new(BUILDER).exists() {
            std::os::unix::fs::symlink(Runtime::Runc.path(), BUILDER)
                .with_context(|| format!("cannot link {BUILDER}"))?;
        }
        daemon(&["containerd"], "/run/containerd/containerd.sock")?;
        start_dockerd()?;
        let version =
            command::run(&["docker", "version", "--format", "{{.Server.Version}}"])?.must()?;
        import()?;
        Ok(Self { version })
    }

    /// The Debian image, imported at the first use.
    pub fn with_debian(&self) -> Result<()> {
        if !command::run(&["docker", "image", "inspect", DEBIAN])?.ok() {
            command::sh(&format!("docker import /opt/img/debian.tar {DEBIAN}"))?;
        }
        Ok(())
    }

    /// `docker run --rm` without network; `runtime` empty: the default one.
    pub fn run(&self, runtime: &str, args: &[&str]) -> Result<Run> {
        self.run_in(runtime, &[&["--network", "none"], args].concat())
    }

    /// The runtime that is told a level.
    pub fn for_level(level: &str) -> String {
        format!("lockc-{level}")
    }

    /// `docker run --rm`; `runtime` empty: the default one.
    pub fn run_in(&self, runtime: &str, args: &[&str]) -> Result<Run> {
        let mut words = vec!["docker", "run", "--rm"];
        if !runtime.is_empty() {
            words.extend(["--runtime", runtime]);
        }
        words.extend(args);
        command::run(&words)
    }

    /// `docker run -d`: the container's name; removed when dropped.
    pub fn background(&self, runtime: &str, args: &[&str]) -> Result<Background> {
        let name = crate::launch::fresh_id();
        let mut words = vec!["docker", "run", "-d", "--network", "none", "--name", &name];
        if !runtime.is_empty() {
            words.extend(["--runtime", runtime]);
        }
        words.extend(args);
        command::run(&words)?.must().context("docker run -d")?;
        Ok(Background { name })
    }
}

/// A container in the background.
pub struct Background {
    pub name: String,
}

impl Background {
    pub fn exec(&self, args: &[&str]) -> Result<Run> {
        let mut words = vec!["docker", "exec", &self.name];
        words.extend(args);
        command::run(&words)
    }

    /// `docker VERB ARGS NAME`.
    pub fn call(&self, words: &[&str]) -> Result<Run> {
        let mut all = vec!["docker"];
        all.extend(words);
        all.push(&self.name);
        command::run(&all)
    }

    /// `docker inspect` of one field.
    pub fn inspect(&self, format: &str) -> Result<String> {
        self.call(&["inspect", "--format", format])?.must()
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // A case may have removed it already.
        let _ = command::run(&["docker", "rm", "-f", "-v", &self.name]);
    }
}

/// Puts the workloads' disk, which has an image already, where Docker keeps its data; false if the
/// machine has none.
fn data_disk() -> Result<bool> {
    let Some(disk) = lab::disk("lockc-work") else { return Ok(false) };
    fs::create_dir_all("/var/lib/docker").context("cannot create Docker's data directory")?;
    command::sh(&format!("mount -t ext4 -o noatime {} /var/lib/docker", disk.display()))?;
    Ok(true)
}

/// Starts a daemon that lives as long as the machine and waits for its socket.
pub fn daemon(words: &[&str], socket: &str) -> Result<()> {
    let log = format!("/var/log/{}.log", words[0]);
    let file = File::create(&log).with_context(|| format!("cannot write {log}"))?;
    let mut child = Command::new(words[0])
        .args(&words[1..])
        .env("DOCKER_BUILDKIT_RUNC_COMMAND", BUILDER)
        .stdin(Stdio::null())
        .stdout(file.try_clone().context("cannot share a log")?)
        .stderr(file)
        .spawn()
        .with_context(|| format!("cannot start {}", words[0]))?;
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(90) {
        if let Some(status) = child.try_wait().context("cannot wait for a daemon")? {
            let log = fs::read_to_string(&log).unwrap_or_default();
            let end: Vec<&str> = log.lines().rev().take(5).collect();
            bail!("{} ended ({status}): {}", words[0], end.join(" / "));
        }
        if Path::new(socket).exists() && std::os::unix::net::UnixStream::connect(socket).is_ok() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    bail!("{} did not open {socket} within 90 s", words[0])
}

/// `docker import` of the tree plus the probe.
fn import() -> Result<()> {
    command::sh(
        "cp /opt/img/busybox.tar /tmp/bb.tar && mkdir -p /tmp/probe && cp \
         /usr/local/bin/lockc-probe /tmp/probe/probe && tar rf /tmp/bb.tar -C /tmp/probe ./probe \
         && docker import /tmp/bb.tar bb && rm /tmp/bb.tar",
    )
    .map(|_| ())
}

/// Restarts dockerd with other settings, as with another place for its data, and imports the image
/// there.
pub fn restart_with(settings: &[(&str, serde_json::Value)]) -> Result<()> {
    let text = fs::read_to_string(CONFIG).context("cannot read daemon.json")?;
    let mut config: serde_json::Value =
        serde_json::from_str(&text).context("daemon.json is not valid JSON")?;
    for (key, value) in settings {
        config[key] = value.clone();
    }
    fs::write(CONFIG, config.to_string()).context("cannot write daemon.json")?;
    restart()?;
    import()
}

/// Restarts dockerd, for what it reads at its start alone.
pub fn restart() -> Result<()> {
    command::sh(
        "kill $(cat /run/docker.pid); while [ -e /run/docker.pid ]; do sleep 0.2; done; rm -f \
         /run/docker.sock",
    )?;
    start_dockerd()
}

fn start_dockerd() -> Result<()> {
    // Under a second, harmless name too, in a folder that may be a volume.
    let renamed = format!("unix://{SHARED}/notes.txt");
    fs::create_dir_all(SHARED).with_context(|| format!("cannot create {SHARED}"))?;
    let containerd = ["--containerd", "/run/containerd/containerd.sock"];
    let sockets = ["-H", "unix:///run/docker.sock", "-H", &renamed];
    daemon(&[&["dockerd"], &containerd[..], &sockets[..]].concat(), "/run/docker.sock")
}

/// Makes `runtime` the daemon's default; takes effect without a restart.
pub fn default_runtime(runtime: &str) -> Result<()> {
    let text = fs::read_to_string(CONFIG).context("cannot read daemon.json")?;
    let mut config: serde_json::Value =
        serde_json::from_str(&text).context("daemon.json is not valid JSON")?;
    config["default-runtime"] = runtime.into();
    fs::write(CONFIG, config.to_string()).context("cannot write daemon.json")?;
    command::sh("kill -HUP $(pidof dockerd)")?;
    command::patiently("the default runtime", || {
        Ok(command::run(&["docker", "info", "--format", "{{.DefaultRuntime}}"])?.must()?.trim()
            == runtime)
    })
}
