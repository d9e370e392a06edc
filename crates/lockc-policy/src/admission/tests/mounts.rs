//! What of the host's file systems is granted and what is not.

use super::*;

#[test]
fn trees_of_the_host_are_refused() {
    for source in [
        "/",
        "/etc",
        "/etc/shadow",
        "/proc",
        "/proc/1",
        "/sys/fs/bpf",
        "/dev",
        "/dev/shm",
        "/run",
        "/run/user/1000",
        "/boot",
        "/var/run",
        "/var/run/x",
        "/var/lib/docker",
        "/var/lib/docker/containers/c2/config.v2.json",
        "/var/lib",
        "/var",
        "/var/lib/containerd",
        "/run/containerd",
        "/var/lib/kubelet",
        "/etc/lockc",
        "/home/../etc",
        "/usr",
        "/root",
        "/tmp/x",
        "/missing/x",
    ] {
        assert!(bind_refused(source), "{source}");
    }
}

#[test]
fn configured_directories_are_given_component_by_component() {
    for source in ["/home/u/data", "/srv/a/b", "/media/x", "/mnt/x", "/var/data"] {
        assert!(!bind_refused(source), "{source}");
        let violations = check(&bind(source, "/x"), Level::Restricted).unwrap_err();
        assert_eq!(
            violations[0].control,
            Control::HostMounts,
            "restricted takes only the engine's own"
        );
    }
    for source in [
        "/homes",
        "/home2/u",
        "/home",
        "/home/u",
        "/home/u/.ssh",
        "/home/u/.ssh/id",
        "/opt",
        "/opt/cni/bin",
        "/srvx",
        "/var/database",
        "/var/lib/dockerX",
    ] {
        assert!(bind_refused(source), "{source}");
    }
}

#[test]
fn links_into_the_host_are_followed() {
    let mut fake = FakeHost::default();
    fake.link("/home/u/link", "/etc");
    let policy = Policy::for_level(Level::Baseline, "x");
    let violations =
        check_with(&bind("/home/u/link/passwd", "/x"), &policy, &Settings::default(), &fake)
            .unwrap_err();
    assert!(violations[0].what.contains("/etc/passwd"), "{}", violations[0]);
}

#[test]
fn bind_mounts_of_the_host_are_recognised_under_other_paths() {
    let mut fake = FakeHost::default();
    fake.mount("8:1", "/", "/mnt/host");
    fake.mount("8:1", "/etc", "/srv/e");
    fake.mount("0:20", "/", "/home/chroot/proc");
    fake.mount("8:2", "/", "/media/disk");
    let policy = Policy::for_level(Level::Baseline, "x");
    let check =
        |source: &str| check_with(&bind(source, "/x"), &policy, &Settings::default(), &fake);
    for source in [
        "/mnt/host",
        "/mnt/host/etc",
        "/srv/e",
        "/srv/e/ssh",
        "/mnt",
        "/srv",
        "/home",
        "/home/chroot",
        "/mnt/host/var",
    ] {
        assert!(check(source).is_err(), "{source}");
    }
    for source in ["/media/disk", "/media", "/home/u/data", "/mnt/other", "/mnt/host/home/u/data"] {
        assert!(check(source).is_ok(), "{source}");
    }
    let shallow = with(
        "/mounts",
        json!([{ "destination": "/x", "type": "bind", "source": "/home/chroot", "options": [
            "bind"] }]),
    );
    assert!(check_with(&shallow, &policy, &Settings::default(), &fake).is_err(), "rbind or not");
}

