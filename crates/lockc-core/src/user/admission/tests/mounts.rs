//! What of the host's file systems is given and what is not.

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
    for source in ["/home/u", "/home", "/srv/a/b", "/opt", "/media/x", "/mnt/x", "/var/data"] {
        assert!(!bind_refused(source), "{source}");
        let violations = judge(&bind(source, "/x"), Level::Restricted).unwrap_err();
        assert_eq!(violations[0].control, Control::HostMounts, "restricted takes only the engine's own");
    }
    for source in ["/homes", "/home2/u", "/srvx", "/var/database", "/var/lib/dockerX"] {
        assert!(bind_refused(source), "{source}");
    }
}

#[test]
fn links_into_the_host_are_followed() {
    let mut fake = Fake::default();
    fake.link("/home/u/link", "/etc");
    let policy = Policy::of_level(Level::Baseline, "x");
    let violations = judge_with(&bind("/home/u/link/passwd", "/x"), &policy, &Config::default(), &fake).unwrap_err();
    assert!(violations[0].what.contains("/etc/passwd"), "{}", violations[0]);
}

#[test]
fn bind_mounts_of_the_host_are_recognised_under_other_paths() {
    let mut fake = Fake::default();
    fake.mount("8:1", "/", "/mnt/host");
    fake.mount("8:1", "/etc", "/srv/e");
    fake.mount("0:20", "/", "/home/chroot/proc");
    fake.mount("8:2", "/", "/media/disk");
    let policy = Policy::of_level(Level::Baseline, "x");
    let judge = |source: &str| judge_with(&bind(source, "/x"), &policy, &Config::default(), &fake);
    for source in
        ["/mnt/host", "/mnt/host/etc", "/srv/e", "/srv/e/ssh", "/mnt", "/srv", "/home", "/home/chroot", "/mnt/host/var"]
    {
        assert!(judge(source).is_err(), "{source}");
    }
    for source in ["/media/disk", "/media", "/home/u", "/mnt/other", "/mnt/host/home/u"] {
        assert!(judge(source).is_ok(), "{source}");
    }
    let shallow =
        with("/mounts", json!([{ "destination": "/x", "type": "bind", "source": "/home", "options": ["bind"] }]));
    assert!(judge_with(&shallow, &policy, &Config::default(), &fake).is_ok(), "bind leaves out what is mounted below");
}

#[test]
fn the_administrator_may_name_parts_of_the_host() {
    let config =
        |paths: &[&str]| Config { allowed_mounts: paths.iter().map(PathBuf::from).collect(), ..Config::default() };
    let policy = Policy::of_level(Level::Baseline, "x");
    let ok = |paths: &[&str], source: &str, fake: &Fake| {
        judge_with(&bind(source, "/x"), &policy, &config(paths), fake).is_ok()
    };
    let fake = Fake::default();
    assert!(ok(&["/etc/ssl"], "/etc/ssl/certs", &fake));
    assert!(!ok(&["/etc/ssl"], "/etc/shadow", &fake));
    assert!(!ok(&["/etc/ssl"], "/etc", &fake));
    let mut reads = bind("/", "/x");
    reads["mounts"][0]["options"] = json!(["rbind", "ro"]);
    assert!(judge_with(&reads, &policy, &config(&["/"]), &fake).is_ok(), "exactly that path");
    assert!(!ok(&["/"], "/etc", &fake), "not what is in it");
    assert!(ok(&["/"], "/usr/share", &fake));
    assert!(!ok(&["/var"], "/var/lib", &fake), "contains engine state");
    assert!(ok(&["/var/run/app"], "/run/app/x", &fake), "written through a link of the host");
    let mut fake = Fake::default();
    fake.link("/srv/tenant", "/etc");
    assert!(!ok(&["/srv/tenant"], "/etc/shadow", &fake), "a link that somebody else may have made");
    let restricted = Policy::of_level(Level::Restricted, "x");
    assert!(judge_with(&bind("/etc/ssl", "/x"), &restricted, &config(&["/etc/ssl"]), &fake).is_err());
}

