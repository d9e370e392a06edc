//! What a mount is: by its file system, and by every name that the host has for it.

use super::*;

#[test]
fn a_volume_that_leads_into_the_host_is_checked_by_where_it_leads() {
    let volume = "/var/lib/docker/volumes/v/_data";
    let policy = Policy::for_level(Level::Baseline, "x");
    let leads = |device: &str, root: &str| {
        let mut fake = FakeHost::default();
        fake.mount("8:2", "/", "/mnt/disk");
        fake.mount(device, root, volume);
        check_with(&bind(volume, "/x"), &policy, &Settings::default(), &fake).is_ok()
    };
    for root in ["/", "/etc", "/usr", "/var/lib/docker/containers/c2", "/var/lib/docker"] {
        assert!(!leads("8:1", root), "docker volume create -o o=bind -o device={root}");
    }
    assert!(!leads("0:20", "/"), "procfs");
    assert!(leads("8:1", "/home/u/data"));
    assert!(!leads("8:1", "/home/u"), "a home directory");
    assert!(leads("8:2", "/data"), "a disk in an allowed directory");
}

#[test]
fn a_volume_is_checked_by_its_file_system() {
    let volume = "/var/lib/docker/volumes/v/_data";
    let checked = |kind: &str, source: &str, options: &str, level: Level| {
        let mut fake = FakeHost::default();
        fake.kinds.insert("/dev/sdb".into(), Kind::Block(8, 16));
        fake.link("/var/lib/docker/volumes/w/_data/link", "/etc");
        fake.kinds.insert("/dev/sdc".into(), Kind::Block(8, 32));
        fake.mount_new(kind, source, options, volume);
        let mut policy = Policy::for_level(level, "x");
        policy.more.devices = vec!["/dev/sdb".into()];
        let result = check_with(&bind(volume, "/x"), &policy, &Settings::default(), &fake);
        result.map(|_| ()).map_err(|found| found[0].what.clone())
    };
    for level in [Level::Baseline, Level::Restricted] {
        for kind in ["tmpfs", "nfs", "nfs4", "cifs", "ceph"] {
            assert_eq!(checked(kind, "server:/x", "rw", level), Ok(()), "{kind}");
        }
        assert_eq!(
            checked("ext4", "/dev/sdb", "rw", level),
            Ok(()),
            "a device that the policy names"
        );
        assert!(
            checked("btrfs", "/dev/sdc", "rw", level)
                .unwrap_err()
                .contains("/dev/sdc, a device of the host")
        );
        for kind in [
            "proc",
            "sysfs",
            "debugfs",
            "tracefs",
            "securityfs",
            "bpf",
            "configfs",
            "binfmt_misc",
            "cgroup2",
            "devtmpfs",
            "mqueue",
            "fuse",
            "fuse.sshfs",
            "hugetlbfs",
            "pstore",
            "a-new-one",
        ] {
            assert!(checked(kind, kind, "rw", level).unwrap_err().contains(kind), "{kind}");
        }
        let layers = |options: &str| checked("overlay", "overlay", options, level);
        for options in [
            "rw,lowerdir=/etc:/root",
            "rw,lowerdir=/srv/a:/etc",
            "rw,lowerdir=/srv/a,upperdir=/etc,workdir=/srv/w",
            "rw,lowerdir=/srv/a,upperdir=/srv/u,workdir=/opt/cni",
            "rw,lowerdir=/srv/a,upperdir=/opt/cni,workdir=/srv/w",
            "rw,lowerdir=/var/lib/docker/overlay2/x/diff:/srv/a",
            "rw,lowerdir=etc:root",
            "rw,lowerdir=/var/lib/docker/volumes/w/_data/link",
            "rw",
        ] {
            assert!(layers(options).is_err(), "{options}");
        }
        let volumes = |options: &str| options.replace('@', "/var/lib/docker/volumes/");
        assert_eq!(
            layers(&volumes("rw,lowerdir=@a/_data,upperdir=@b/_data,workdir=@c/_data")),
            Ok(())
        );
        for options in
            ["rw,lowerdir=/srv/a:@a/_data", "rw,lowerdir=/srv/a,upperdir=/srv/u,workdir=/srv/w"]
        {
            assert_eq!(layers(&volumes(options)).is_ok(), level == Level::Baseline, "{options}");
        }
    }
}

