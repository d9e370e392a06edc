//! Annotations that runtimes act on: what engines write passes, everything else is refused.

use super::*;
use crate::{
    admission::annotations::covers,
    enforcement::{Circumstances, KernelSide},
    engine::Engine,
};

/// What `runc features` (1.3.4) and `crun features` (1.21) call unsafe.
const RUNC: &str = r#"["bundle", "org.systemd.property.", "org.criu.config"]"#;
const CRUN: &str =
    r#"["module.wasm.image/variant", "io.kubernetes.cri.container-type", "run.oci.", "org.criu."]"#;

struct Asked {
    engine: Option<Engine>,
    sandbox: bool,
    runtime: &'static str,
    kernel_side: KernelSide,
}

const PLAIN: Asked = Asked {
    engine: None,
    sandbox: false,
    runtime: "/usr/bin/runc",
    kernel_side: KernelSide::Confines,
};

fn refusals(asked: &Asked, key: &str, value: &str) -> Vec<String> {
    let mut spec = bind("/var/lib/kubelet/pods/p1/volumes/kubernetes.io~empty-dir/v", "/v");
    spec["annotations"] = json!({ key: value });
    refusals_of(asked, &spec)
}

fn refusals_of(asked: &Asked, spec: &Value) -> Vec<String> {
    let spec = Spec::parse(spec.to_string().as_bytes(), Path::new("config.json")).unwrap();
    let (engine, sandbox) = (asked.engine, asked.sandbox);
    let request =
        Request { id: ID, bundle: Path::new("/b"), spec: &spec, restore: false, engine, sandbox };
    let policy = Policy::for_level(Level::Baseline, "a test");
    let circumstances = Circumstances {
        runtime: Some(Path::new(asked.runtime)),
        kernel_side: asked.kernel_side,
        ..Circumstances::default()
    };
    let (config, engines) = (Settings::default(), Engines::default());
    let checked =
        admit_under(&request, &policy, &config, &engines, &FakeHost::default(), &circumstances);
    let found = checked.err().into_iter().flatten();
    found
        .filter(|found| found.control == Control::RuntimeHandlers)
        .map(|found| found.what)
        .collect()
}

#[test]
fn what_the_runtimes_call_unsafe_is_in_the_table() {
    for list in [RUNC, CRUN] {
        for key in serde_json::from_str::<Vec<String>>(list).unwrap() {
            assert!(covers(&key), "{key}");
        }
    }
    assert!(!covers("run.other.") && !covers("bundles"));
}

#[test]
fn whatever_no_engine_writes_is_refused() {
    for (key, value) in [
        ("run.oci.handler", "krun"),
        ("run.oci.handler.c1", "krun"),
        ("run.oci.hooks.stdout", "/etc/cron.d/x"),
        ("run.oci.hooks.stderr", "/etc/cron.d/x"),
        ("run.oci.pidfd_receiver", "/run/x"),
        ("run.oci.seccomp.receiver", "/run/x"),
        ("run.oci.seccomp.plugins", "/home/u/x.so"),
        ("run.oci.seccomp_bpf_data", "AAAA"),
        ("run.oci.systemd.subgroup", "../../x"),
        ("run.oci.systemd.subgroup", "x"),
        ("run.oci.systemd.force_cgroup_v1", "/x"),
        ("run.oci.delegate-cgroup", "../x"),
        ("run.oci.keep_original_groups", "1"),
        ("run.oci.mount_context_type", "context,uid=0"),
        ("run.oci.timens_offset", "x"),
        ("run.oci.of-the-next-release", ""),
        ("run.oci.", ""),
        ("org.criu.config", "/home/u/evil.conf"),
        ("org.criu.of-the-next-release", ""),
        ("module.wasm.image/variant", "compat-smart"),
        ("module.wasm.image/variant.c1", "compat"),
        ("io.katacontainers.config.hypervisor.path", "/x"),
        ("dev.gvisor.flag.host-uds", "all"),
        ("dev.gvisor.spec.rootfs.source", "/"),
        ("bundle", "/x"),
        ("org.systemd.property.DeviceAllow", "x"),
        ("org.systemd.property.ExecStopPost", "x"),
        ("org.systemd.property.KillSignal", "65"),
        ("org.systemd.property.KillSignal", "@as []"),
        ("org.systemd.property.TimeoutStopUSec", "uint64 -1"),
        ("org.systemd.property.TimeoutStopUSec", "10"),
        ("org.systemd.property.TimeoutStopSec", "uint64 1"),
        ("org.systemd.property.CollectMode", "'inactive'; x"),
        ("org.systemd.property.DefaultDependencies", "false"),
        ("org.systemd.property.After", "['ssh.service']"),
    ] {
        let found = refusals(&PLAIN, key, value);
        assert!(found.len() == 1 && found[0].contains(key), "{key}={value}: {found:?}");
    }
}

