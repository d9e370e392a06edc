//! containerd in the machine: started once, with lockc's handlers beside the real runtime's.
//!
//! containerd gives a runtime no arguments of the administrator's. A handler that is told its level
//! is a script of two lines as `BinaryName`, just what dockerd writes for `runtimeArgs`.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::rc::Rc;

use anyhow::{Context, Result};
use serde_json::json;

use crate::bundle::OCI_ARCH;
use crate::cases::sandbox;
use crate::command;
use crate::cri::{Cri, Pod, SOCKET, describe};
use crate::docker::daemon;
use crate::launch::WRAPPER;

/// Busybox and the probe.
pub const IMAGE: &str = "docker.io/library/bb:1";
/// What runs in sandboxes: as Kubernetes' pause image it has a user of its own.
const PAUSE: &str = "docker.io/library/pause:1";
/// A runtime that is told `restricted`.
pub const TOLD: &str = "/usr/local/bin/lockc-restricted";
/// gVisor with this machine's flags, and lockc in front of it.
pub const GVISOR: &str = "/usr/local/bin/gvisor";
pub const LOCKC_GVISOR: &str = "/usr/local/bin/lockc-gvisor";
/// What holds for the namespaces of the cases: `default` has no entry.
const NAMESPACES: &str = "\
[namespaces.trusted]\ndefault = 'privileged'\nceiling = 'privileged'\n[namespaces.tight]\ndefault \
                          = 'restricted'\nceiling = 'restricted'\n[namespaces.closed]\ndefault = \
                          'offline'\n[namespaces.'team-*']\ndefault = \
                          'restricted'\n[namespaces.team-b]\ndefault = 'offline'\nceiling = \
                          'offline'\n";

/// A running containerd.
pub struct Containerd {
    pub cri: Rc<Cri>,
    /// Pods that cases share, by handler and namespace.
    pods: BTreeMap<(&'static str, &'static str), Rc<Pod>>,
}

impl Containerd {
    /// The common pod of a namespace.
    pub fn shared(&mut self, handler: &'static str, namespace: &'static str) -> Result<Rc<Pod>> {
        if let Some(pod) = self.pods.get(&(handler, namespace)) {
            return Ok(pod.clone());
        }
        let pod = Rc::new(Pod::run(&self.cri, handler, describe::pod(namespace))?);
        // It ends with the machine, not earlier: stopping takes seconds.
        std::mem::forget(pod.clone());
        self.pods.insert((handler, namespace), pod.clone());
        Ok(pod)
    }

    /// Configures and starts it, imports the images.
    pub fn start() -> Result<Self> {
        let version = command::run(&["containerd", "--version"])?.must()?;
        let version = version.split_whitespace().nth(2).context("containerd has no version")?;
        for folder in ["/etc/containerd", "/etc/lockc/lockc.d", "/var/lib/kubelet"] {
            fs::create_dir_all(folder).with_context(|| format!("cannot create {folder}"))?;
        }
        let put = |path: &str, text: &str| {
            fs::write(path, text).with_context(|| format!("cannot write {path}"))
        };
        put("/etc/lockc/lockc.d/40-namespaces.toml", NAMESPACES)?;
        put(TOLD, &format!("#!/bin/sh\nexec {WRAPPER} --lockc-policy restricted \"$@\"\n"))?;
        for (path, before) in [
            (GVISOR, sandbox::RUNSC.to_owned()),
            (LOCKC_GVISOR, format!("{WRAPPER} --lockc-runtime {}", sandbox::RUNSC)),
        ] {
            put(path, &format!("#!/bin/sh\nexec {before} {} \"$@\"\n", sandbox::FLAGS.join(" ")))?;
            fs::set_permissions(path, fs::Permissions::from_mode(0o755))
                .context("cannot make a script executable")?;
        }
        fs::set_permissions(TOLD, fs::Permissions::from_mode(0o755))
            .context("cannot make a script executable")?;
        network()?;
        put(
            "/etc/containerd/config.toml",
            &config(version.trim_start_matches('v').starts_with("1.")),
        )?;
        daemon(&["containerd"], SOCKET)?;
        import(PAUSE)?;
        Ok(Self { cri: Cri::connect()?, pods: BTreeMap::new() })
    }
}