#[test]
fn a_directory_with_a_part_that_the_host_mounts_in_etc_is_the_hosts() {
    let policy = Policy::for_level(Level::Baseline, "x");
    let checked = |point: &str| {
        let mut fake = FakeHost::default();
        fake.mount("8:1", "/srv/persistent/ssh", point);
        ["/srv/persistent", "/srv", "/srv/persistent/ssh", "/srv/persistent/ssh/keys", "/srv/other"]
            .map(|source| {
                check_with(&bind(source, "/x"), &policy, &Settings::default(), &fake).is_ok()
            })
    };
    for point in ["/etc/ssh", "/run/ssh", "/boot/x", "/var/run/ssh"] {
        assert_eq!(checked(point), [false, false, false, false, true], "{point}");
    }
    for point in
        ["/mnt/ssh", "/home/u/ssh", "/var/lib/docker/volumes/v/_data", "/run/docker/plugins/p/x"]
    {
        assert_eq!(checked(point), [true; 5], "{point}");
    }
    // That it is in an allowed directory does not matter.
    let mut fake = FakeHost::default();
    fake.mount("8:1", "/srv/persistent/ssh", "/etc/ssh");
    let config = Settings { allowed_mounts: vec!["/srv/persistent".into()], ..Settings::default() };
    let result = check_with(&bind("/srv/persistent", "/x"), &policy, &config, &fake);
    assert!(result.unwrap_err()[0].what.contains("contains /etc/ssh, which belongs to the host"));
}

#[test]
fn what_is_mounted_below_a_volume_is_checked_too() {
    let volume = "/var/lib/docker/volumes/v/_data";
    let policy = Policy::for_level(Level::Baseline, "x");
    for (device, root, admitted) in
        [("8:1", "/", false), ("8:1", "/srv/x", true), ("0:20", "/", false)]
    {
        let mut fake = FakeHost::default();
        fake.mount("8:1", "/srv/jail", volume);
        fake.mount(device, root, &format!("{volume}/h"));
        let checked = check_with(&bind(volume, "/x"), &policy, &Settings::default(), &fake);
        assert_eq!(checked.is_ok(), admitted, "{device} {root}");
        if let Ok(grants) = checked {
            assert_eq!(grants.mounts[0].below[0].path, Path::new(volume).join("h"));
        }
    }
}

#[test]
fn mounts_inside_of_an_engines_directories_are_names_too() {
    let policy = Policy::for_level(Level::Baseline, "x");
    let volume = "/var/lib/docker/volumes/v/_data";
    for other in [
        "/var/lib/docker/overlay2/other/merged",
        "/var/lib/docker/containers/c2/mounts/shm",
        "/var/lib/kubelet/pods/u2/volumes/kubernetes.io~secret/s",
    ] {
        let mut fake = FakeHost::default();
        fake.mount("0:90", "/", other);
        fake.mount("0:90", "/", volume);
        fake.mounts.iter_mut().for_each(|mount| mount.kind = "tmpfs".into());
        assert!(check_as(Engine::Docker, &bind(volume, "/x"), &policy, &fake).is_err(), "{other}");
    }
    // A part of a volume, mounted by itself; that of a volume with a file system of its own too.
    let mut fake = FakeHost::default();
    fake.mount("8:1", "/var/lib/docker/volumes/v/_data/sub", "/var/lib/docker/tmp/safe-mount12");
    fake.mount("8:1", "/etc", "/var/lib/docker/tmp/safe-mount13");
    fake.mount("0:90", "/", volume);
    fake.mount("0:90", "/sub", "/var/lib/docker/tmp/safe-mount14");
    fake.mounts.last_mut().unwrap().kind = "nfs".into();
    let check = |name: &str| {
        let source = format!("/var/lib/docker/tmp/{name}");
        check_with(&bind(&source, "/x"), &policy, &Settings::default(), &fake).is_ok()
    };
    assert!(check("safe-mount12") && check("safe-mount14"));
    assert!(!check("safe-mount13") && !check("safe-mount"));
}