#[test]
fn the_administrator_may_name_parts_of_the_host() {
    let config = |paths: &[&str]| Settings {
        allowed_mounts: paths.iter().map(PathBuf::from).collect(),
        ..Settings::default()
    };
    let policy = Policy::for_level(Level::Baseline, "x");
    let ok = |paths: &[&str], source: &str, fake: &FakeHost| {
        check_with(&bind(source, "/x"), &policy, &config(paths), fake).is_ok()
    };
    let fake = FakeHost::default();
    assert!(ok(&["/etc/ssl"], "/etc/ssl/certs", &fake));
    assert!(!ok(&["/etc/ssl"], "/etc/shadow", &fake));
    assert!(!ok(&["/etc/ssl"], "/etc", &fake));
    let mut reads = bind("/", "/x");
    reads["mounts"][0]["options"] = json!(["rbind", "ro"]);
    assert!(check_with(&reads, &policy, &config(&["/"]), &fake).is_ok(), "exactly that path");
    assert!(!ok(&["/"], "/etc", &fake), "not what is in it");
    assert!(ok(&["/"], "/usr/share/doc", &fake));
    assert!(!ok(&["/var"], "/var/lib", &fake), "contains engine state");
    assert!(ok(&["/var/run/app"], "/run/app/x", &fake), "written through a link of the host");
    let mut fake = FakeHost::default();
    fake.link("/srv/tenant", "/etc");
    assert!(!ok(&["/srv/tenant"], "/etc/shadow", &fake), "a link that somebody else may have made");
    let restricted = Policy::for_level(Level::Restricted, "x");
    assert!(
        check_with(&bind("/etc/ssl", "/x"), &restricted, &config(&["/etc/ssl"]), &fake).is_err()
    );
}

#[test]
fn the_engines_own_files_are_given_at_every_level() {
    for (source, destination) in [
        ("/var/lib/docker/containers/c1/hosts", "/etc/hosts"),
        ("/var/lib/docker/containers/c1/mounts/shm", "/dev/shm"),
        ("/var/lib/docker/volumes/v/_data", "/data"),
        ("/var/lib/docker/volumes/v/_data/sub", "/data"),
        ("/run/containers/storage/overlay-containers/c1/userdata/hosts", "/etc/hosts"),
        ("/var/run/containers/storage/overlay-containers/c1/userdata/hosts", "/etc/hosts"),
        ("/var/lib/containers/storage/volumes/v/_data", "/data"),
        (
            "/var/lib/containerd/io.containerd.grpc.v1.cri/sandboxes/c1/resolv.conf",
            "/etc/resolv.conf",
        ),
        ("/var/lib/containerd/io.containerd.grpc.v1.cri/containers/c1/volumes/abc", "/data"),
        (
            "/var/lib/kubelet/pods/u1/volumes/kubernetes.io~projected/token",
            "/var/run/secrets/kubernetes.io/serviceaccount",
        ),
        ("/var/lib/kubelet/pods/u1/etc-hosts", "/etc/hosts"),
        ("/var/lib/nerdctl/1935db59/containers/default/c1/resolv.conf", "/etc/resolv.conf"),
        ("/var/lib/nerdctl/1935db59/volumes/default/v/_data", "/data"),
    ] {
        for level in [Level::Baseline, Level::Restricted] {
            check(&bind(source, destination), level)
                .unwrap_or_else(|found| panic!("{source}: {}", found[0]));
        }
    }
    let mut fake = FakeHost::default();
    fake.kinds.insert("/dev/null".into(), Kind::Char(1, 3));
    let policy = Policy::for_level(Level::Restricted, "x");
    assert!(check_with(&bind("/dev/null", "/x"), &policy, &Settings::default(), &fake).is_ok());
}

#[test]
fn the_engines_init_is_given_read_only_and_may_be_a_link() {
    let mut fake = FakeHost::default();
    fake.link("/usr/bin/docker-init", "/usr/lib/other/tini");
    let policy = Policy::for_level(Level::Restricted, "x");
    let check = |source: &str, destination: &str, option: &str| {
        let mount = json!([{ "destination": destination, "type": "bind", "source": source,
            "options": ["bind", option] }]);
        check_with(&with("/mounts", mount), &policy, &Settings::default(), &fake).is_ok()
    };
    assert!(check("/usr/bin/docker-init", "/sbin/docker-init", "ro"));
    assert!(check("/usr/libexec/podman/catatonit", "/run/podman-init", "ro"));
    assert!(
        !check("/usr/bin/docker-init", "/sbin/docker-init", "rw"),
        "dockerd itself executes it"
    );
    assert!(!check("/usr/bin/docker-init", "/bin/sh", "ro"));
}