/// A bridge, as most clusters begin with.
pub fn network() -> Result<()> {
    let text = json!({
        "cniVersion": "0.4.0", "name": "pods",
        "plugins": [{
            "type": "bridge", "bridge": "cni0", "isGateway": true,
            "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.88.0.0/16"}]], "routes": [
                {"dst": "0.0.0.0/0"}]},
        }],
    });
    fs::create_dir_all("/etc/cni/net.d").context("cannot create a directory")?;
    fs::write("/etc/cni/net.d/10-pods.conflist", text.to_string())
        .context("cannot write the network's configuration")
}

fn config(old: bool) -> String {
    let plugin = if old { "io.containerd.grpc.v1.cri" } else { "io.containerd.cri.v1.runtime" };
    let mut text = if old {
        format!("version = 2\n[plugins.'{plugin}']\nsandbox_image = '{PAUSE}'\n")
    } else {
        format!(
            "version = 3\n[plugins.'io.containerd.cri.v1.images'.pinned_images]\nsandbox = \
             '{PAUSE}'\n"
        )
    };
    text.push_str(&format!(
        "[plugins.'{plugin}'.cni]\nbin_dir = '/usr/lib/cni'\nconf_dir = '/etc/cni/net.d'\n"
    ));
    // `lockc-all` is what an administrator should not write: it hands over whatever a pod's owner
    // writes.
    for (name, binary, annotations) in [
        ("runc", "/usr/sbin/runc", "[]"),
        ("lockc", WRAPPER, "['org.lockc.*']"),
        ("lockc-all", WRAPPER, "['*']"),
        ("lockc-restricted", TOLD, "['org.lockc.*']"),
    ] {
        text.push_str(&format!(
            "[plugins.'{plugin}'.containerd.runtimes.{name}]\nruntime_type = \
             'io.containerd.runc.v2'\npod_annotations = {annotations}\ncontainer_annotations = \
             {annotations}\n[plugins.'{plugin}'.containerd.runtimes.{name}.options]\nBinaryName = \
             '{binary}'\nSystemdCgroup = false\n"
        ));
    }
    text
}

/// Makes an archive of two images as `docker save` does and imports it; `pause` is the name of the
/// one for sandboxes.
pub fn import(pause: &str) -> Result<()> {
    const PLACE: &str = "/tmp/lockc-it-image";
    const PROBE: &str = "/usr/local/bin/lockc-probe";
    command::sh(&format!(
        "mkdir -p {PLACE}/probe && cd {PLACE} && cp /opt/img/busybox.tar layer.tar"
    ))?;
    // Not in the machines that are a node of a cluster: no case there tries with it.
    if fs::exists(PROBE).is_ok_and(|there| there) {
        command::sh(&format!(
            "cd {PLACE} && cp {PROBE} probe/probe && tar rf layer.tar -C probe ./probe"
        ))?;
    }
    let digest = command::sh(&format!("sha256sum {PLACE}/layer.tar | cut -d' ' -f1"))?;
    let mut manifest = Vec::new();
    for (file, tag, user, command) in [
        ("bb.json", IMAGE, "", json!(["sh"])),
        ("pause.json", pause, "65535:65535", json!(["/bin/sleep", "1000000"])),
    ] {
        let image = json!({
            "architecture": OCI_ARCH, "os": "linux", "rootfs": {"type": "layers",
                "diff_ids": [format!("sha256:{digest}")]},
            "config": {"User": user, "Cmd": command, "Env": ["PATH=/bin:/sbin:/usr/bin:/usr/sbin"]},
        });
        fs::write(format!("{PLACE}/{file}"), image.to_string())
            .with_context(|| format!("cannot write {file}"))?;
        manifest.push(json!({"Config": file, "RepoTags": [tag], "Layers": ["layer.tar"]}));
    }
    fs::write(format!("{PLACE}/manifest.json"), json!(manifest).to_string())
        .context("cannot write a manifest")?;
    command::sh(&format!(
        "cd {PLACE} && tar cf image.tar manifest.json bb.json pause.json layer.tar && ctr -n \
         k8s.io images import image.tar && ctr -n default images import image.tar && rm -r {PLACE}"
    ))?;
    Ok(())
}