#[test]
fn the_engines_own_files_are_given_at_every_level() {
    for (source, destination) in [
        ("/var/lib/docker/containers/c1/hosts", "/etc/hosts"),
        ("/var/lib/docker/containers/c1/mounts/shm", "/dev/shm"),
        ("/var/lib/docker/volumes/v/_data", "/data"),
        ("/var/lib/docker/volumes/v/_data/sub", "/data"),
        ("/usr/bin/docker-init", "/sbin/docker-init"),
        ("/usr/libexec/podman/catatonit", "/run/podman-init"),
        ("/run/containers/storage/overlay-containers/c1/userdata/hosts", "/etc/hosts"),
        ("/var/run/containers/storage/overlay-containers/c1/userdata/hosts", "/etc/hosts"),
        ("/var/lib/containers/storage/volumes/v/_data", "/data"),
        ("/var/lib/containerd/io.containerd.grpc.v1.cri/sandboxes/c1/resolv.conf", "/etc/resolv.conf"),
        ("/var/lib/containerd/io.containerd.grpc.v1.cri/containers/c1/volumes/abc", "/data"),
        (
            "/var/lib/kubelet/pods/u1/volumes/kubernetes.io~projected/token",
            "/var/run/secrets/kubernetes.io/serviceaccount",
        ),
        ("/var/lib/kubelet/pods/u1/etc-hosts", "/etc/hosts"),
        ("/var/lib/nerdctl/1935db59/containers/default/c1/resolv.conf", "/etc/resolv.conf"),
        ("/var/lib/nerdctl/1935db59/volumes/default/v/_data", "/data"),
    ] {
        for level in [Level::Baseline, Level::Restricted, Level::Offline] {
            judge(&bind(source, destination), level).unwrap_or_else(|found| panic!("{source}: {}", found[0]));
        }
    }
    let mut fake = Fake::default();
    fake.kinds.insert("/dev/null".into(), Kind::Char(1, 3));
    let policy = Policy::of_level(Level::Restricted, "x");
    assert!(judge_with(&bind("/dev/null", "/x"), &policy, &Config::default(), &fake).is_ok());
}

#[test]
fn the_engines_init_may_be_a_link() {
    let mut fake = Fake::default();
    fake.link("/usr/bin/docker-init", "/usr/lib/other/tini");
    let policy = Policy::of_level(Level::Restricted, "x");
    let judge = |destination: &str| {
        judge_with(&bind("/usr/bin/docker-init", destination), &policy, &Config::default(), &fake).is_ok()
    };
    assert!(judge("/sbin/docker-init"));
    assert!(!judge("/bin/sh"));
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
    let two_pods = with(
        "/mounts",
        json!([
            { "destination": "/dev/termination-log", "type": "bind", "source": "/var/lib/kubelet/pods/u1/containers/c/0", "options": ["bind"] },
            { "destination": "/x", "type": "bind", "source": "/var/lib/kubelet/pods/u2/volumes/kubernetes.io~secret/s", "options": ["bind"] },
        ]),
    );
    assert!(!refused(&two_pods).is_empty());
}

#[test]
fn files_that_belong_to_a_joined_namespace_may_be_another_containers() {
    let mut spec = bind(&format!("/var/lib/docker/containers/{OTHER}/hosts"), "/etc/hosts");
    spec["linux"]["namespaces"][2] = json!({ "type": "network", "path": "/proc/77/ns/net" });
    assert!(refused(&spec).is_empty());
    spec["mounts"][0]["destination"] = json!("/x");
    assert_eq!(refused(&spec), ["host-mounts"]);
    let mut spec = bind(&format!("/var/lib/containers/storage/overlay-containers/{OTHER}/userdata/shm"), "/dev/shm");
    assert_eq!(refused(&spec), ["host-mounts"]);
    spec["linux"]["namespaces"][1] = json!({ "type": "ipc", "path": "/proc/77/ns/ipc" });
    assert!(refused(&spec).is_empty());
}

