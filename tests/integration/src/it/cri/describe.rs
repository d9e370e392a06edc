//! Pods and containers as kubelet describes them to an engine (kubelet 1.34,
//! pkg/kubelet/kuberuntime): what it fills in by itself is filled in here too, so that a case says
//! only what a pod's owner would write.

use std::collections::HashMap;

use super::proto::{
    ContainerConfig, ContainerMetadata, ImageSpec, Int64Value, LinuxContainerConfig,
    LinuxContainerResources, LinuxContainerSecurityContext, LinuxPodSandboxConfig,
    LinuxSandboxSecurityContext, Mount, MountPropagation, NamespaceMode, NamespaceOption,
    PodSandboxConfig, PodSandboxMetadata, SecurityProfile, security_profile::ProfileType,
};
use crate::containerd::IMAGE;
use crate::launch::fresh_id;

/// kubelet's own lists for `procMount: Default` (pkg/securitycontext/util.go).
const MASKED: [&str; 11] = [
    "/proc/asound",
    "/proc/acpi",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];
const READ_ONLY: [&str; 5] =
    ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn of_type(profile_type: ProfileType) -> Option<SecurityProfile> {
    Some(SecurityProfile { profile_type: profile_type.into(), localhost_ref: String::new() })
}

/// A pod of a namespace, with a network of its own.
pub fn pod(namespace: &str) -> PodSandboxConfig {
    let name = fresh_id();
    let uid = format!("uid-{name}");
    let labels = [("name", name.as_str()), ("namespace", namespace), ("uid", uid.as_str())];
    PodSandboxConfig {
        hostname: name.clone(),
        log_directory: format!("/var/log/pods/{name}"),
        labels: labels
            .map(|(key, value)| (format!("io.kubernetes.pod.{key}"), value.to_owned()))
            .into(),
        annotations: HashMap::new(),
        linux: Some(LinuxPodSandboxConfig {
            cgroup_parent: format!("/kubepods/{name}"),
            security_context: Some(LinuxSandboxSecurityContext {
                namespace_options: Some(NamespaceOption {
                    network: NamespaceMode::Pod.into(),
                    pid: NamespaceMode::Container.into(),
                    ipc: NamespaceMode::Pod.into(),
                    target_id: String::new(),
                }),
                run_as_user: None,
                privileged: false,
                // Whatever the pod says.
                seccomp: of_type(ProfileType::RuntimeDefault),
            }),
            sysctls: HashMap::new(),
        }),
        metadata: Some(PodSandboxMetadata { name, uid, namespace: namespace.into() }),
    }
}

impl PodSandboxConfig {
    pub fn annotation(mut self, key: &str, value: &str) -> Self {
        self.annotations.insert(key.into(), value.into());
        self
    }

    pub fn sysctl(mut self, name: &str, value: &str) -> Self {
        self.linux.get_or_insert_default().sysctls.insert(name.into(), value.into());
        self
    }

    /// Any change of the sandbox's security context.
    pub fn security(mut self, change: impl FnOnce(&mut LinuxSandboxSecurityContext)) -> Self {
        change(self.linux.get_or_insert_default().security_context.get_or_insert_default());
        self
    }

    /// Any change of its namespaces.
    pub fn namespaces(self, change: impl FnOnce(&mut NamespaceOption)) -> Self {
        self.security(|security| change(security.namespace_options.get_or_insert_default()))
    }

    /// `hostNetwork`; kubelet sends no name then.
    pub fn host_network(mut self) -> Self {
        self.hostname.clear();
        self.namespaces(|namespaces| namespaces.set_network(NamespaceMode::Node))
    }

    /// `hostPID`
    pub fn host_pid(self) -> Self {
        self.namespaces(|namespaces| namespaces.set_pid(NamespaceMode::Node))
    }

    /// `hostIPC`
    pub fn host_ipc(self) -> Self {
        self.namespaces(|namespaces| namespaces.set_ipc(NamespaceMode::Node))
    }