#[test]
fn what_engines_write_passes() {
    for (key, value) in [
        ("org.systemd.property.KillSignal", "37"),
        ("org.systemd.property.TimeoutStopUSec", "uint64 10000000"),
        ("org.systemd.property.CollectMode", "'inactive-or-failed'"),
        ("org.systemd.property.DefaultDependencies", "true"),
        ("org.systemd.property.After", "['crio.service']"),
        ("run.oci.systemd.subgroup", ""),
        ("run.oci.mount_context_type", "rootcontext"),
        ("io.kubernetes.cri.container-type", "sandbox"),
        ("io.container.manager", "libpod"),
        ("org.opencontainers.image.stopSignal", "15"),
        ("bundles", "x"),
        ("run.ocix", "x"),
        ("org.systemd", "x"),
        ("x.run.oci.handler", "krun"),
    ] {
        assert_eq!(refusals(&PLAIN, key, value), [""; 0], "{key}={value}");
    }
    let rootless = Asked { kernel_side: KernelSide::Rootless, ..PLAIN };
    assert!(refusals(&rootless, "run.oci.keep_original_groups", "1").is_empty());
    assert_eq!(refusals(&rootless, "run.oci.keep_original_groups", "x").len(), 1);
}

#[test]
fn gvisors_shim_tells_of_a_pods_volumes() {
    const SOURCE: &str = "/var/lib/kubelet/pods/p1/volumes/kubernetes.io~empty-dir/v";
    let pod = Asked { engine: Some(Engine::Cri), sandbox: true, runtime: "/x/runsc", ..PLAIN };
    let key = |field: &str| format!("dev.gvisor.spec.mount.v.{field}");
    for (field, value, passes) in [
        ("share", "pod", true),
        ("type", "tmpfs", true),
        ("options", "rw,size=1", true),
        ("source", SOURCE, true),
        ("share", "host", false),
        ("type", "ext4", false),
        ("options", "", false),
        ("source", "/etc", false),
        ("source", "/var/lib/kubelet/pods/../../../etc/volumes/x/v", false),
        ("source", "/var/lib/kubelet/pods/p1/volumes/x/other", false),
        ("device", "/dev/sda", false),
    ] {
        assert_eq!(refusals(&pod, &key(field), value).is_empty(), passes, "{field}={value}");
    }
    // Nobody but kubelet's containerd has such a shim.
    let docker = Asked { engine: Some(Engine::Docker), ..pod };
    assert_eq!(refusals(&docker, &key("share"), "pod").len(), 1);
}

#[test]
fn only_the_engine_of_pods_joins_a_container_to_a_running_sandbox() {
    for (key, engine) in [
        ("io.kubernetes.cri.container-type", Engine::Cri),
        ("io.kubernetes.cri-o.ContainerType", Engine::Crio),
    ] {
        for asking in [None, Some(Engine::Docker), Some(Engine::Podman), Some(engine)] {
            let asked = Asked { engine: asking, runtime: "/x/runsc", ..PLAIN };
            assert_eq!(
                refusals(&asked, key, "container").is_empty(),
                asking == Some(engine),
                "{key} {asking:?}"
            );
            assert!(refusals(&Asked { runtime: "/x/runc", ..asked }, key, "container").is_empty());
        }
    }
}

#[test]
fn a_runtime_that_chooses_a_handler_by_its_name_is_refused() {
    for (runtime, refused) in [
        ("/usr/bin/krun", true),
        ("/usr/bin/crun-wasm", true),
        ("/usr/bin/crun", false),
        ("/opt/crun-1.21", false),
    ] {
        let found = refusals_of(&Asked { runtime, ..PLAIN }, &spec());
        assert_eq!(found.len(), usize::from(refused), "{runtime}: {found:?}");
    }
    // An administrator who calls it a sandbox says that it has a kernel of its own.
    let parsed = Spec::parse(spec().to_string().as_bytes(), Path::new("x")).unwrap();
    let request = Request {
        id: ID,
        bundle: Path::new("/b"),
        spec: &parsed,
        restore: false,
        engine: None,
        sandbox: false,
    };
    let config = Settings { sandbox_runtimes: vec!["/usr/bin/krun".into()], ..Settings::default() };
    let circumstances =
        Circumstances { runtime: Some(Path::new("/usr/bin/krun")), ..Circumstances::default() };
    let policy = Policy::for_level(Level::Baseline, "a test");
    admit_under(
        &request,
        &policy,
        &config,
        &Engines::default(),
        &FakeHost::default(),
        &circumstances,
    )
    .unwrap();
}
