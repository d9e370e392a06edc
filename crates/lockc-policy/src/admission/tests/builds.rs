//! Steps of a build: what BuildKit gives them, and that nobody else gets it.

use super::*;

const STEP: &str = "/var/lib/docker/buildkit/executor/c1";

/// The controls that refuse a mount of `source` at `destination` to a container with that bundle.
fn refused_to(bundle: &str, source: &str, destination: &str, view: &FakeHost) -> Vec<&'static str> {
    let mut spec = bind(source, destination);
    spec["root"]["path"] = "rootfs".into();
    let spec = Spec::parse(spec.to_string().as_bytes(), Path::new("x")).unwrap();
    let request = Request {
        id: ID,
        bundle: Path::new(bundle),
        spec: &spec,
        restore: false,
        engine: None,
        sandbox: false,
    };
    let policy = Policy::for_level(Level::Baseline, "x");
    let checked = admit(&request, &policy, &Settings::default(), &Engines::default(), view);
    checked.err().into_iter().flatten().map(|violation| violation.control.name()).collect()
}

#[test]
fn a_step_is_given_what_buildkit_chose() {
    let agent = "/var/lib/docker/tmp/.buildkit-ssh-sock7/ssh_auth_sock";
    let mut fake = FakeHost::default();
    fake.kinds.insert(agent.into(), Kind::Socket);
    // Layers of another stage, mounted together.
    fake.mount("0:77", "/", "/var/lib/docker/tmp/buildkit-mount9");
    for (source, destination) in [
        ("/var/lib/docker/overlay2/v0s9/diff", "/cache"),
        ("/var/lib/docker/tmp/buildkit-mount9", "/f"),
        ("/var/lib/docker/tmp/buildkit-secrets3/0", "/run/secrets/s"),
        ("/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots/3/fs", "/cache"),
        (agent, "/run/buildkit/ssh_agent.0"),
    ] {
        assert!(refused_to(STEP, source, destination, &fake).is_empty(), "{source}");
        let other = refused_to(
            "/run/containerd/io.containerd.runtime.v2.task/moby/c1",
            source,
            destination,
            &fake,
        );
        assert!(other == ["host-mounts"] || other == ["host-sockets"], "{source}: {other:?}");
    }
}

#[test]
fn the_files_that_name_hosts_are_any_steps_at_their_places() {
    for (file, destination, admitted) in [
        ("hosts", "/etc/hosts", true),
        ("hosts.py9kqd", "/etc/hosts", true),
        ("resolv.conf", "/etc/resolv.conf", true),
        ("resolv-host.conf", "/etc/resolv.conf", true),
        ("hosts", "/x", false),
        ("hostsx", "/etc/hosts", false),
        ("c2/rootfs/etc/shadow", "/etc/hosts", false),
    ] {
        let source = format!("/var/lib/docker/buildkit/executor/{file}");
        assert_eq!(
            refused_to(STEP, &source, destination, &FakeHost::default()).is_empty(),
            admitted,
            "{file}"
        );
    }
}

#[test]
fn a_step_is_given_nothing_else_of_the_host() {
    let mut fake = FakeHost::default();
    fake.mount("8:1", "/etc", "/var/lib/docker/tmp/buildkit-mount8");
    for source in [
        "/etc",
        "/var/lib/docker/tmp/x",
        "/var/lib/docker/containers/c2",
        "/var/lib/docker/tmp/buildkit-mount8",
    ] {
        assert_eq!(refused_to(STEP, source, "/x", &fake), ["host-mounts"], "{source}");
    }
    let executor = "/var/lib/docker/buildkit/executor";
    assert!(!refused_to(executor, "/var/lib/docker/overlay2/v/diff", "/x", &fake).is_empty());
}
