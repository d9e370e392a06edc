//! The fields of a pod (Kubernetes API v1) that determine what its containers may use.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use lockc_policy::host::Kind;

use serde::Deserialize;
use serde_json::{Value, json};

/// `PodSpec`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct PodSpec {
    pub(crate) host_network: bool,
    #[serde(rename = "hostPID")]
    pub(crate) host_pid: bool,
    #[serde(rename = "hostIPC")]
    pub(crate) host_ipc: bool,
    pub(crate) os: Os,
    pub(crate) runtime_class_name: Option<String>,
    pub(crate) security_context: SecurityContext,
    containers: Vec<Container>,
    init_containers: Vec<Container>,
    ephemeral_containers: Vec<Container>,
    volumes: Vec<Volume>,
}

/// `PodOS`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Os {
    pub(crate) name: String,
}

/// `Container`, also an init or ephemeral one.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Container {
    pub(crate) name: String,
    pub(crate) security_context: SecurityContext,
    volume_mounts: Vec<VolumeMount>,
    volume_devices: Vec<VolumeDevice>,
    ports: Vec<Port>,
    liveness_probe: Value,
    readiness_probe: Value,
    startup_probe: Value,
    lifecycle: Value,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct VolumeMount {
    name: String,
    mount_path: String,
    sub_path: String,
    read_only: bool,
    mount_propagation: String,
}

/// A raw block volume.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct VolumeDevice {
    device_path: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Port {
    host_port: u16,
}

/// `Volume`: its name, and one key that says of what kind it is.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Volume {
    name: String,
    host_path: Option<HostPath>,
    #[serde(flatten)]
    other: BTreeMap<String, Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct HostPath {
    path: String,
    #[serde(rename = "type")]
    kind: Option<String>,
}