#[test]
fn a_volume_that_leads_into_the_host_is_judged_by_where_it_leads() {
    let volume = "/var/lib/docker/volumes/v/_data";
    let policy = Policy::of_level(Level::Baseline, "x");
    let leads = |device: &str, root: &str| {
        let mut fake = Fake::default();
        fake.mount("8:2", "/", "/mnt/disk");
        fake.mount(device, root, volume);
        judge_with(&bind(volume, "/x"), &policy, &Config::default(), &fake).is_ok()
    };
    for root in ["/", "/etc", "/usr", "/var/lib/docker/containers/c2", "/var/lib/docker"] {
        assert!(!leads("8:1", root), "docker volume create -o o=bind -o device={root}");
    }
    assert!(!leads("0:20", "/"), "procfs");
    assert!(leads("8:1", "/home/u/data"));
    assert!(leads("8:2", "/data"), "a disk in an allowed directory");
    assert!(leads("0:99", "/"), "a file system that is nowhere else, as tmpfs or a network volume");
}

#[test]
fn an_engines_directory_may_be_elsewhere() {
    let config = Config { engine_dirs: vec!["/data/docker".into()], ..Config::default() };
    let policy = Policy::of_level(Level::Restricted, "x");
    let fake = Fake::default();
    assert!(judge_with(&bind("/data/docker/volumes/v/_data", "/x"), &policy, &config, &fake).is_ok());
    assert!(judge_with(&bind("/data/docker", "/x"), &Policy::of_level(Level::Baseline, "x"), &config, &fake).is_err());
    let mut fake = Fake::default();
    fake.link("/var/lib/docker", "/big/docker");
    assert!(judge_with(&bind("/var/lib/docker/volumes/v/_data", "/x"), &policy, &Config::default(), &fake).is_ok());
    let mut fake = Fake::default();
    fake.mount("8:3", "/docker", "/var/lib/docker");
    assert!(judge_with(&bind("/var/lib/docker/volumes/v/_data", "/x"), &policy, &Config::default(), &fake).is_ok());
}

#[test]
fn sockets_of_the_host_are_refused_unless_they_are_named() {
    let mut fake = Fake::default();
    for path in ["/run/docker.sock", "/home/u/renamed"] {
        fake.kinds.insert(path.into(), Kind::Socket);
    }
    let policy = Policy::of_level(Level::Baseline, "x");
    for source in ["/var/run/docker.sock", "/run/docker.sock", "/home/u/renamed"] {
        let violations = judge_with(&bind(source, "/s"), &policy, &Config::default(), &fake).unwrap_err();
        assert_eq!(violations[0].control, Control::HostSockets);
        assert!(violations[0].remedy.contains("allowed_sockets"));
    }
    let config = Config { allowed_sockets: vec!["/var/run/docker.sock".into()], ..Config::default() };
    let given = judge_with(&bind("/run/docker.sock", "/s"), &policy, &config, &fake).unwrap();
    assert_eq!(given.sockets, [Path::new("/run/docker.sock")]);
    let policy = policy.admitting(Control::HostSockets);
    let given = judge_with(&bind("/home/u/renamed", "/s"), &policy, &Config::default(), &fake).unwrap();
    assert_eq!(given.sockets.len(), 1);
}

#[test]
fn named_sockets_are_granted_with_a_directory_around_them() {
    let mut fake = Fake::default();
    fake.kinds.insert("/srv/app/a.sock".into(), Kind::Socket);
    fake.kinds.insert("/srv/app/b.txt".into(), Kind::Socket);
    fake.mount("8:1", "/srv/app", "/mnt/again");
    let named = ["/srv/app/*.sock", "/srv/other/x.sock"].map(PathBuf::from).to_vec();
    let config = Config { allowed_sockets: named.clone(), ..Config::default() };
    let policy = Policy::of_level(Level::Baseline, "x");
    let given = |source: &str| judge_with(&bind(source, "/s"), &policy, &config, &fake);
    assert_eq!(given("/srv/app/a.sock").unwrap().sockets, [Path::new("/srv/app/a.sock")]);
    assert_eq!(given("/srv/app/b.txt").unwrap_err()[0].control, Control::HostSockets);
    for around in ["/srv", "/srv/app", "/mnt/again"] {
        assert_eq!(given(around).unwrap().named_sockets.first(), Some(&named[0]), "{around}");
    }
    assert!(given("/srv/app/below").unwrap().named_sockets.is_empty());
    assert!(given("/home/u").unwrap().named_sockets.is_empty());
}