#[test]
fn a_pods_volume_may_be_another_pods_too_and_its_secrets_not() {
    let policy = Policy::for_level(Level::Restricted, "x");
    let path = |pod: &str, volume: &str| format!("/var/lib/kubelet/pods/{pod}/volumes/{volume}");
    let check = |kind: &str, own: &str, others: &[String]| {
        let mut fake = FakeHost::default();
        fake.mount("0:90", "/", own);
        others.iter().for_each(|other| fake.mount("0:90", "/", other));
        fake.mounts.iter_mut().for_each(|mount| mount.kind = kind.into());
        check_with(&bind(own, "/x"), &policy, &Settings::default(), &fake).is_ok()
    };
    let claim = "kubernetes.io~csi/pvc-1/mount";
    let stage = "/var/lib/kubelet/plugins/kubernetes.io/csi/driver/0ab/globalmount".to_owned();
    assert!(check("ext4", &path("u1", claim), &[path("u2", claim), stage]));
    assert!(!check("tmpfs", &path("u1", claim), &[path("u2", claim)]));
    assert!(!check("ext4", &path("u1", claim), &[path("u2", "kubernetes.io~csi/pvc-2/mount")]));
    let subpath = "/var/lib/kubelet/pods/u1/volume-subpaths/v/c/0";
    assert!(!check("ext4", subpath, &[path("u2", claim)]), "another pod's claim");
    assert!(check("ext4", subpath, &[path("u1", claim)]));
    assert!(check("fuse.ceph", &path("u1", claim), &[]));
    let local = path("u1", "kubernetes.io~local-volume/pv");
    for (root, volume, admitted) in [
        ("/mnt/disks/x", local.as_str(), true),
        ("/etc", &local, false),
        ("/srv/x", subpath, false),
        ("/home/u/data", subpath, false),
    ] {
        let mut fake = FakeHost::default();
        fake.mount("8:1", root, volume);
        assert_eq!(
            check_as(Engine::Cri, &bind(volume, "/x"), &policy, &fake).is_ok(),
            admitted,
            "{root}"
        );
    }
    // A part of such a volume.
    let mut fake = FakeHost::default();
    fake.mount("8:1", "/mnt/disks/x", &local);
    fake.mount("8:1", "/mnt/disks/x/part", subpath);
    assert!(check_as(Engine::Cri, &bind(subpath, "/x"), &policy, &fake).is_ok());
    // The same directory as a hostPath volume: writable, where the administrator's may not be.
    for source in ["/mnt/disks/x", "/mnt/disks/x/part"] {
        assert!(check_as(Engine::Cri, &bind(source, "/x"), &policy, &fake).is_err(), "{source}");
    }
    assert!(!check("proc", &path("u1", claim), &[]));
    // What shows the host's services, although the host sees it in a directory of no importance.
    for (kind, admitted) in [("ext4", true), ("mqueue", false), ("sysfs", false)] {
        let mut fake = FakeHost::default();
        fake.mount("0:90", "/", "/mnt/disks/x");
        fake.mount("0:90", "/", &local);
        fake.mounts.iter_mut().for_each(|mount| mount.kind = kind.into());
        assert_eq!(
            check_as(Engine::Cri, &bind(&local, "/x"), &policy, &fake).is_ok(),
            admitted,
            "{kind}"
        );
    }
}

