//! The root file system.

use super::*;

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
        "/b/rootfs",
        "/srv/image",
        "/var/lib/docker/overlay2/x/merged",
        "/var/lib/docker/rootfs/overlayfs/c1",
        "/var/lib/containers/storage/overlay/x/merged",
        "/var/lib/docker/vfs/dir/x",
    ] {
        assert!(root(path).is_empty(), "{path}");
    }
    assert_eq!(root("/usr"), ["own-files"], "an overwritten program would be the host's");
    for path in ["/usr", "/tmp/b/rootfs", "/home/u"] {
        let policy = Policy::for_level(Level::Baseline, "x");
        let chosen = with("/root/path", json!(path));
        assert!(
            check_as(Engine::Podman, &chosen, &policy, &FakeHost::default()).is_err(),
            "podman --rootfs {path}"
        );
    }
    assert_eq!(refused(&with("/root", Value::Null)), ["rootfs"]);
    assert_eq!(root("/missing/rootfs"), ["rootfs"]);
    let mut fake = FakeHost::default();
    fake.mount("8:1", "/", "/b/rootfs");
    let policy = Policy::for_level(Level::Baseline, "x");
    assert!(
        check_with(&spec(), &policy, &Settings::default(), &fake).is_err(),
        "the host's root bound to the bundle"
    );
}

#[test]
fn containerds_bundle_holds_the_root_file_system() {
    let spec =
        Spec::parse(with("/root/path", json!("rootfs")).to_string().as_bytes(), Path::new("x"))
            .unwrap();
    let policy = Policy::for_level(Level::Baseline, "x");
    let check = |bundle: &str| {
        let request = Request {
            id: ID,
            bundle: Path::new(bundle),
            spec: &spec,
            restore: false,
            engine: None,
            sandbox: false,
        };
        admit(&request, &policy, &Settings::default(), &Engines::default(), &FakeHost::default())
    };
    assert!(check("/run/containerd/io.containerd.runtime.v2.task/moby/c1").is_ok());
    assert!(check("/run/elsewhere").is_err());
}

#[test]
fn an_overlay_of_podmans_own_empty_directory_is_a_root_and_of_no_other() {
    let own = "/var/lib/containers/storage/overlay-containers/c1";
    let (bundle, root) = (PathBuf::from(own).join("userdata"), format!("{own}/rootfs/merge"));
    let infra = |root: &str, lower: &[&str]| {
        let mut spec = spec();
        spec["root"]["path"] = root.into();
        let mut host = FakeHost::default();
        let own = Path::new(root).parent().unwrap().display().to_string();
        let options = match lower {
            [] => "rw".into(),
            lower => {
                format!("rw,lowerdir={},upperdir={own}/upper,workdir={own}/work", lower.join(":"))
            }
        };
        host.mount_new("overlay", "overlay", &options, root);
        let spec = Spec::parse(spec.to_string().as_bytes(), Path::new("config.json")).unwrap();
        let request = Request {
            id: ID,
            bundle: &bundle,
            spec: &spec,
            restore: false,
            engine: None,
            sandbox: false,
        };
        let policy = Policy::for_level(Level::Baseline, "a test");
        admit(&request, &policy, &Settings::default(), &Engines::default(), &host).is_ok()
    };
    assert!(infra(&root, &["/run/libpod/infra-container"]));
    assert!(!infra(&root, &["/"]), "podman run --rootfs /:O");
    assert!(!infra(&root, &["/run/libpod/infra-container", "/etc"]));
    assert!(!infra(&root, &[]), "unknown");
    let other = root.replace("c1", "c2");
    assert!(!infra(&other, &["/run/libpod/infra-container"]), "another container's");
}
