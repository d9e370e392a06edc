//! Whose a root file system is, and whose the files of a namespace are.

use super::*;

#[test]
fn the_root_of_another_container_is_not_this_ones_whoever_names_it() {
    let storage = "/var/lib/containers/storage";
    let policy = Policy::for_level(Level::Baseline, "x");
    let check = |engine: Engine, lists: &[(&str, &str)], root: &str| {
        let mut fake = FakeHost::default();
        fake.mount("0:90", "/", root);
        for (file, text) in lists {
            fake.texts.insert(file.into(), text.as_bytes().to_vec());
        }
        check_as(engine, &with("/root/path", json!(root)), &policy, &fake).is_ok()
    };
    let list = format!("{storage}/overlay-containers/containers.json");
    let volatile = format!("{storage}/overlay-containers/volatile-containers.json");
    let text = r#"[{"id":"c0","layer":"l0"},{"id":"c1","layer":"l1","names":["n"]},
        {"id":"c2","layer":"l2"}]"#;
    let (own, others) =
        (format!("{storage}/overlay/l1/merged"), format!("{storage}/overlay/l2/merged"));
    for engine in [Engine::Podman, Engine::Crio] {
        for file in [list.as_str(), &volatile] {
            assert!(check(engine, &[(file, text)], &own), "{file}");
            assert!(!check(engine, &[(file, text)], &others), "{file}");
        }
        for lists in [
            &[][..],
            &[(list.as_str(), "[]")],
            &[(&list, "no list")],
            &[("/x/containers.json", text)],
        ] {
            assert!(!check(engine, lists, &own), "{lists:?}");
        }
        assert!(
            !check(engine, &[(&list, text)], &format!("{storage}/overlay/l2/diff")),
            "its layer itself"
        );
    }
    assert!(
        !check(Engine::Podman, &[(&list, text)], &format!("{storage}/vfs/dir/l1")),
        "another driver's list"
    );
    for part in ["merged/l1", "merged/x/l1", "diff/l1"] {
        let root = format!("{storage}/overlay/l2/{part}");
        assert!(
            !check(Engine::Podman, &[(&list, text)], &root),
            "its layer's name in another root: {part}"
        );
    }
    let vfs = format!("{storage}/vfs-containers/containers.json");
    assert!(check(Engine::Podman, &[(&vfs, text)], &format!("{storage}/vfs/dir/l1")));
    // Where nothing outlives a reboot the list is in the run root, as the bundle is. Storage of
    // somebody else's tells nothing.
    for (lists, admitted) in [("/run/containers/storage", true), ("/home/u/storage", false)] {
        let spec = with("/root/path", json!(own));
        let mut fake = FakeHost::default();
        fake.mount("0:90", "/", &own);
        let lists = PathBuf::from(lists).join("overlay-containers");
        fake.texts.insert(lists.join("volatile-containers.json"), text.as_bytes().to_vec());
        let spec = Spec::parse(spec.to_string().as_bytes(), Path::new("x")).unwrap();
        let bundle = lists.join("c1/userdata");
        let engine = Some(Engine::Podman);
        let request = Request {
            id: ID,
            bundle: &bundle,
            spec: &spec,
            restore: false,
            engine,
            sandbox: false,
        };
        let result = admit(&request, &policy, &Settings::default(), &Engines::default(), &fake);
        assert_eq!(result.is_ok(), admitted, "{lists:?}");
    }
    // containerd mounts a snapshot in the bundle; by its own path somebody chose it.
    let snapshot = "/var/lib/containerd/io.containerd.snapshotter.v1.native/snapshots/7";
    assert!(!check(Engine::Containerd, &[], snapshot), "ctr run --rootfs");
    assert!(check(Engine::Docker, &[], snapshot));
    let spec = with("/root/path", json!(format!("../../../../..{snapshot}")));
    let spec = Spec::parse(spec.to_string().as_bytes(), Path::new("x")).unwrap();
    let bundle = Path::new("/run/containerd/io.containerd.runtime.v2.task/default/c1");
    let request = Request {
        id: ID,
        bundle,
        spec: &spec,
        restore: false,
        engine: Some(Engine::Containerd),
        sandbox: false,
    };
    assert!(
        admit(&request, &policy, &Settings::default(), &Engines::default(), &FakeHost::default())
            .is_err()
    );
}