/// `PodSecurityContext` and `SecurityContext` in one.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct SecurityContext {
    pub(crate) privileged: bool,
    pub(crate) allow_privilege_escalation: Option<bool>,
    run_as_user: Option<u32>,
    run_as_non_root: Option<bool>,
    proc_mount: Option<String>,
    capabilities: Capabilities,
    seccomp_profile: Option<Profile>,
    app_armor_profile: Option<Profile>,
    se_linux_options: Option<SeLinux>,
    sysctls: Vec<Sysctl>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Capabilities {
    add: Vec<String>,
    drop: Vec<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Profile {
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct SeLinux {
    user: String,
    role: String,
    #[serde(rename = "type")]
    kind: String,
    level: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Sysctl {
    name: String,
    value: String,
}

/// A number that the kernel gives to no device: it has 12 bits for it (include/linux/kdev_t.h).
const UNKNOWN_MAJOR: u32 = 4096;

/// Where containerd's CRI plugin mounts image volumes.
const IMAGE_VOLUMES: &str = "/run/containerd/io.containerd.grpc.v1.cri/image-volumes";

/// Where kubelet keeps what is the pod's.
const POD: &str = "/var/lib/kubelet/pods/pod";

/// Kinds of volumes that the Pod Security Standards' restricted admits; images since Kubernetes
/// 1.33.
const VOLUMES: [&str; 9] = [
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "image",
    "persistentVolumeClaim",
    "projected",
    "secret",
];

impl PodSpec {
    pub(crate) fn every_container(&self) -> impl Iterator<Item = &Container> {
        self.placed_containers().map(|(_, _, container)| container)
    }

    /// Every container, with the name of its list and its place there.
    pub(crate) fn placed_containers(&self) -> impl Iterator<Item = (&str, usize, &Container)> {
        let lists = [
            ("initContainers", &self.init_containers),
            ("containers", &self.containers),
            ("ephemeralContainers", &self.ephemeral_containers),
        ];
        lists.into_iter().flat_map(|(list, containers)| {
            containers.iter().enumerate().map(move |(number, container)| (list, number, container))
        })
    }

    /// The directory of the nodes of its raw block volumes, as kubelet maps them (Kubernetes 1.34,
    /// pkg/volume/util/volumepathhandler).
    pub(crate) fn block_volumes() -> PathBuf {
        Path::new(POD).join("volumeDevices/kubernetes.io~csi")
    }

    /// What is in a directory of the pod's.
    pub(crate) fn entries(&self, directory: &Path) -> Vec<PathBuf> {
        let nodes = Self::block_volumes();
        if nodes.parent() == Some(directory) {
            return vec![nodes];
        }
        let most = self
            .every_container()
            .map(|container| container.volume_devices.len())
            .max()
            .unwrap_or(0);
        if directory == nodes {
            (0..most).map(|number| nodes.join(number.to_string())).collect()
        } else {
            Vec::new()
        }
    }

    /// The device that such a node is.
    pub(crate) fn block_volume(path: &Path) -> Option<Kind> {
        let number = path.strip_prefix(Self::block_volumes()).ok()?.to_str()?.parse().ok()?;
        Some(Kind::Block(UNKNOWN_MAJOR, number))
    }

    /// The bind mount of the termination log, which kubelet gives to every container.
    pub(crate) fn termination_log(container: &Container) -> Value {
        let source = Path::new(POD).join("containers").join(&container.name).join("log");
        json!({ "destination": "/dev/termination-log", "type": "bind", "source": source,
            "options": ["rbind", "rprivate", "rw"] })
    }

    /// The bind mounts of image volumes, as containerd 2.1 makes them
    /// (internal/cri/server/container_image_mount.go).
    pub(crate) fn image_mounts(&self, container: &Container) -> impl Iterator<Item = Value> {
        container.volume_mounts.iter().filter_map(|mount| {
            let volume = self.volumes.iter().find(|volume| volume.name == mount.name)?;
            volume.other.get("image")?;
            let source =
                Path::new(IMAGE_VOLUMES).join("sandbox").join(&volume.name).join(&mount.sub_path);
            Some(json!({
                "destination": mount.mount_path, "type": "bind", "source": source, "options": [
                    "rbind", "ro", "rprivate"],
            }))
        })
    }

    /// The bind mounts of the node's paths; every other volume but images is kubelet's own.
    pub(crate) fn host_mounts(&self, container: &Container) -> impl Iterator<Item = Value> {
        container.volume_mounts.iter().filter_map(|mount| {
            let volume = self.volumes.iter().find(|volume| volume.name == mount.name)?;
            let source = Path::new(&volume.host_path.as_ref()?.path).join(&mount.sub_path);
            let access = if mount.read_only { "ro" } else { "rw" };
            let propagation = match mount.mount_propagation.as_str() {
                "Bidirectional" => "rshared",
                "HostToContainer" => "rslave",
                _ => "rprivate",
            };
            Some(json!({
                "destination": mount.mount_path, "type": "bind", "source": source, "options": [
                    "rbind", access, propagation],
            }))
        })
    }

    /// What the manifest says of a path of the node's; nothing if it does not.
    pub(crate) fn host_path_type(&self, path: &Path) -> &str {
        let host_paths = self.volumes.iter().filter_map(|volume| volume.host_path.as_ref());
        let named = host_paths.filter(|host_path| Path::new(&host_path.path) == path);
        named.filter_map(|host_path| host_path.kind.as_deref()).next().unwrap_or("")
    }

    /// What the Pod Security Standards refuse, and no runtime learns of.
    pub(crate) fn unseen(&self, container: &Container) -> Vec<String> {
        let security = SecurityContext::of(&self.security_context, &container.security_context);
        let is_open = |profile: &Option<Profile>| {
            profile.as_ref().is_some_and(|profile| profile.kind == "Unconfined")
        };
        let mut notes = Vec::new();
        let mut note = |level: &str, what: String| {
            notes.push(format!(
                "{what}: forbidden at the {level} level of the Pod Security Standards, but a \
                 runtime does not see it"
            ));
        };
        for port in container.ports.iter().filter(|port| port.host_port != 0) {
            note("baseline", format!("hostPort {}", port.host_port));
        }
        for host in container.probed_hosts() {
            note("baseline", format!("a probe or lifecycle handler of the host {host}"));
        }
        if is_open(&security.seccomp_profile) && !security.privileged {
            note("baseline", "seccompProfile Unconfined".into());
        }
        for volume in self.volumes.iter().filter(|volume| volume.host_path.is_none()) {
            for kind in volume.other.keys().filter(|kind| !VOLUMES.contains(&kind.as_str())) {
                note("restricted", format!("volume {} of kind {kind}", volume.name));
            }
        }
        if is_open(&security.app_armor_profile) && !security.privileged {
            notes.push(
                "appArmorProfile Unconfined: on a node without AppArmor the runtime does not \
                 receive it"
                    .into(),
            );
        }
        notes
    }
}

impl Container {
    /// Hosts beside the pod itself to which kubelet connects for the container.
    fn probed_hosts(&self) -> impl Iterator<Item = &str> {
        let lifecycle = ["postStart", "preStop"].map(|handler| &self.lifecycle[handler]);
        let handlers = [&self.liveness_probe, &self.readiness_probe, &self.startup_probe]
            .into_iter()
            .chain(lifecycle);
        let hosts = handlers.flat_map(|handler| {
            ["httpGet", "tcpSocket"].map(|action| handler[action]["host"].as_str())
        });
        hosts.flatten().filter(|host| !host.is_empty())
    }

    /// The device nodes of raw block volumes. Their numbers are not known here: they get ones that
    /// no policy names, and that kubelet's nodes have.
    pub(crate) fn block_devices(&self) -> impl Iterator<Item = Value> {
        self.volume_devices.iter().zip(0..).map(|(volume, number)| {
            json!({ "path": volume.device_path, "type": "b", "major": UNKNOWN_MAJOR,
                "minor": number })
        })
    }
}

impl SecurityContext {
    /// The container's, with the pod's where it says nothing.
    pub(crate) fn of(pod: &Self, container: &Self) -> Self {
        let mut both = container.clone();
        both.run_as_user = both.run_as_user.or(pod.run_as_user);
        both.run_as_non_root = both.run_as_non_root.or(pod.run_as_non_root);
        both.seccomp_profile = both.seccomp_profile.or_else(|| pod.seccomp_profile.clone());
        both.app_armor_profile = both.app_armor_profile.or_else(|| pod.app_armor_profile.clone());
        both.se_linux_options = both.se_linux_options.or_else(|| pod.se_linux_options.clone());
        both
    }

    pub(crate) fn capabilities(&self, usual: &[String], every: &[String]) -> Vec<String> {
        if self.privileged {
            return every.to_vec();
        }
        let full = |name: &String| {
            let upper = name.to_ascii_uppercase();
            if upper.starts_with("CAP_") { upper } else { format!("CAP_{upper}") }
        };
        let has_all = |names: &[String]| names.iter().any(|name| full(name) == "CAP_ALL");
        let mut granted =
            if has_all(&self.capabilities.add) { every.to_vec() } else { usual.to_vec() };
        if has_all(&self.capabilities.drop) && !has_all(&self.capabilities.add) {
            granted.clear();
        }
        granted.retain(|name| !self.capabilities.drop.iter().any(|drop| full(drop) == *name));
        let added = self.capabilities.add.iter().map(full).filter(|name| name != "CAP_ALL");
        granted.extend(added.collect::<Vec<_>>());
        granted
    }

    /// kubelet starts nothing as uid 0 with runAsNonRoot; without that and without a user it is the
    /// image that decides, and most choose root.
    pub(crate) fn uid(&self) -> u32 {
        match (self.run_as_user, self.run_as_non_root) {
            (Some(uid), _) => uid,
            (None, Some(true)) => 65_534,
            (None, _) => 0,
        }
    }

    pub(crate) fn shows_everything(&self) -> bool {
        self.privileged || self.proc_mount.as_deref() == Some("Unmasked")
    }

    pub(crate) fn has_seccomp(&self) -> bool {
        self.seccomp_profile
            .as_ref()
            .is_some_and(|profile| ["RuntimeDefault", "Localhost"].contains(&profile.kind.as_str()))
    }

    /// The profile that the CRI plugin sets: its default unless the pod names one, none for a
    /// privileged container (containerd 2.1, internal/cri/server/container_create_linux.go).
    pub(crate) fn apparmor_profile(&self) -> &str {
        match self.app_armor_profile.as_ref().map(|profile| profile.kind.as_str()) {
            Some("Unconfined") => "",
            _ if self.privileged => "",
            Some("Localhost") => "localhost",
            _ => "cri-containerd.apparmor.d",
        }
    }

    /// `user:role:type:level`, with what engines fill in.
    pub(crate) fn selinux_label(&self) -> String {
        let Some(options) = &self.se_linux_options else { return String::new() };
        let or = |text: &String, usual: &str| {
            if text.is_empty() { usual.to_owned() } else { text.clone() }
        };
        let parts = [
            or(&options.user, "system_u"),
            or(&options.role, "system_r"),
            or(&options.kind, "container_t"),
        ];
        format!("{}:{}", parts.join(":"), or(&options.level, "s0"))
    }

    pub(crate) fn sysctls(&self) -> BTreeMap<&str, &str> {
        self.sysctls.iter().map(|sysctl| (sysctl.name.as_str(), sysctl.value.as_str())).collect()
    }
}
