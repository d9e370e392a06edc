//! The cgroup in which a container competes with others, its OOM score, and the SELinux label that
//! an engine leaves out.

use super::*;
use crate::{
    enforcement::{Circumstances, KernelSide},
    engine::Engine,
};

const LONG: &str = "4712cb25233a7e142990b5c5ebc776148aa8b949a971e69500a57d1c9e7ae8a9";

fn findings(
    spec: &Value,
    engine: Option<Engine>,
    sandbox: bool,
    view: &FakeHost,
    kernel_side: KernelSide,
) -> Vec<Control> {
    let circumstances = Circumstances { kernel_side, ..Circumstances::default() };
    found(spec, engine, sandbox, view, &circumstances)
}

fn found(
    spec: &Value,
    engine: Option<Engine>,
    sandbox: bool,
    view: &FakeHost,
    circumstances: &Circumstances<'_>,
) -> Vec<Control> {
    let spec = Spec::parse(spec.to_string().as_bytes(), Path::new("config.json")).unwrap();
    let request =
        Request { id: LONG, bundle: Path::new("/b"), spec: &spec, restore: false, engine, sandbox };
    let policy = Policy::for_level(Level::Baseline, "a test");
    let checked = admit_under(
        &request,
        &policy,
        &Settings::default(),
        &Engines::default(),
        view,
        circumstances,
    );
    checked.err().into_iter().flatten().map(|violation| violation.control).collect()
}

/// Its own processes are in it, and others in the cgroup around it.
#[test]
fn the_cgroup_of_a_container_that_lives_may_be_used() {
    let mut spec = spec();
    let own = format!("/docker/{LONG}");
    spec["linux"]["cgroupsPath"] = json!(own);
    let found = |used: &str, lives| {
        let view = FakeHost { used_cgroups: vec![used.into()], ..FakeHost::default() };
        let circumstances = Circumstances { lives, ..Circumstances::default() };
        found(&spec, Some(Engine::Docker), false, &view, &circumstances)
    };
    assert_eq!(found(&own, false), [Control::Resources]);
    assert_eq!(found(&own, true), []);
    assert_eq!(found("/docker", true), [Control::Resources]);
}

/// Whether a cgroup passes on a host with a service and another container in their cgroups.
fn passes(engine: Option<Engine>, path: &str) -> bool {
    let mut spec = spec();
    spec["linux"]["cgroupsPath"] = json!(path.replace("ID", LONG));
    let view = FakeHost {
        used_cgroups: ["/system.slice/ssh.service", "/docker/other", "/init", "/x"]
            .map(PathBuf::from)
            .to_vec(),
        own_cgroup: "/system.slice/web.service/supervisor".into(),
        ..FakeHost::default()
    };
    let found = findings(&spec, engine, false, &view, KernelSide::Confines);
    assert!(found.is_empty() || found == [Control::Resources], "{path}: {found:?}");
    found.is_empty()
}

#[test]
fn the_cgroups_that_engines_choose_pass() {
    use Engine::{Containerd, Cri, Crio, Docker, Podman};
    for (engine, path) in [
        (Docker, ""),
        (Docker, "/docker/ID"),
        (Docker, "/docker/buildkit/ID"),
        (Docker, "/own-parent/ID"),
        (Docker, "system.slice:docker:ID"),
        (Docker, "team-a.slice:docker:ID"),
        (Containerd, "/default/ID"),
        (Containerd, "system.slice:nerdctl:ID"),
        (Cri, "/kubepods/pod1/ID"),
        (Cri, "/kubepods.slice/ID"),
        (Cri, "kubepods-besteffort-pod1_2.slice:cri-containerd:ID"),
        (Crio, "/kubepods/burstable/pod1/crio-ID"),
        (Crio, "kubepods-burstable-pod1.slice:crio:ID"),
        (Podman, "/libpod_parent/libpod-ID"),
        (
            Podman,
            "/libpod_parent/10724adba9ab6cb2d103b46f9d3771301c07b3886da6839fef98e008fef4d9ab/\
             libpod-ID",
        ),
        (Podman, "machine.slice:libpod:ID"),
        (Podman, "/system.slice/web.service/libpod-payload-ID"),
    ] {
        assert!(passes(Some(engine), path), "{engine:?} {path}");
    }
    for path in ["own", "/own/x", "system.slice:runc:x", ":runc:x"] {
        assert!(passes(None, path), "{path}");
    }
}

#[test]
fn cgroups_of_others_are_refused() {
    use Engine::{Cri, Docker, Podman};
    for (engine, path) in [
        (Some(Docker), "/system.slice/ssh.service"),
        (Some(Docker), "/system.slice/ssh.service/ID"),
        (Some(Docker), "/system.slice/web.service/ID"),
        (Some(Docker), "/docker/other/ID"),
        (Some(Docker), "/docker/x"),
        (Some(Docker), "/docker/../system.slice/ID"),
        (Some(Docker), "system.slice:docker:ssh"),
        (Some(Docker), "ssh.service:docker:ID"),
        (Some(Docker), "init.scope:docker:ID"),
        (Some(Docker), "/x.slice:docker:ID"),
        (Some(Docker), "system.slice:do/cker:ID"),
        (Some(Docker), "system.slice:ID"),
        (Some(Docker), "system.slice:docker:ID:x"),
        (Some(Docker), "/IDx"),
        (Some(Cri), "/kubepods/pod1/other"),
        (Some(Podman), "/system.slice/ssh.service/libpod-payload-ID"),
        (Some(Podman), "/init/libpod-ID"),
        (None, "/system.slice/ssh.service"),
        (None, "system.slice/ssh.service/x"),
        (None, "/x"),
        (None, "x"),
        (None, "../x"),
        (None, "user.slice"),
        (None, ":runc:user.slice"),
        (None, ":runc:ssh.service"),
        (None, "system.slice:runc:"),
        (None, "/user.slice/session-1.scope/x"),
    ] {
        assert!(!passes(engine, path), "{engine:?} {path}");
    }
}