#[test]
fn another_containers_files_are_the_hosts() {
    for (source, destination) in [
        ("/var/lib/docker/containers/c2/hosts", "/etc/hosts"),
        ("/var/lib/docker/containers/c2/mounts/shm", "/dev/shm"),
        ("/var/lib/docker/containers/c1", "/x"),
        ("/var/lib/docker/containers/c1/config.v2.json", "/x"),
        ("/var/lib/docker/volumes", "/x"),
        ("/var/lib/docker/volumes/v", "/x"),
        ("/usr/bin/docker-init", "/bin/sh"),
        ("/run/containers/storage/overlay-containers/c2/userdata/secrets", "/x"),
        ("/run/containerd/io.containerd.grpc.v1.cri/sandboxes/c2/shm", "/dev/shm"),
        ("/var/lib/kubelet/pods", "/x"),
        ("/var/lib/kubelet/pods/u1/plugins", "/x"),
        ("/var/lib/docker/overlay2/x/merged", "/x"),
    ] {
        assert_eq!(refused(&bind(source, destination)), ["host-mounts"], "{source}");
    }
    let token = bind("/var/lib/kubelet/pods/u1/volumes/kubernetes.io~projected/token", "/x");
    let policy = Policy::for_level(Level::Restricted, "x");
    for engine in [Engine::Docker, Engine::Podman, Engine::Containerd] {
        assert!(
            check_as(engine, &token, &policy, &FakeHost::default()).is_err(),
            "no pod's: {}",
            engine.name()
        );
    }
    assert!(check_as(Engine::Cri, &token, &policy, &FakeHost::default()).is_ok());
    let two_pods = with(
        "/mounts",
        json!([
            { "destination": "/dev/termination-log", "type": "bind",
                "source": "/var/lib/kubelet/pods/u1/containers/c/0", "options": ["bind"] },
            { "destination": "/x", "type": "bind",
                "source": "/var/lib/kubelet/pods/u2/volumes/kubernetes.io~secret/s", "options": [
                    "bind"] },
        ]),
    );
    assert!(!refused(&two_pods).is_empty());
}

#[test]
fn an_engines_directory_may_be_elsewhere() {
    let config = Settings { engine_dirs: vec!["/data/docker".into()], ..Settings::default() };
    let policy = Policy::for_level(Level::Restricted, "x");
    let fake = FakeHost::default();
    assert!(
        check_with(&bind("/data/docker/volumes/v/_data", "/x"), &policy, &config, &fake).is_ok()
    );
    assert!(
        check_with(
            &bind("/data/docker", "/x"),
            &Policy::for_level(Level::Baseline, "x"),
            &config,
            &fake
        )
        .is_err()
    );
    let mut fake = FakeHost::default();
    fake.link("/var/lib/docker", "/big/docker");
    assert!(
        check_with(
            &bind("/var/lib/docker/volumes/v/_data", "/x"),
            &policy,
            &Settings::default(),
            &fake
        )
        .is_ok()
    );
    let mut fake = FakeHost::default();
    fake.mount("8:3", "/docker", "/var/lib/docker");
    assert!(
        check_with(
            &bind("/var/lib/docker/volumes/v/_data", "/x"),
            &policy,
            &Settings::default(),
            &fake
        )
        .is_ok()
    );
}

#[test]
fn only_harmless_file_systems_are_mounted() {
    let mount = |kind: &str| {
        let mut spec =
            with("/mounts", json!([{ "destination": "/m", "type": kind, "source": "x" }]));
        spec["linux"]["namespaces"].as_array_mut().unwrap().push(json!({ "type": "cgroup" }));
        spec
    };
    for kind in ["proc", "sysfs", "tmpfs", "devpts", "mqueue", "cgroup", "cgroup2"] {
        assert!(refused(&mount(kind)).is_empty(), "{kind}");
    }
    for kind in ["ext4", "overlay", "nfs", "debugfs", "bpf", "", "none", "devtmpfs", "securityfs"] {
        assert_eq!(refused(&mount(kind)), ["mount-types"], "{kind}");
    }
    let disguised = with(
        "/mounts",
        json!([{ "destination": "/m", "type": "tmpfs", "source": "/etc", "options": ["bind"] }]),
    );
    assert_eq!(refused(&disguised), ["host-mounts"]);
}

proptest! {
    #[test]
    fn a_directory_is_no_prefix_of_its_neighbour(tail in "[a-z0-9._-]{1,8}") {
        let neighbour = format!("/srv{tail}");
        prop_assert!(bind_refused(&neighbour));
        let inside = format!("/srv/{tail}");
        prop_assert_eq!(bind_refused(&inside), tail == "..");
    }
}
