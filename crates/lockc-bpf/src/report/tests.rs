//! Secrets in odd places are not in the bundle.

use std::{fs, path::Path};

use serde_json::json;

use super::{
    bundle::{archive, manifest},
    gather::{Options, parts},
};

const PLANTED: &str = "c4n4ry";

/// A host with secrets wherever people put them.
fn host(root: &Path) {
    let put = |path: &str, text: &str| {
        let at = root.join(path);
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        fs::write(at, text.replace("CANARY", PLANTED)).unwrap();
    };
    put("proc/sys/kernel/osrelease", "6.12.63\n");
    put("proc/cmdline", "root=/dev/CANARY lsm=lockdown,bpf ds=nocloud;s=http://u:CANARY@h/ quiet");
    put(
        "proc/self/mounts",
        "CANARY /srv/CANARY fuse.CANARY rw,password=CANARY 0 0\nbpf /sys/fs/bpf bpf rw 0 0\n",
    );
    put("etc/os-release", "ID=CANARY\nNAME=CANARY\n");
    put(
        "etc/docker/daemon.json",
        r#"{"proxies": {"http-proxy": "http://user:CANARY@proxy:3128"}, "debug": true,
            "runtimes": {"CANARY": {"path": "/opt/CANARY", "runtimeArgs": ["--token=CANARY"]}},
            "log-opts": {"env": "CANARY", "splunk-token": "CANARY"}, "labels": ["a=CANARY"],
            "insecure-registries": ["CANARY"], "default-runtime": "lockc",
            "registry-mirrors": ["https://u:CANARY@m"], "exec-opts": ["CANARY"], "pin": 424242,
            // CANARY
            "hosts": ["tcp://CANARY:2376"], "data-root": "/CANARY/docker"}"#,
    );
    // Containerd 1.x, 2.x, and the directory of both.
    put(
        "etc/containerd/config.toml",
        "# CANARY\nversion = 2\n\
         [plugins.'io.containerd.grpc.v1.cri'.registry.configs.'CANARY'.auth]\n\
         username = 'CANARY'\npassword = 'CANARY'\nauth = 'CANARY'\nidentitytoken = 'CANARY'\n\
         [plugins.'io.containerd.grpc.v1.cri'.registry.headers]\nX-Token = ['CANARY']\n\
         [plugins.'io.containerd.grpc.v1.cri'.registry.mirrors.'CANARY']\n\
         endpoint = ['https://u:CANARY@m/v2?token=CANARY']\n\
         [plugins.'io.containerd.grpc.v1.cri'.containerd.runtimes.lockc]\n\
         runtime_type = 'io.containerd.runc.v2'\n[stream_processors.'CANARY']\nargs = ['CANARY']\n\
         env = ['KEY=CANARY']\n[proxy_plugins.CANARY]\naddress = '/run/CANARY'\n",
    );
    put(
        "etc/containerd/conf.d/CANARY.toml",
        "version = 3\n[plugins.x.registry.configs.r.auth]\nauth = 'CANARY'\n",
    );
    put(
        "etc/containerd/certs.d/CANARY.example/hosts.toml",
        "server = 'https://CANARY'\n[host.'https://u:CANARY@m']\ncapabilities = ['pull']\n\
         client = [['CANARY', 'CANARY']]\n[host.'https://u:CANARY@m'.header]\n\
         Authorization = 'Basic CANARY'\npath = 'CANARY'\n",
    );
    put(
        "etc/rancher/k3s/registries.yaml",
        "mirrors:\n  CANARY:\n    endpoint: ['https://u:CANARY@m']\nconfigs:\n  CANARY:\n    auth: \
         {username: CANARY, password: CANARY, path: CANARY}\n    tls: {key_file: CANARY}\n",
    );
    put(
        "etc/rancher/k3s/config.yaml",
        "token: CANARY\nnode-label: [CANARY]\nkubelet-arg: [a=CANARY]\n",
    );
    put(
        "etc/containers/containers.conf",
        "[containers]\nenv = ['CANARY']\n[engine]\nenv = ['a=CANARY']\n\
         [secrets.opts]\nname = 'CANARY'\n",
    );
    put("etc/containers/registries.conf", "not TOML: CANARY");
    put(
        "etc/crio/crio.conf.d/10-CANARY.conf",
        "[crio.runtime]\ndefault_env = ['A=CANARY']\n[crio.image]\nglobal_auth_file = '/CANARY'\n",
    );
    put(
        "etc/lockc/lockc.toml",
        "# CANARY\ndefault = 'baseline'\nallowed_mounts = ['/CANARY']\nunknown = 'CANARY'\n\
         [namespaces.CANARY]\ndefault = 'CANARY'\n",
    );
    put(
        "etc/lockc/lockc.d/CANARY.toml",
        "[policies.CANARY]\nextends = 'offline'\nreads = ['/sys/CANARY']\n",
    );
    put("etc/lockc/lockc.d/20-broken.toml", "CANARY = [");
    nix::unistd::mkfifo(
        &root.join("etc/containerd/conf.d/fifo.toml"),
        nix::sys::stat::Mode::S_IRWXU,
    )
    .unwrap();
    // Larger than anything that is a configuration.
    put("etc/containers/storage.conf", &"# CANARY\n".repeat(200_000));
}

