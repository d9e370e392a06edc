//! What hooks of the host are told to do.

use super::*;

fn hook(hook: Value) -> Vec<&'static str> {
    let mut spec = bind("/srv/data", "/data");
    spec["hooks"] = json!({ "createRuntime": [hook] });
    refused(&spec)
}

#[test]
fn what_engines_and_devices_vendors_set_passes() {
    for (path, args) in [
        (
            "/proc/235/exe",
            &["libnetwork-setkey", "-exec-root=/var/run/docker", "c1", "61347185d6b3"][..],
        ),
        ("/usr/bin/nvidia-container-runtime-hook", &["nvidia-container-runtime-hook", "prestart"]),
        (
            "/usr/bin/nvidia-cdi-hook",
            &[
                "nvidia-cdi-hook",
                "create-symlinks",
                "--link",
                "libcuda.so.1::/usr/lib/x86_64-linux-gnu/libcuda.so",
            ],
        ),
        (
            "/usr/bin/nvidia-cdi-hook",
            &["nvidia-cdi-hook", "update-ldcache", "--folder", "/usr/lib/x86_64-linux-gnu"],
        ),
        (
            "/usr/bin/nerdctl",
            &["nerdctl", "--data-root=/var/lib/nerdctl/1", "internal", "oci-hook", "createRuntime"],
        ),
        ("/bin/sh", &["sh", "/usr/libexec/oci/hooks.d/own"]),
        ("/usr/bin/python3.13", &["python3", "/usr/libexec/own.py", "--node", "x"]),
        ("/bin/busybox", &["busybox", "sh", "/usr/libexec/own"]),
        ("/usr/bin/own", &["own", "node", "perl"]),
        ("/usr/bin/own", &[]),
    ] {
        assert!(hook(json!({ "path": path, "args": args })).is_empty(), "{path} {args:?}");
    }
    let env =
        ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/home/u", "XDG_RUNTIME_DIR=/run/user/1000"];
    assert!(hook(json!({ "path": "/usr/bin/own", "env": env })).is_empty());
}

#[test]
fn arguments_that_others_decide_about_are_refused() {
    for (path, args) in [
        ("/bin/sh", &["sh", "-c", "id > /root/x"][..]),
        ("/bin/sh", &["x", "-ec", "id"]),
        ("/bin/sh", &["sh"]),
        ("/bin/sh", &[]),
        ("/bin/sh", &["sh", "script"]),
        ("/bin/sh", &["sh", "/home/u/script"]),
        ("/bin/sh", &["sh", "/b/rootfs/script"]),
        ("/bin/sh", &["sh", "/srv/data/script"]),
        ("/usr/bin/bash5.2", &["bash", "-c", "id"]),
        ("/usr/bin/python3.13", &["python3", "-c", "x"]),
        ("/usr/bin/perl", &["perl", "-e", "x"]),
        ("/usr/bin/gawk", &["gawk", "BEGIN { system(x) }"]),
        ("/usr/bin/own", &["busybox", "sh", "-c", "id"]),
        ("/bin/busybox", &["busybox", "sh", "-c", "id"]),
        ("/usr/bin/env", &["env", "sh", "-c", "id"]),
        ("/usr/bin/env", &["env", "/bin/bash", "-c", "id"]),
        ("/usr/bin/nsenter", &["nsenter", "-t", "1", "/bin/sh"]),
        ("/usr/bin/env", &["env", "/home/u/x"]),
        ("/usr/bin/own", &["own", "--config=/home/u/x"]),
        ("/usr/bin/own", &["own", "--link", "x::/srv/data/x"]),
    ] {
        assert_eq!(hook(json!({ "path": path, "args": args })), ["hooks"], "{path} {args:?}");
    }
    for env in [
        "LD_PRELOAD=/home/u/x.so",
        "PATH=/usr/bin:/srv/data/bin",
        "BASH_ENV=/home/u/x",
        "PYTHONPATH=/home/u",
    ] {
        assert_eq!(hook(json!({ "path": "/usr/bin/own", "env": [env] })), ["hooks"], "{env}");
    }
}

/// What is not there yet is made by whoever may make it.
#[test]
fn a_path_that_is_not_there_counts_as_what_it_would_be_in() {
    let args = |path: &str| hook(json!({ "path": "/usr/bin/own", "args": ["own", path] }));
    assert!(args("/missing/x").is_empty(), "only root makes something in /");
    let mut fake = FakeHost::default();
    fake.absent.push("/tmp/x".into());
    fake.absent.push("/home/u/new".into());
    for path in ["/tmp/x", "/home/u/new"] {
        let mut spec = spec();
        spec["hooks"] = json!({ "prestart": [{ "path": "/usr/bin/own", "args": ["own", path] }] });
        let policy = Policy::for_level(Level::Baseline, "x");
        let violations = check_with(&spec, &policy, &Settings::default(), &fake).unwrap_err();
        assert_eq!(violations[0].control, Control::Hooks, "{path}");
    }
}