#[test]
fn files_that_belong_to_a_joined_namespace_may_be_another_containers() {
    let policy = Policy::for_level(Level::Restricted, "x");
    // What the task has mounted from which the namespace is taken.
    let check = |engine: Option<Engine>, spec: &Value, mounted: &str| {
        let mut fake = FakeHost::default();
        fake.mount(
            "0:91",
            "/",
            &format!("/var/lib/containers/storage/overlay-containers/{OTHER}/userdata/shm"),
        );
        fake.mounts.last_mut().unwrap().kind = "tmpfs".into();
        fake.texts.insert("/proc/77/mountinfo".into(), mounted.as_bytes().to_vec());
        match engine {
            Some(engine) => check_as(engine, spec, &policy, &fake).is_ok(),
            None => check_with(spec, &policy, &Settings::default(), &fake).is_ok(),
        }
    };
    let line = |device: &str, root: &str, point: &str| {
        format!("7 6 {device} {root} {point} rw - ext4 /dev/sda1 rw\n")
    };
    let of = |owner: &str, file: &str| {
        line("8:1", &format!("/var/lib/docker/containers/{owner}/{file}"), "/etc/hosts")
    };
    let hosts = |destination: &str, path: &str| {
        let mut spec = bind(&format!("/var/lib/docker/containers/{OTHER}/hosts"), destination);
        spec["linux"]["namespaces"][2] = json!({ "type": "network", "path": path });
        spec
    };
    let joined = "/proc/77/ns/net";
    let docker = Some(Engine::Docker);
    assert!(check(docker, &hosts("/etc/hosts", joined), &of(OTHER, "hosts")));
    assert!(
        check(docker, &hosts("/etc/hosts", joined), &of(OTHER, "resolv.conf")),
        "it has another hosts file"
    );
    assert!(check(None, &hosts("/etc/hosts", joined), ""));
    for (destination, path, mounted) in [
        ("/x", joined, of(OTHER, "hosts")),
        ("/etc/hosts", joined, of("c0", "hosts")),
        (
            "/etc/hosts",
            joined,
            line("8:2", &format!("/var/lib/docker/containers/{OTHER}/hosts"), "/etc/hosts"),
        ),
        (
            "/etc/hosts",
            joined,
            line("8:1", &format!("/srv/containers/{OTHER}/hosts"), "/etc/hosts"),
        ),
        ("/etc/hosts", joined, String::new()),
        // A task of the host's, whose network is not the host's.
        ("/etc/hosts", joined, line("8:1", "/", "/")),
        ("/etc/hosts", "/run/netns/x", of(OTHER, "hosts")),
        ("/etc/hosts", "/proc/78/ns/net", of(OTHER, "hosts")),
        ("/etc/hosts", "/proc/../proc/77/ns/net", of(OTHER, "hosts")),
        ("/etc/hosts", "/proc/x/../77/ns/net", of(OTHER, "hosts")),
        ("/etc/hosts", "/proc/77/ns/../../78/ns/net", of(OTHER, "hosts")),
    ] {
        assert!(
            !check(docker, &hosts(destination, path), &mounted),
            "{destination} {path} {mounted}"
        );
    }
    let shm = |path: &str| {
        let mut spec = bind(
            &format!("/var/lib/containers/storage/overlay-containers/{OTHER}/userdata/shm"),
            "/dev/shm",
        );
        spec["linux"]["namespaces"][1] = json!({ "type": "ipc", "path": path });
        spec
    };
    let podman = Some(Engine::Podman);
    assert!(check(podman, &shm("/proc/77/ns/ipc"), &line("0:91", "/", "/dev/shm")));
    assert!(!check(podman, &shm("/proc/77/ns/ipc"), &line("0:92", "/", "/dev/shm")));
    let in_host = format!("/var/lib/containers/storage/overlay-containers/{OTHER}/userdata/shm");
    assert!(
        !check(podman, &shm("/proc/77/ns/ipc"), &line("0:91", "/", &in_host)),
        "a task of the host's"
    );
    assert!(!check(podman, &shm(""), &line("0:91", "/", "/dev/shm")));
    let mut spec = shm("/proc/78/ns/ipc");
    spec["linux"]["namespaces"][2] = json!({ "type": "network", "path": "/proc/77/ns/net" });
    assert!(
        !check(podman, &spec, &line("0:91", "/", "/dev/shm")),
        "of whom it joins the network alone"
    );
    // The sandbox of a pod is named by the engine: containerd's annotation, CRI-O's record.
    let pods = |engine: Engine, annotation: &str, record: &str, source: &str| {
        let mut spec = bind(source, "/dev/shm");
        spec["root"]["path"] = "/var/lib/containers/storage/overlay/l1/merged".into();
        spec["linux"]["namespaces"][1] = json!({ "type": "ipc", "path": "/proc/77/ns/ipc" });
        spec["annotations"] = json!({ "io.kubernetes.cri.sandbox-id": annotation,
            "io.kubernetes.cri-o.SandboxID": annotation });
        let mut fake = FakeHost::default();
        let list = "/var/lib/containers/storage/overlay-containers/volatile-containers.json";
        let metadata = json!({ "pod-id": record, "name": "c" }).to_string();
        let text = json!([{ "id": ID, "layer": "l1", "metadata": metadata }]).to_string();
        fake.texts.insert(list.into(), text.into_bytes());
        fake.mount("0:93", "/", "/var/lib/containers/storage/overlay/l1/merged");
        let found = check_as(engine, &spec, &policy, &fake);
        found
            .err()
            .is_none_or(|found| found.iter().all(|found| found.control != Control::HostMounts))
    };
    let sandbox = format!("/run/containerd/io.containerd.grpc.v1.cri/sandboxes/{OTHER}/shm");
    assert!(pods(Engine::Cri, OTHER, "", &sandbox));
    assert!(!pods(Engine::Cri, "c9", OTHER, &sandbox));
    let sandbox = format!("/run/containers/storage/overlay-containers/{OTHER}/userdata/shm");
    assert!(pods(Engine::Crio, "c9", OTHER, &sandbox));
    assert!(!pods(Engine::Crio, OTHER, "c9", &sandbox), "the annotation may be its owner's");
    let shm = shm("/proc/77/ns/ipc");
    assert!(
        check(Some(Engine::Crio), &shm, &line("0:91", "/", "/dev/shm")),
        "podman --transient-store"
    );
    assert!(!check(Some(Engine::Crio), &shm, &line("0:92", "/", "/dev/shm")));
}