/// `ctr run IMAGE ssh.service` with a cgroup of that name.
#[test]
fn a_container_that_is_called_after_a_service_is_not_that_service() {
    for (id, path) in
        [("ssh.service", "/system.slice/ssh.service"), ("user.slice", "/user.slice"), ("x", "x")]
    {
        let mut spec = spec();
        spec["linux"]["cgroupsPath"] = json!(path);
        let spec = Spec::parse(spec.to_string().as_bytes(), Path::new("config.json")).unwrap();
        let engine = Some(Engine::Containerd);
        let request = Request {
            id,
            bundle: Path::new("/b"),
            spec: &spec,
            restore: false,
            engine,
            sandbox: false,
        };
        let view = FakeHost {
            own_cgroup: "/system.slice/containerd.service".into(),
            used_cgroups: vec!["/system.slice/x".into()],
            ..FakeHost::default()
        };
        let policy = Policy::for_level(Level::Baseline, "a test");
        let checked = admit(&request, &policy, &Settings::default(), &Engines::default(), &view);
        assert_eq!(checked.unwrap_err()[0].control, Control::Resources, "{id} {path}");
    }
}

#[test]
fn a_rootless_engine_works_below_its_users_service() {
    let mut spec = spec();
    spec["linux"]["cgroupsPath"] =
        json!(format!("/user.slice/user-1000.slice/user@1000.service/x/libpod-{LONG}"));
    let view = FakeHost {
        own_cgroup: "/user.slice/user-1000.slice/user@1000.service/x/y".into(),
        ..FakeHost::default()
    };
    let found = |side| findings(&spec, Some(Engine::Crio), false, &view, side);
    assert!(found(KernelSide::Rootless).is_empty());
    assert_eq!(found(KernelSide::Confines), [Control::Resources]);
}

#[test]
fn nobody_is_spared_by_the_oom_killer_beyond_what_engines_do() {
    use Engine::{Cri, Crio, Docker, Podman};
    for (engine, sandbox, lowest) in [
        (Some(Cri), false, -997),
        (Some(Cri), true, -998),
        (Some(Crio), false, -997),
        (Some(Docker), false, 0),
        (Some(Podman), false, 0),
        (None, false, 0),
    ] {
        for (score, expected) in [(lowest - 1, 1), (-1000, 1), (lowest, 0), (1000, 0)] {
            let mut spec = spec();
            spec["process"]["oomScoreAdj"] = json!(score);
            let found =
                findings(&spec, engine, sandbox, &FakeHost::default(), KernelSide::Confines);
            assert_eq!(found, vec![Control::Resources; expected], "{engine:?} {score}");
        }
    }
    let joining = |score: i64| {
        let value = json!({ "user": { "uid": 1 }, "oomScoreAdj": score });
        let process: Process = serde_json::from_value(value).unwrap();
        admit_process(&process, &Policy::for_level(Level::Baseline, "a test")).is_ok()
    };
    assert!(joining(-998) && !joining(-999));
}

#[test]
fn a_label_that_the_engine_would_have_given_is_missed() {
    let view = || FakeHost { selinux: true, ..FakeHost::default() };
    let found = |spec: &Value, engine, sandbox| {
        findings(spec, engine, sandbox, &view(), KernelSide::Confines)
    };
    for engine in [Engine::Podman, Engine::Crio, Engine::Docker, Engine::Cri] {
        assert_eq!(found(&spec(), Some(engine), false), [Control::SeLinux], "{engine:?}");
    }
    assert!(found(&spec(), Some(Engine::Containerd), false).is_empty());
    assert!(found(&spec(), None, false).is_empty());
    assert!(found(&spec(), Some(Engine::Cri), true).is_empty(), "a pod's sandbox");
    let mut labelled = spec();
    labelled["process"]["selinuxLabel"] = json!("system_u:system_r:container_t:s0:c1,c2");
    assert!(found(&labelled, Some(Engine::Podman), false).is_empty());
    // Engines leave it out with the host's PID namespace, which another control refuses.
    let mut shares = spec();
    shares["linux"]["namespaces"].as_array_mut().unwrap().remove(0);
    assert_eq!(found(&shares, Some(Engine::Podman), false), [Control::HostNamespaces]);
}

#[test]
fn unconfined_in_every_spelling() {
    for profile in
        ["unconfined", ":root:unconfined", ":ns://unconfined", "docker-default//&unconfined"]
    {
        let mut spec = spec();
        spec["process"]["apparmorProfile"] = json!(profile);
        assert_eq!(refused(&spec), ["apparmor"], "{profile}");
    }
    let mut spec = spec();
    spec["process"]["apparmorProfile"] = json!("not-unconfined-at-all");
    assert!(refused(&spec).is_empty());
}