#[test]
fn only_harmless_file_systems_are_mounted() {
    let mount = |kind: &str| {
        let mut spec = with("/mounts", json!([{ "destination": "/m", "type": kind, "source": "x" }]));
        spec["linux"]["namespaces"].as_array_mut().unwrap().push(json!({ "type": "cgroup" }));
        spec
    };
    for kind in ["proc", "sysfs", "tmpfs", "devpts", "mqueue", "cgroup", "cgroup2"] {
        assert!(refused(&mount(kind)).is_empty(), "{kind}");
    }
    for kind in ["ext4", "overlay", "nfs", "debugfs", "bpf", "", "none", "devtmpfs", "securityfs"] {
        assert_eq!(refused(&mount(kind)), ["mount-types"], "{kind}");
    }
    let disguised =
        with("/mounts", json!([{ "destination": "/m", "type": "tmpfs", "source": "/etc", "options": ["bind"] }]));
    assert_eq!(refused(&disguised), ["host-mounts"]);
}

#[test]
fn the_root_file_system_is_not_the_hosts() {
    let root = |path: &str| refused(&with("/root/path", json!(path)));
    for path in [
        "/",
        "/etc",
        "/var/lib/docker",
        "/var/lib/docker/containers/c2",
        "/run/x",
        "/var",
        "../etc",
        "/proc/1/root",
        "/var/lib/docker/overlay2",
    ] {
        assert_eq!(root(path), ["rootfs"], "{path}");
    }
    for path in [
        "rootfs",
        "/tmp/b/rootfs",
        "/b/rootfs",
        "/srv/image",
        "/var/lib/docker/overlay2/x/merged",
        "/var/lib/docker/rootfs/overlayfs/c1",
        "/var/lib/containers/storage/overlay/x/merged",
        "/var/lib/docker/vfs/dir/x",
    ] {
        assert!(root(path).is_empty(), "{path}");
    }
    assert_eq!(refused(&with("/root", Value::Null)), ["rootfs"]);
    assert_eq!(root("/missing/rootfs"), ["rootfs"]);
    let mut fake = Fake::default();
    fake.mount("8:1", "/", "/b/rootfs");
    let policy = Policy::of_level(Level::Baseline, "x");
    assert!(judge_with(&spec(), &policy, &Config::default(), &fake).is_err(), "the host's root bound to the bundle");
}

#[test]
fn containerds_bundle_holds_the_root_file_system() {
    let spec = Spec::parse(with("/root/path", json!("rootfs")).to_string().as_bytes(), Path::new("x")).unwrap();
    let policy = Policy::of_level(Level::Baseline, "x");
    let judge = |bundle: &str| {
        let request =
            Request { id: ID, bundle: Path::new(bundle), spec: &spec, restore: false, engine: None, sandbox: false };
        admit(&request, &policy, &Config::default(), &Engines::default(), &Fake::default())
    };
    assert!(judge("/run/containerd/io.containerd.runtime.v2.task/moby/c1").is_ok());
    assert!(judge("/run/elsewhere").is_err());
}

#[test]
fn directories_that_engines_mount_within_their_own_state_are_theirs() {
    let policy = Policy::of_level(Level::Restricted, "x");
    let mut fake = Fake::default();
    let subpath = "/var/lib/kubelet/pods/u1/volume-subpaths/v/c/0";
    fake.mount("8:1", "/var/lib/kubelet/pods/u1/volumes/kubernetes.io~empty-dir/v/sub", subpath);
    assert!(judge_with(&bind(subpath, "/x"), &policy, &Config::default(), &fake).is_ok());
    let strange = "/var/lib/kubelet/pods/u1/volume-subpaths/v/c/1";
    fake.mount("8:1", "/var/lib/kubelet/pods/u2/volumes/kubernetes.io~secret/s", strange);
    assert!(judge_with(&bind(strange, "/x"), &policy, &Config::default(), &fake).is_err());

    let rootfs = "/run/containerd/io.containerd.runtime.v2.task/default/c1/rootfs";
    let judge = |root: &str| {
        let mut fake = Fake::default();
        fake.mount("8:1", root, rootfs);
        judge_with(&with("/root/path", json!(rootfs)), &policy, &Config::default(), &fake).is_ok()
    };
    let spec = Spec::parse(with("/root/path", json!("rootfs")).to_string().as_bytes(), Path::new("x")).unwrap();
    let native = |root: &str| {
        let mut fake = Fake::default();
        fake.mount("8:1", root, rootfs);
        let bundle = Path::new(rootfs).parent().unwrap();
        let request = Request { id: ID, bundle, spec: &spec, restore: false, engine: None, sandbox: false };
        admit(&request, &policy, &Config::default(), &Engines::default(), &fake).is_ok()
    };
    assert!(native("/var/lib/containerd/io.containerd.snapshotter.v1.native/snapshots/7"));
    assert!(!native("/"));
    assert!(!native("/etc"));
    assert!(!native("/var/lib/containerd"));
    assert!(!judge("/srv"), "not in its own bundle");
}

