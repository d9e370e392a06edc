//! `lockc explain -f` says of a pod's manifest what the wrapper does with that pod.

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::cri::{idle, needs_lockc, start};
use super::{Row, Test, row};
use crate::command;
use crate::cri::Pod;
use crate::cri::describe::pod;
use crate::cri::proto::{
    ContainerConfig, LinuxContainerSecurityContext, Mount, MountPropagation, NamespaceMode,
    PodSandboxConfig, SecurityProfile, security_profile::ProfileType,
};
use crate::lab::Lab;
use crate::launch::Runtime;

pub const ROWS: &[Row] = &[row("cri/manifests", Test::Code(manifests))];

/// What kubelet sends of these pods, and whether they start in that namespace, by the Pod Security
/// Standards; beside those of the other cases.
fn manifests(lab: &mut Lab, _: Runtime) -> Result<String> {
    needs_lockc(lab)?;
    let readonly =
        |config: ContainerConfig| config.security(|security| security.readonly_rootfs = true);
    let containers = [
        ("default", idle().add_capability("SYS_PTRACE"), false),
        ("default", idle().add_capability("BPF"), false),
        ("default", idle().add_capability("ALL"), false),
        ("default", idle().add_capability("KILL"), true),
        ("default", idle().drop_capabilities(), true),
        ("default", idle().user(1000), true),
        ("default", readonly(idle()), true),
        ("default", idle().volume("/proc", "/p", true), false),
        ("default", idle().volume("/dev", "/d", true), false),
        ("default", idle().volume("/var/lib/kubelet", "/k", true), false),
        ("tight", readonly(idle().hardened()), true),
        ("tight", idle().hardened().add_capability("CHOWN"), false),
        ("tight", idle().hardened().unmasked(), false),
        ("tight", idle(), false),
    ];
    for (namespace, config, starts) in &containers {
        let started = start(lab, "lockc", namespace, config);
        if started.is_ok() != *starts {
            bail!("{}: {:?}", manifest(&pod(namespace), config), started.err());
        }
        drop(started);
        agrees(&pod(namespace), config, *starts)?;
    }
    let pods = [
        (pod("default").sysctl("net.core.somaxconn", "100"), false),
        (pod("default").sysctl("kernel.shm_rmid_forced", "1"), true),
        (pod("default").share_processes(), true),
        (pod("default").host_pid().host_ipc(), false),
    ];
    let cri = lab.containerd()?.cri.clone();
    for (config, starts) in &pods {
        let started = Pod::run(&cri, "lockc", config.clone());
        if started.is_ok() != *starts {
            bail!("{}: {:?}", manifest(config, &idle()), started.err());
        }
        drop(started);
        agrees(config, &idle(), *starts)?;
    }
    Ok(format!("{} pods", containers.len() + pods.len()))
}

/// That `lockc explain -f` says so.
pub fn agrees(pod: &PodSandboxConfig, container: &ContainerConfig, starts: bool) -> Result<()> {
    // No field of a pod gives a device.
    if !container.devices.is_empty() {
        return Ok(());
    }
    let manifest = manifest(pod, container).to_string();
    let run = command::run_with_input(&["lockc", "explain", "-f", "-"], &manifest)?;
    match run.status {
        0 if starts => Ok(()),
        3 if !starts => Ok(()),
        status => bail!("lockc explain -f, status {status}, of {manifest}: {}", run.said()),
    }
}

/// The pod of which kubelet sends this.
fn manifest(pod: &PodSandboxConfig, container: &ContainerConfig) -> Value {
    let metadata = pod.metadata.clone().unwrap_or_default();
    let linux = pod.linux.clone().unwrap_or_default();
    let namespaces =
        linux.security_context.and_then(|security| security.namespace_options).unwrap_or_default();
    let sysctls: Vec<Value> =
        linux.sysctls.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
    let security =
        container.linux.clone().and_then(|linux| linux.security_context).unwrap_or_default();
    let mounts = || container.mounts.iter().enumerate();
    let propagation = |mount: &Mount| match mount.propagation() {
        MountPropagation::PropagationPrivate => "None",
        MountPropagation::PropagationHostToContainer => "HostToContainer",
        MountPropagation::PropagationBidirectional => "Bidirectional",
    };
    let volume_mounts: Vec<Value> = mounts()
        .map(|(n, mount)| {
            json!({
                "name": format!("v{n}"), "mountPath": mount.container_path,
                    "readOnly": mount.readonly,
                "mountPropagation": propagation(mount),
            })
        })
        .collect();
    let volumes: Vec<Value> = mounts()
        .map(|(n, mount)| {
            json!({ "name": format!("v{n}"), "hostPath": {
            "path": mount.host_path } })
        })
        .collect();
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": metadata.name, "namespace": metadata.namespace,
            "annotations": pod.annotations },
        "spec": {
            "runtimeClassName": "lockc",
            "hostNetwork": namespaces.network() == NamespaceMode::Node,
            "hostPID": namespaces.pid() == NamespaceMode::Node,
            "hostIPC": namespaces.ipc() == NamespaceMode::Node,
            "shareProcessNamespace": namespaces.pid() == NamespaceMode::Pod,
            "securityContext": { "sysctls": sysctls },
            "containers": [{
                "name": "c", "image": "busybox", "securityContext": of_container(&security),
                    "volumeMounts": volume_mounts,
            }],
            "volumes": volumes,
        },
    })
}

fn of_container(security: &LinuxContainerSecurityContext) -> Value {
    let capabilities = security.capabilities.clone().unwrap_or_default();
    let mut context = json!({
        "privileged": security.privileged,
        "capabilities": { "add": capabilities.add_capabilities,
            "drop": capabilities.drop_capabilities },
        "allowPrivilegeEscalation": !security.no_new_privs,
        "readOnlyRootFilesystem": security.readonly_rootfs,
        "procMount": if security.masked_paths.is_empty() { "Unmasked" } else { "Default" },
    });
    if let Some(user) = &security.run_as_user {
        context["runAsUser"] = user.value.into();
    }
    let kind =
        |profile: &Option<SecurityProfile>| profile.as_ref().map(|profile| profile.profile_type());
    let named = |kind: ProfileType| match kind {
        ProfileType::RuntimeDefault => json!({ "type": "RuntimeDefault" }),
        ProfileType::Localhost => json!({ "type": "Localhost", "localhostProfile": "p" }),
        ProfileType::Unconfined => json!({ "type": "Unconfined" }),
    };
    // kubelet sends Unconfined for a seccomp profile that nobody asked for, too.
    if let Some(kind) = kind(&security.seccomp).filter(|kind| *kind != ProfileType::Unconfined) {
        context["seccompProfile"] = named(kind);
    }
    if let Some(kind) = kind(&security.apparmor) {
        context["appArmorProfile"] = named(kind);
    }
    context
}
