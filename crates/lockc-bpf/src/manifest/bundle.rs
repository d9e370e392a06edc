//! The `config.json` of a container in a manifest.

use lockc_policy::{admission::kernel_files, policy::capabilities};
use serde_json::{Value, json};

use super::pod::{Container, PodSpec, SecurityContext};

/// What the CRI plugin would write (containerd 2.1, internal/cri/server/container_create_linux.go).
pub(super) fn bundle(
    pod: &PodSpec,
    container: &Container,
    namespace: &str,
    asked: &[(&str, &str)],
) -> Value {
    let security = SecurityContext::of(&pod.security_context, &container.security_context);
    let mut namespaces = vec![json!({ "type": "mount" })];
    for (kind, of_host) in [
        ("pid", pod.host_pid),
        ("ipc", pod.host_ipc),
        ("network", pod.host_network),
        ("uts", pod.host_network),
    ] {
        if !of_host {
            namespaces.push(json!({ "type": kind }));
        }
    }
    let capabilities = security.capabilities(&capabilities::usual(), &capabilities::every());
    let mut annotations = json!({
        "io.kubernetes.cri.container-type": "container",
        "io.kubernetes.cri.sandbox-namespace": namespace,
        "io.kubernetes.cri.sandbox-id": "sandbox",
    });
    for (key, value) in asked {
        annotations[*key] = json!(value);
    }
    let mut linux = json!({ "namespaces": namespaces, "sysctl": pod.security_context.sysctls() });
    if !security.shows_everything() {
        linux["maskedPaths"] = json!(kernel_files::MASKED);
        linux["readonlyPaths"] = json!(kernel_files::READ_ONLY);
    }
    if security.privileged {
        linux["resources"] = json!({ "devices": [{ "allow": true, "access": "rwm" }] });
    }
    let devices: Vec<Value> = container.block_devices().collect();
    if !devices.is_empty() {
        linux["devices"] = json!(devices);
    }
    if !security.privileged && security.has_seccomp() {
        linux["seccomp"] = json!({ "defaultAction": "SCMP_ACT_ERRNO" });
    }
    let own = [PodSpec::termination_log(container)];
    let mounts: Vec<Value> =
        pod.host_mounts(container).chain(pod.image_mounts(container)).chain(own).collect();
    if mounts.iter().any(|mount| {
        mount["options"].as_array().is_some_and(|options| options.contains(&json!("rshared")))
    }) {
        linux["rootfsPropagation"] = json!("rshared");
    }
    json!({
        "root": { "path": "rootfs" },
        "process": {
            "user": { "uid": security.uid() },
            "capabilities": { "bounding": capabilities, "effective": capabilities,
                "permitted": capabilities },
            "noNewPrivileges": security.allow_privilege_escalation == Some(false),
            "selinuxLabel": security.selinux_label(),
            "apparmorProfile": security.apparmor_profile(),
        },
        "mounts": mounts,
        "annotations": annotations,
        "linux": linux,
    })
}
