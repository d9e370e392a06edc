//! Annotations that a runtime acts on with its own rights.
//!
//! Whoever starts a container writes them: `docker run --annotation`, a pod's annotations under
//! CRI-O, an image's under Podman. An allow list names those that engines write by themselves, with
//! the values that they write. Every other annotation below one of the prefixes is refused.

use std::path::Path;

use crate::{admission::findings::Findings, engines::Request};
use crate::{
    enforcement::{Circumstances, KernelSide},
    engine::Engine,
    policy::Control,
};

/// Beginnings of keys that a runtime acts on, with the runtime. The lists
/// `potentiallyUnsafeConfigAnnotations` of `runc features` (features.go, runc 1.3) and
/// `crun features` (src/libcrun/container.c, crun 1.21) are below them.
const ACTED_ON: [(&str, &str); 8] = [
    ("run.oci.", "crun and youki"),
    ("module.wasm.", "crun and youki"),
    // Processors and memory of the machine (crun 1.28, src/libcrun/handlers/krun.c).
    ("krun.", "crun"),
    ("org.criu.", "runc and crun"),
    ("org.systemd.property.", "runc and crun"),
    ("dev.gvisor.", "gVisor"),
    ("io.katacontainers.", "Kata Containers"),
    // runc lets it replace the bundle in what hooks and `runc state` read
    // (libcontainer/utils/utils.go, Annotations). Only the whole key counts.
    ("bundle", "runc"),
];

/// Keys that `crun features` calls unsafe, and that take nothing out of a container: crun runs a
/// pod's sandbox without a handler (src/libcrun/custom-handler.c).
const HARMLESS: [&str; 1] = ["io.kubernetes.cri.container-type"];

/// Where gVisor's shim writes how the volumes of a pod are shared (pkg/shim/v1/utils/volumes.go).
const VOLUME: &str = "dev.gvisor.spec.mount.";

struct Query<'a> {
    request: &'a Request<'a>,
    circumstances: &'a Circumstances<'a>,
}

/// An annotation that an engine writes.
struct Written {
    key: &'static str,
    /// The values that it writes, for messages.
    values: &'static str,
    fits: fn(&str, &Query<'_>) -> bool,
}

const WRITTEN: [Written; 8] = [
    // Podman 5.4, libpod/container_internal_common.go, by --stop-signal and --stop-timeout.
    Written {
        key: "org.systemd.property.KillSignal",
        values: "a signal's number",
        fits: |value, _| is_number(value) && (1..=64).contains(&value.parse().unwrap_or(0)),
    },
    Written {
        key: "org.systemd.property.TimeoutStopUSec",
        values: "\"uint64 MICROSECONDS\"",
        fits: |value, _| value.strip_prefix("uint64 ").is_some_and(is_number),
    },
    // CRI-O 1.30, server/container_create_linux.go and sandbox_run_linux.go.
    Written {
        key: "org.systemd.property.CollectMode",
        values: "\"'inactive-or-failed'\"",
        fits: |value, _| value == "'inactive-or-failed'",
    },
    Written {
        key: "org.systemd.property.DefaultDependencies",
        values: "\"true\"",
        fits: |value, _| value == "true",
    },
    Written {
        key: "org.systemd.property.After",
        values: "\"['crio.service']\"",
        fits: |value, _| value == "['crio.service']",
    },
    // An administrator's default_annotations in crio.conf: no cgroup below that of the unit.
    Written { key: "run.oci.systemd.subgroup", values: "\"\"", fits: |value, _| value.is_empty() },
    // Podman, --security-opt label=nested: which option of SELinux's the runtime mounts with.
    Written {
        key: "run.oci.mount_context_type",
        values: "\"rootcontext\"",
        fits: |value, _| value == "rootcontext",
    },
    // Podman, --group-add keep-groups. A user's groups are his already; root's are not the
    // container's.
    Written {
        key: "run.oci.keep_original_groups",
        values: "\"1\", for a rootless engine",
        fits: |value, query| {
            value == "1" && query.circumstances.kernel_side == KernelSide::Rootless
        },
    },
];

/// Checks the container's annotations; `sandboxed`: the runtime makes a sandbox.
pub(super) fn check(
    request: &Request<'_>,
    circumstances: &Circumstances<'_>,
    sandboxed: bool,
    findings: &mut Findings<'_>,
) {
    let query = Query { request, circumstances };
    for (key, value) in &request.spec.annotations {
        if let Some(problem) = problem(key, value, &query, sandboxed) {
            let shown: String = value.chars().take(80).collect();
            let what = format!("the annotation {key}={shown}, {problem}");
            findings.add(Control::RuntimeHandlers, what, "remove the annotation");
        }
    }
}

/// Whether runsc joins a container to a running sandbox by this key (gVisor,
/// runsc/specutils/cri.go), and it does not stand for the engine that starts the container.
fn joins_a_pod(key: &str, engine: Option<Engine>) -> bool {
    Engine::ALL
        .iter()
        .filter(|other| other.is_kubernetes() && Some(**other) != engine)
        .any(|other| other.facts().pod.is_some_and(|pod| pod.kind == key))
}

/// Why an annotation is refused.
fn problem(key: &str, value: &str, query: &Query<'_>, sandboxed: bool) -> Option<String> {
    if sandboxed && joins_a_pod(key, query.request.engine) {
        return Some("which makes the runtime join it to another container's sandbox".into());
    }
    let runtime = acted_on(key)?;
    if let Some(written) = WRITTEN.iter().find(|written| written.key == key) {
        return (!(written.fits)(value, query))
            .then(|| format!("which may only be {}", written.values));
    }
    if let Some(rest) = key.strip_prefix(VOLUME) {
        return (!is_volume(rest, value, query))
            .then(|| "which gVisor's shim writes differently".into());
    }
    Some(format!("on which {runtime} act as root on the host"))
}

/// The runtimes that act on a key.
fn acted_on(key: &str) -> Option<&'static str> {
    let below =
        |prefix: &str| if prefix.ends_with('.') { key.starts_with(prefix) } else { key == prefix };
    ACTED_ON.iter().find(|(prefix, _)| below(prefix)).map(|(_, runtime)| *runtime)
}

/// Whether one of the lists covers an entry of `potentiallyUnsafeConfigAnnotations`, in which a dot
/// at the end stands for all keys that begin so (OCI runtime specification 1.2, features.md).
pub fn covers(unsafe_key: &str) -> bool {
    HARMLESS.contains(&unsafe_key) || acted_on(unsafe_key).is_some()
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.len() <= 19 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether it is of a volume of this pod's, as kubelet keeps it, or of a mount of this container's.
fn is_volume(rest: &str, value: &str, query: &Query<'_>) -> bool {
    let plain = |text: &str| {
        !text.is_empty()
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_=,".contains(&byte))
    };
    let Some((name, field)) = rest.split_once('.') else { return false };
    query.request.engine == Some(Engine::Cri)
        && plain(name)
        && match field {
            "share" => ["container", "pod", "shared"].contains(&value),
            "type" => ["tmpfs", "bind"].contains(&value),
            "options" => plain(value),
            "source" => {
                let path = Path::new(value);
                let parts: Vec<_> = path
                    .strip_prefix("/var/lib/kubelet/pods")
                    .iter()
                    .flat_map(|p| p.iter())
                    .collect();
                let of_pod = query.request.sandbox
                    && matches!(parts.as_slice(), [_, volumes, _,
                        volume] if *volumes == "volumes" && *volume == name)
                    && parts.iter().all(|part| *part != "..");
                of_pod || query.request.spec.mounts.iter().any(|mount| mount.source == path)
            }
            _ => false,
        }
}