#[test]
fn directories_that_engines_mount_within_their_own_state_are_theirs() {
    let policy = Policy::for_level(Level::Restricted, "x");
    let mut fake = FakeHost::default();
    let subpath = "/var/lib/kubelet/pods/u1/volume-subpaths/v/c/0";
    fake.mount("8:1", "/var/lib/kubelet/pods/u1/volumes/kubernetes.io~empty-dir/v/sub", subpath);
    assert!(check_with(&bind(subpath, "/x"), &policy, &Settings::default(), &fake).is_ok());
    let strange = "/var/lib/kubelet/pods/u1/volume-subpaths/v/c/1";
    fake.mount("8:1", "/var/lib/kubelet/pods/u2/volumes/kubernetes.io~secret/s", strange);
    assert!(check_with(&bind(strange, "/x"), &policy, &Settings::default(), &fake).is_err());

    let rootfs = "/run/containerd/io.containerd.runtime.v2.task/default/c1/rootfs";
    let check = |root: &str| {
        let mut fake = FakeHost::default();
        fake.mount("8:1", root, rootfs);
        check_as(Engine::Containerd, &with("/root/path", json!(rootfs)), &policy, &fake).is_ok()
    };
    let spec =
        Spec::parse(with("/root/path", json!("rootfs")).to_string().as_bytes(), Path::new("x"))
            .unwrap();
    let native = |root: &str| {
        let mut fake = FakeHost::default();
        fake.mount("8:1", root, rootfs);
        let bundle = Path::new(rootfs).parent().unwrap();
        let request =
            Request { id: ID, bundle, spec: &spec, restore: false, engine: None, sandbox: false };
        admit(&request, &policy, &Settings::default(), &Engines::default(), &fake).is_ok()
    };
    assert!(native("/var/lib/containerd/io.containerd.snapshotter.v1.native/snapshots/7"));
    assert!(!native("/"));
    assert!(!native("/etc"));
    assert!(!native("/var/lib/containerd"));
    assert!(!check("/srv"), "not in its own bundle");
}

#[test]
fn what_podman_mounts_once_more_for_a_user_namespace_is_known_by_its_other_name() {
    let (merged, shm) = (
        "/var/lib/containers/storage/overlay/x/merged",
        "/var/lib/containers/storage/overlay-containers/c1/userdata/shm",
    );
    let again = "/var/tmp/intermediate-mountpoint-0.0";
    let policy = Policy::for_level(Level::Restricted, "x");
    let check = |root: &str, device: &str, name: &str| {
        let mut fake = FakeHost::default();
        let list = "/var/lib/containers/storage/overlay-containers/containers.json";
        fake.texts.insert(list.into(), br#"[{"id":"c1","layer":"x"}]"#.to_vec());
        for (device, point) in
            [("0:90", merged), (device, again), ("0:91", shm), ("0:91", &*format!("{again}/1"))]
        {
            fake.mount(device, if device == "8:1" { root } else { "/" }, point);
        }
        fake.mounts.iter_mut().for_each(|mount| mount.kind = "tmpfs".into());
        let mut spec = bind(&format!("{again}/1"), "/dev/shm");
        spec["root"]["path"] = name.into();
        check_as(Engine::Podman, &spec, &policy, &fake).is_ok()
    };
    assert!(check("/", "0:90", again));
    for root in ["/", "/etc", "/usr"] {
        assert!(!check(root, "8:1", again), "{root}");
    }
    assert!(!check("/", "0:90", "/var/tmp/intermediate-mountpoint-x"), "a directory of that name");
}

#[test]
fn what_an_engine_mounts_is_its_own_where_the_hosts_root_is_mounted_once_more() {
    let volume = "/var/lib/docker/volumes/v/_data";
    let check = |kind: &str, jail: &str, mirrored: bool| {
        let mut fake = FakeHost::default();
        fake.mount("8:1", "/", jail);
        fake.mount_new(kind, kind, "rw,lowerdir=/etc", volume);
        if mirrored {
            // Numbered as they are mounted, each on the one that its test says.
            fake.mounts.iter_mut().zip(1..).for_each(|(mount, id)| mount.id = id);
            let at = jail;
            let jail = fake.mounts.iter().find(|mount| mount.point == Path::new(at)).unwrap().id;
            let mut mirror = fake.mounts.last().unwrap().clone();
            (mirror.id, mirror.parent) = (mirror.id + 1, jail);
            mirror.point = Path::new(at).join(&volume[1..]);
            fake.mounts.push(mirror);
        }
        check_as(
            Engine::Docker,
            &bind(volume, "/x"),
            &Policy::for_level(Level::Baseline, "x"),
            &fake,
        )
        .is_ok()
    };
    // Another container's volume may be the host's root.
    for jail in ["/srv/jail/h", "/var/lib/docker/volumes/w/_data"] {
        for mirrored in [false, true] {
            assert!(check("tmpfs", jail, mirrored), "{jail} {mirrored}");
            assert!(
                !check("overlay", jail, mirrored) && !check("hugetlbfs", jail, mirrored),
                "{jail} {mirrored}"
            );
        }
    }
}
