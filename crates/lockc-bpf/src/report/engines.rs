//! The engines' configuration files: what lockc understands of them.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use jsonc_parser::{ParseOptions, cst::CstRootNode};
use serde_json::Value;

use super::{read::read, redact::Redactor};

/// Files and directories, below the root, that decide which runtime starts a container.
const PLACES: [&str; 22] = [
    "etc/docker/daemon.json",
    "var/snap/docker/current/config/daemon.json",
    "etc/containerd/config.toml",
    "etc/containerd/conf.d",
    "etc/containerd/certs.d",
    "etc/crio/crio.conf",
    "etc/crio/crio.conf.d",
    "usr/share/containers/containers.conf",
    "etc/containers/containers.conf",
    "etc/containers/containers.conf.d",
    "etc/containers/storage.conf",
    "etc/containers/registries.conf",
    "etc/rancher/k3s/config.yaml",
    "etc/rancher/k3s/registries.yaml",
    "var/lib/rancher/k3s/agent/etc/containerd/config.toml",
    "etc/rancher/rke2/config.yaml",
    "etc/rancher/rke2/registries.yaml",
    "var/lib/rancher/rke2/agent/etc/containerd/config.toml",
    "etc/k0s/containerd.toml",
    "etc/k0s/containerd.d",
    "var/snap/microk8s/current/args/containerd.toml",
    "var/lib/kubelet/config.yaml",
];

/// Keys whose values are understood. None of them has credentials in any engine.
const KEYS: &str = "
    version imports root state disabled_plugins required_plugins plugins grpc address uid gid debug
    level default-runtime default_runtime default_runtime_name runtimes runtime runtime_type
    runtime_path runtime_root runtime_engine base_runtime_spec privileged_without_host_devices
    privileged_without_host_devices_all_devices_allowed sandboxer sandbox_mode snapshotter
    container_annotations pod_annotations path runtimeType BinaryName SystemdCgroup NoPivotRoot
    options.BinaryName TypeUrl containerd cri cni bin_dir bin_dirs conf_dir config_path
    discard_unpacked_layers disable_snapshot_annotations max_container_log_line_size sandbox_image
    pinned_images enable_selinux selinux_category_range enable_cdi cdi_spec_dirs
    enable_unprivileged_ports enable_unprivileged_icmp disable_apparmor restrict_oom_score_adj
    storage-driver log-driver log-level live-restore data-root exec-root data_root userns-remap
    experimental icc iptables ip6tables ipv6 no-new-privileges selinux-enabled cgroup-parent
    default-cgroupns-mode default-ipc-mode seccomp-profile init features containerd-snapshotter
    containerd-namespace containerd-plugins-namespace max-concurrent-downloads
    crio conmon conmon_cgroup cgroup_manager cgroupManager cgroupDriver default_capabilities
    selinux apparmor_profile seccomp_profile hooks_dir pids_limit allowed_devices
    additional_devices drop_infra_ctr monitor_path monitor_cgroup infra_ctr_cpuset storage_driver
    runroot engine engine.runtimes containers network cgroups cgroupns ipcns netns pidns userns
    utsns devices default_sysctls no_pivot_root events_logger runtime_supports_json
    runtime_supports_kvm runtime_supports_nocgroups storage driver graphroot rootless_storage_path
    unqualified-search-registries registry location insecure blocked prefix mirror mirrors server
    endpoint capabilities skip_verify override_path containerRuntimeEndpoint kind apiVersion
    seccompDefault protectKernelDefaults
    container-runtime-endpoint default-runtime snapshotter disable-apparmor selinux docker
    io.containerd.grpc.v1.cri io.containerd.cri.v1.runtime io.containerd.cri.v1.images
    io.containerd.internal.v1.opt io.containerd.snapshotter.v1.overlayfs ttrpc timeouts
    oom_score default runc crun kata lockc nvidia
";

/// Set but dangerous to show, although their names do not say so: they are never known.
#[cfg(test)]
const NEVER: [&str; 6] = ["password", "auth", "identitytoken", "token", "header", "env"];

/// The keys.
pub fn keys() -> BTreeSet<&'static str> {
    KEYS.split_whitespace().collect()
}

/// Names of files and directories that are the same on every host.
pub fn names() -> BTreeSet<&'static str> {
    let own = ["lockc", "lockc.toml", "lockc.d", "99-lockc.conf", "50-lockc.conf", "hosts.toml"];
    PLACES.iter().flat_map(|place| place.split('/')).chain(own).collect()
}

/// A file, by its path below the root.
#[derive(Debug)]
pub struct File {
    /// Its path.
    pub path: PathBuf,
    /// What it says, or why that is not known.
    pub text: Result<String, String>,
}

/// Every file that there is.
pub fn files(root: &Path) -> Vec<File> {
    let mut found = Vec::new();
    for place in PLACES {
        collect(root, Path::new(place), 0, &mut found);
    }
    found
}

/// Files below a directory; `certs.d` has one for each registry.
fn collect(root: &Path, place: &Path, depth: usize, found: &mut Vec<File>) {
    const DEEPEST: usize = 2;
    const MOST: usize = 200;
    let at = root.join(place);
    let Ok(metadata) = fs::metadata(&at) else { return };
    if !metadata.is_dir() {
        if found.len() < MOST {
            found.push(File { path: place.to_owned(), text: read(&at) });
        }
        return;
    }
    if depth == DEEPEST {
        return;
    }
    let entries = fs::read_dir(&at).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries.map(|entry| entry.file_name()).collect();
    names.sort();
    for name in names {
        let below = place.join(&name);
        let is_config = ["toml", "json", "yaml", "yml", "conf"]
            .iter()
            .any(|end| below.extension().is_some_and(|own| own == *end));
        if is_config || fs::metadata(root.join(&below)).is_ok_and(|it| it.is_dir()) {
            collect(root, &below, depth + 1, found);
        }
    }
}

/// What a file says, as far as it is understood.
///
/// # Errors
///
/// Where it has another form than its name says. The text is not told: it may be anything.
pub fn redacted(file: &File, redactor: &mut Redactor) -> Result<Value, String> {
    let text = file.text.as_ref().map_err(Clone::clone)?;
    let value = parsed(&file.path, text).ok_or("it cannot be parsed; its text is left out")?;
    Ok(redactor.value(&value, &keys()))
}

fn parsed(path: &Path, text: &str) -> Option<Value> {
    match path.extension()?.to_str()? {
        "json" => CstRootNode::parse(text, &ParseOptions::default()).ok()?.to_serde_value(),
        "yaml" | "yml" => serde_saphyr::from_str(text).ok(),
        _ => toml::from_str(text).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_of_credentials_is_known() {
        for key in NEVER {
            assert!(!keys().contains(key), "{key}");
        }
    }
}