fn doctor() -> serde_json::Value {
    json!([{
        "name": "configuration", "state": "failed", "id": "LOCKC-E014",
        "found": format!("/etc/lockc/{PLANTED}.toml:3: invalid value \"{PLANTED}\", of baseline"),
        "remedy": format!("correct {PLANTED}."), "secret": PLANTED,
    }])
}

fn everything(include_names: bool) -> String {
    let root = tempfile::tempdir().unwrap();
    host(root.path());
    let options = Options { include_names, events: 10, root: root.path().to_owned() };
    let parts = parts(&options, doctor);
    let mut text = manifest(&parts, include_names);
    for part in &parts {
        text += &format!("\n== {}\n{}\n", part.name, part.text.clone().unwrap_or_else(|why| why));
    }
    archive("report", &parts, &text, 0).unwrap();
    text
}

/// A part that hangs, or panics, costs only itself.
#[test]
fn a_part_that_fails_is_told() {
    let root = tempfile::tempdir().unwrap();
    host(root.path());
    let options = Options { include_names: false, events: 10, root: root.path().to_owned() };
    let parts = parts(&options, || panic!("for the test"));
    let doctor = parts.iter().find(|part| part.name == "doctor.json").unwrap();
    assert_eq!(doctor.text, Err("it panicked".to_owned()));
    assert!(parts.iter().any(|part| part.name == "mounts.json" && part.text.is_ok()));
}

#[test]
fn no_secret_and_no_name_is_in_the_bundle() {
    let text = everything(false);
    let lines = text.lines().filter(|line| line.contains(PLANTED) || line.contains("424242"));
    let lines: Vec<&str> = lines.collect();
    assert!(lines.is_empty(), "{lines:#?}\n{text}");
    // It is of use all the same.
    for kept in [
        "\"default-runtime\": \"lockc\"",
        "\"debug\": true",
        "\"runtime_type\": \"io.containerd.runc.v2\"",
        "\"default\": \"baseline\"",
        "\"extends\": \"offline\"",
        "\"lsm=lockdown,bpf\"",
        "\"id\": \"LOCKC-E014\"",
        "\"mounts\": 1",
        "\"at\": \"/sys/fs/bpf\"",
        env!("CARGO_PKG_VERSION"),
        "FAILED: it cannot be parsed",
        "FAILED: not a regular file",
        "FAILED: too large",
        "FAILED: it is not TOML",
        "engines/etc/docker/daemon.json.json",
    ] {
        assert!(text.contains(kept), "{kept} is missing: {text}");
    }
}

#[test]
fn with_names_the_secrets_are_left_out_all_the_same() {
    let text = everything(true);
    let secrets = [
        "user:",
        "u:",
        "password\": \"c4",
        "token=",
        "Basic",
        "Authorization\": \"c4",
        "env\": [",
        "auth\": \"c4",
        "identitytoken\": \"c4",
        "splunk-token\": \"c4",
        "--token",
        "key_file\": \"c4",
        "424242",
        "# c4n4ry",
        "A=c4",
        "KEY=c4",
    ];
    for secret in secrets {
        let line = text.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret}\n{text}");
    }
    assert!(text.contains("\"/c4n4ry/docker\"") && text.contains("\"/c4n4ry\""), "{text}");
}