proptest! {
    #[test]
    fn a_directory_is_no_prefix_of_its_neighbour(tail in "[a-z0-9._-]{1,8}") {
        let neighbour = format!("/home{tail}");
        prop_assert!(bind_refused(&neighbour));
        let inside = format!("/home/{tail}");
        prop_assert_eq!(bind_refused(&inside), tail == "..");
    }
}

#[test]
fn conmons_socket_for_notifications_is_given_with_its_directory_and_no_other() {
    let folder = |owner: &str| format!("/var/lib/containers/storage/overlay-containers/{owner}/userdata/notify");
    let policy = Policy::of_level(Level::Baseline, "x");
    let given = |spec: &Value, facts: &Fake| judge_with(spec, &policy, &Config::default(), facts);
    let socket = PathBuf::from(folder(ID)).join("notify.sock");
    let mut fake = Fake::default();
    assert!(given(&bind(&folder(ID), "/run/notify"), &fake).unwrap().sockets.is_empty(), "no socket");
    fake.kinds.insert(socket.clone(), Kind::Socket);
    assert_eq!(given(&bind(&folder(ID), "/run/notify"), &fake).unwrap().sockets, std::slice::from_ref(&socket));
    assert!(given(&bind(&folder(ID), "/elsewhere"), &fake).unwrap().sockets.is_empty());
    fake.kinds.insert(PathBuf::from(folder(OTHER)).join("notify.sock"), Kind::Socket);
    assert!(given(&bind(&folder(OTHER), "/run/notify"), &fake).is_err(), "another container's");
    // What the container put there leads elsewhere.
    fake.link(socket.to_str().unwrap(), "/run/docker.sock");
    fake.kinds.insert("/run/docker.sock".into(), Kind::Socket);
    assert!(given(&bind(&folder(ID), "/run/notify"), &fake).unwrap().sockets.is_empty());
}

#[test]
fn an_overlay_of_podmans_own_empty_directory_is_a_root_and_of_no_other() {
    let own = "/var/lib/containers/storage/overlay-containers/c1";
    let (bundle, root) = (PathBuf::from(own).join("userdata"), format!("{own}/rootfs/merge"));
    let infra = |root: &str, lower: &[&str]| {
        let mut spec = spec();
        spec["root"]["path"] = root.into();
        let host = Fake { lower: lower.iter().map(PathBuf::from).collect(), ..Fake::default() };
        let spec = Spec::parse(spec.to_string().as_bytes(), Path::new("config.json")).unwrap();
        let request = Request { id: ID, bundle: &bundle, spec: &spec, restore: false, engine: None, sandbox: false };
        let policy = Policy::of_level(Level::Baseline, "a test");
        admit(&request, &policy, &Config::default(), &Engines::default(), &host).is_ok()
    };
    assert!(infra(&root, &["/run/libpod/infra-container"]));
    assert!(!infra(&root, &["/"]), "podman run --rootfs /:O");
    assert!(!infra(&root, &["/run/libpod/infra-container", "/etc"]));
    assert!(!infra(&root, &[]), "unknown");
    let other = root.replace("c1", "c2");
    assert!(!infra(&other, &["/run/libpod/infra-container"]), "another container's");
}