    /// `shareProcessNamespace`
    pub fn share_processes(self) -> Self {
        self.namespaces(|namespaces| namespaces.set_pid(NamespaceMode::Pod))
    }

    /// kubelet's directory of the pod.
    pub fn folder(&self) -> String {
        format!(
            "/var/lib/kubelet/pods/{}",
            self.metadata.as_ref().map_or("", |metadata| &metadata.uid)
        )
    }
}

/// A container of the busybox image.
pub fn container(command: &[&str]) -> ContainerConfig {
    let name = fresh_id();
    ContainerConfig {
        image: Some(ImageSpec { image: IMAGE.into() }),
        command: owned(command),
        labels: HashMap::from([("io.kubernetes.container.name".into(), name.clone())]),
        log_path: format!("{name}.log"),
        linux: Some(LinuxContainerConfig {
            resources: Some(LinuxContainerResources { cpu_shares: 2, memory_limit_in_bytes: 0 }),
            security_context: Some(LinuxContainerSecurityContext {
                masked_paths: owned(&MASKED),
                readonly_paths: owned(&READ_ONLY),
                // What kubelet makes of a profile that nobody asked for.
                seccomp: of_type(ProfileType::Unconfined),
                ..LinuxContainerSecurityContext::default()
            }),
        }),
        metadata: Some(ContainerMetadata { name }),
        ..ContainerConfig::default()
    }
}

impl ContainerConfig {
    pub fn annotation(mut self, key: &str, value: &str) -> Self {
        self.annotations.insert(key.into(), value.into());
        self
    }

    /// Any change of the security context.
    pub fn security(mut self, change: impl FnOnce(&mut LinuxContainerSecurityContext)) -> Self {
        change(self.linux.get_or_insert_default().security_context.get_or_insert_default());
        self
    }

    /// `runAsUser`
    pub fn user(self, uid: i64) -> Self {
        self.security(|security| security.run_as_user = Some(Int64Value { value: uid }))
    }

    pub fn add_capability(self, name: &str) -> Self {
        self.security(|security| {
            security.capabilities.get_or_insert_default().add_capabilities.push(name.into())
        })
    }

    pub fn drop_capabilities(self) -> Self {
        self.security(|security| {
            security.capabilities.get_or_insert_default().drop_capabilities.push("ALL".into())
        })
    }

    /// `seccompProfile: RuntimeDefault`
    pub fn seccomp_default(self) -> Self {
        self.security(|security| security.seccomp = of_type(ProfileType::RuntimeDefault))
    }

    /// Everything that the Pod LinuxContainerSecurityContext Standards' restricted asks for.
    pub fn hardened(self) -> Self {
        self.user(1000)
            .drop_capabilities()
            .seccomp_default()
            .security(|security| security.no_new_privs = true)
    }

    /// `procMount: Unmasked`
    pub fn unmasked(self) -> Self {
        self.security(|security| {
            security.masked_paths.clear();
            security.readonly_paths.clear();
        })
    }

    /// A volume of the host's.
    pub fn volume(mut self, host: &str, path: &str, readonly: bool) -> Self {
        let mount = Mount {
            container_path: path.into(),
            host_path: host.into(),
            readonly,
            propagation: MountPropagation::PropagationPrivate.into(),
        };
        self.mounts.push(mount);
        self
    }

    /// With a terminal and an input that can be attached to.
    pub fn terminal(mut self) -> Self {
        self.stdin = true;
        self.tty = true;
        self
    }
}

/// A pod's containers use its namespaces.
pub fn in_pod(mut config: ContainerConfig, pod: &PodSandboxConfig) -> ContainerConfig {
    let security = config.linux.get_or_insert_default().security_context.get_or_insert_default();
    if security.namespace_options.is_none() {
        let of_pod = pod.linux.as_ref().and_then(|linux| linux.security_context.as_ref());
        security.namespace_options = of_pod.and_then(|security| security.namespace_options.clone());
    }
    config
}
