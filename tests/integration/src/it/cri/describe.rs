//! Pods and containers as kubelet describes them to an engine (kubelet 1.34,
//! pkg/kubelet/kuberuntime): what it fills in by itself is filled in here too, so that a case says
//! only what a pod's owner would write.

use std::collections::HashMap;

use super::proto::{
    ContainerConfig, ContainerMetadata, Image, Int64Value, Linux, Mount, NamespaceOption,
    PodConfig, PodLinux, PodMetadata, PodSecurity, Resources, Security, SecurityProfile, mode,
    profile,
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

fn of_type(profile_type: i32) -> Option<SecurityProfile> {
    Some(SecurityProfile { profile_type, localhost_ref: String::new() })
}

/// A pod of a namespace, with a network of its own.
pub fn pod(namespace: &str) -> PodConfig {
    let name = fresh_id();
    let uid = format!("uid-{name}");
    let labels = [("name", name.as_str()), ("namespace", namespace), ("uid", uid.as_str())];
    PodConfig {
        hostname: name.clone(),
        log_directory: format!("/var/log/pods/{name}"),
        labels: labels
            .map(|(key, value)| (format!("io.kubernetes.pod.{key}"), value.to_owned()))
            .into(),
        annotations: HashMap::new(),
        linux: Some(PodLinux {
            cgroup_parent: format!("/kubepods/{name}"),
            security: Some(PodSecurity {
                namespaces: Some(NamespaceOption {
                    network: mode::POD,
                    pid: mode::CONTAINER,
                    ipc: mode::POD,
                    target_id: String::new(),
                }),
                run_as_user: None,
                privileged: false,
                // Whatever the pod says.
                seccomp: of_type(profile::RUNTIME_DEFAULT),
            }),
            sysctls: HashMap::new(),
        }),
        metadata: Some(PodMetadata { name, uid, namespace: namespace.into() }),
    }
}

impl PodConfig {
    pub fn annotation(mut self, key: &str, value: &str) -> Self {
        self.annotations.insert(key.into(), value.into());
        self
    }

    pub fn sysctl(mut self, name: &str, value: &str) -> Self {
        self.linux.get_or_insert_default().sysctls.insert(name.into(), value.into());
        self
    }

    /// Any change of the sandbox's security context.
    pub fn security(mut self, change: impl FnOnce(&mut PodSecurity)) -> Self {
        change(self.linux.get_or_insert_default().security.get_or_insert_default());
        self
    }

    /// Any change of its namespaces.
    pub fn namespaces(self, change: impl FnOnce(&mut NamespaceOption)) -> Self {
        self.security(|security| change(security.namespaces.get_or_insert_default()))
    }

    /// `hostNetwork`; kubelet sends no name then.
    pub fn host_network(mut self) -> Self {
        self.hostname.clear();
        self.namespaces(|namespaces| namespaces.network = mode::NODE)
    }

    /// `hostPID`
    pub fn host_pid(self) -> Self {
        self.namespaces(|namespaces| namespaces.pid = mode::NODE)
    }

    /// `hostIPC`
    pub fn host_ipc(self) -> Self {
        self.namespaces(|namespaces| namespaces.ipc = mode::NODE)
    }

    /// `shareProcessNamespace`
    pub fn share_processes(self) -> Self {
        self.namespaces(|namespaces| namespaces.pid = mode::POD)
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
        image: Some(Image { image: IMAGE.into() }),
        command: owned(command),
        labels: HashMap::from([("io.kubernetes.container.name".into(), name.clone())]),
        log_path: format!("{name}.log"),
        linux: Some(Linux {
            resources: Some(Resources { cpu_shares: 2, memory_limit: 0 }),
            security: Some(Security {
                masked_paths: owned(&MASKED),
                readonly_paths: owned(&READ_ONLY),
                // What kubelet makes of a profile that nobody asked for.
                seccomp: of_type(profile::UNCONFINED),
                ..Security::default()
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
    pub fn security(mut self, change: impl FnOnce(&mut Security)) -> Self {
        change(self.linux.get_or_insert_default().security.get_or_insert_default());
        self
    }

    /// `runAsUser`
    pub fn user(self, uid: i64) -> Self {
        self.security(|security| security.run_as_user = Some(Int64Value { value: uid }))
    }

    pub fn add_capability(self, name: &str) -> Self {
        self.security(|security| {
            security.capabilities.get_or_insert_default().add.push(name.into())
        })
    }

    pub fn drop_capabilities(self) -> Self {
        self.security(|security| {
            security.capabilities.get_or_insert_default().drop.push("ALL".into())
        })
    }

    /// `seccompProfile: RuntimeDefault`
    pub fn seccomp_default(self) -> Self {
        self.security(|security| security.seccomp = of_type(profile::RUNTIME_DEFAULT))
    }

    /// Everything that the Pod Security Standards' restricted asks for.
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
        let mount =
            Mount { container_path: path.into(), host_path: host.into(), readonly, propagation: 0 };
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
pub fn in_pod(mut config: ContainerConfig, pod: &PodConfig) -> ContainerConfig {
    let security = config.linux.get_or_insert_default().security.get_or_insert_default();
    if security.namespaces.is_none() {
        let of_pod = pod.linux.as_ref().and_then(|linux| linux.security.as_ref());
        security.namespaces = of_pod.and_then(|security| security.namespaces.clone());
    }
    config
}
