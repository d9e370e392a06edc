//! Podman in the machine: no daemon, only configuration; lockc's runtimes beside the real ones.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use anyhow::{Context, Result};

use crate::command::{self, Run};
use crate::docker::LEVELS;
use crate::launch::{Runtime, WRAPPER};

/// Busybox and the probe.
pub const IMAGE: &str = "localhost/bb";

/// Podman, configured.
pub struct Podman;

/// The real runtime as Podman knows it.
pub const fn name(runtime: Runtime) -> &'static str {
    match runtime {
        Runtime::Crun => "crun",
        Runtime::Runc => "runc",
    }
}

impl Podman {
    /// Configures it and imports the image.
    pub fn start(plain: bool) -> Result<Self> {
        configure(plain)?;
        command::sh(&import("podman"))?;
        Ok(Self)
    }

    /// `podman run --rm`, without network unless `args` name one.
    pub fn run(&self, runtime: &str, args: &[&str]) -> Result<Run> {
        let words = ["podman", "--runtime", runtime, "run", "--rm"];
        let network: &[&str] =
            if args.contains(&"--network") { &[] } else { &["--network", "none"] };
        command::run(&[&words[..], network, args].concat())
    }

    /// `podman run -d`: the container's name; removed when dropped.
    pub fn background(&self, runtime: &str, args: &[&str]) -> Result<Background> {
        self.background_with(&["--runtime", runtime], args)
    }

    /// The same with other options before `run`.
    pub fn background_with(&self, globals: &[&str], args: &[&str]) -> Result<Background> {
        let name = crate::launch::fresh_id();
        let words = ["run", "-d", "--network", "none", "--name", &name];
        let words = [&["podman"], globals, &words[..], args].concat();
        let background = Background { name: name.clone() };
        command::run(&words)?.must().context("podman run -d")?;
        Ok(background)
    }
}

/// A shell line that imports busybox and the probe with `podman`, which may be called in a longer
/// way.
pub fn import(podman: &str) -> String {
    format!(
        "d=$(mktemp -d); cp /opt/img/busybox.tar $d/bb.tar && cp /usr/local/bin/lockc-probe \
         $d/probe && tar rf $d/bb.tar -C $d ./probe && {podman} import -q $d/bb.tar bb && rm -rf \
         $d"
    )
}

fn configure(plain: bool) -> Result<()> {
    fs::create_dir_all("/etc/containers").context("cannot create /etc/containers")?;
    let mut runtimes = String::new();
    if !plain {
        runtimes.push_str(&format!("lockc = [\"{WRAPPER}\"]\n"));
        for level in LEVELS {
            // Podman gives a runtime of its configuration no arguments.
            let script = format!("/usr/local/bin/lockc-it-{level}");
            fs::write(
                &script,
                format!("#!/bin/sh\nexec {WRAPPER} --lockc-policy {level} \"$@\"\n"),
            )
            .and_then(|()| fs::set_permissions(&script, fs::Permissions::from_mode(0o755)))
            .with_context(|| format!("cannot write {script}"))?;
            runtimes.push_str(&format!("lockc-{level} = [\"{script}\"]\n"));
        }
    }
    // No systemd here: neither its cgroups nor its journal; and no nft. The engine's log in one
    // JSON object, and none, are both among the runtimes.
    let text = format!(
        r#"[network]
firewall_driver = "none"
[containers]
log_driver = "k8s-file"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "crun"
runtime_supports_nocgroup = ["crun", "lockc"]
runtime_supports_json = ["crun", "runc", "lockc-baseline"]
[engine.runtimes]
{runtimes}"#
    );
    fs::write("/etc/containers/containers.conf", text).context("cannot configure Podman")?;
    fs::write("/etc/containers/policy.json", r#"{"default":[{"type":"insecureAcceptAnything"}]}"#)
        .context("cannot write policy.json")
}

/// A container in the background.
pub struct Background {
    pub name: String,
}

impl Background {
    pub fn exec(&self, args: &[&str]) -> Result<Run> {
        command::run(&[&["podman", "exec", &self.name], args].concat())
    }

    /// `podman VERB ARGS NAME`.
    pub fn call(&self, words: &[&str]) -> Result<Run> {
        command::run(&[&["podman"], words, &[&self.name]].concat())
    }

    /// `podman inspect` of one field.
    pub fn inspect(&self, format: &str) -> Result<String> {
        self.call(&["inspect", "--format", format])?.must()
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // A case may have removed it already.
        let _ = command::run(&["podman", "rm", "-f", "-v", "-t", "0", &self.name]);
    }
}
