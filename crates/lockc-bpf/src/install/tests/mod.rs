//! Configurations as hosts have them, each installed, installed again, and uninstalled.

use std::fs;

use super::*;

/// Where a configuration stands on its host.
const K3S: &str = "/var/lib/rancher/k3s/agent/etc/containerd";

macro_rules! fixture {
    ($name:literal) => {
        ($name, include_str!(concat!("../../../tests/fixtures/install/", $name)))
    };
}

mod containerd;
mod defaults;
mod leave;

const DOCKER: [(&str, &str); 6] = [
    ("nothing in it", ""),
    fixture!("docker-empty.json"),
    fixture!("docker-minified.json"),
    fixture!("docker-nvidia.json"),
    fixture!("docker-server.json"),
    fixture!("docker-tabs.json"),
];

const CONTAINERD: [(&str, &str); 8] = [
    fixture!("containerd-empty.toml"),
    fixture!("containerd-comment.toml"),
    fixture!("containerd-debian.toml"),
    fixture!("containerd-kubeadm.toml"),
    fixture!("containerd-nvidia.toml"),
    fixture!("containerd-v2-imports.toml"),
    fixture!("containerd-1.7-default.toml"),
    fixture!("containerd-2.1-default.toml"),
];

/// A host with one configuration and the wrapper.
struct Fake {
    folder: tempfile::TempDir,
    host: Host,
    args: Common,
}

impl Fake {
    fn new(engine: Engine, config: &str, text: Option<&str>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let host = Host::new(folder.path()).unwrap();
        let at = host.at(Path::new(config));
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        if let Some(text) = text {
            fs::write(at, text).unwrap();
        }
        let config = Some(config.into());
        let args = Common {
            engine,
            dry_run: false,
            restart: false,
            config,
            root: folder.path().into(),
            json: false,
        };
        Self { folder, host, args }
    }

    fn usual(engine: Engine, text: Option<&str>) -> Self {
        Self::new(engine, engine.config(), text)
    }

    fn text(&self) -> Option<String> {
        self.host.read(self.args.config.as_deref().unwrap()).unwrap()
    }

    fn install(&self, levels: &[&str], default: bool) -> Result<Report> {
        let levels: Vec<String> = levels.iter().map(|level| (*level).to_owned()).collect();
        let runtimes = Runtimes::new("/usr/bin/lockc-runc-wrapper".into(), &levels, default)?;
        install_on(&self.host, &self.args, &runtimes)
    }

    fn uninstall(&self) -> Report {
        uninstall(&self.args, Leave::Nothing).unwrap()
    }

    /// Writes a file of the host's.
    fn put(&self, path: &str, text: &str) {
        let at = self.host.at(Path::new(path));
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        fs::write(at, text).unwrap();
    }

    fn read(&self, path: &str) -> Option<String> {
        self.host.read(Path::new(path)).unwrap()
    }

    /// Every file below the root.
    fn files(&self) -> Vec<String> {
        let all = std::process::Command::new("find")
            .arg(self.folder.path())
            .args(["-type", "f"])
            .output()
            .unwrap();
        let root = self.folder.path().display().to_string();
        let text = String::from_utf8(all.stdout).unwrap();
        text.lines().map(|line| line.trim_start_matches(&root).to_owned()).collect()
    }
}

/// Whether every line of `before` stands in `after`, in its order; a comma may have been added to
/// it.
fn keeps(before: &str, after: &str) -> bool {
    let mut lines = after.lines();
    before.lines().all(|line| lines.any(|other| other == line || other == format!("{line},")))
}

fn json(text: &str) -> serde_json::Value {
    if text.trim().is_empty() { serde_json::json!({}) } else { serde_json::from_str(text).unwrap() }
}

#[test]
fn docker_gains_runtimes_and_loses_nothing() {
    for (name, text) in DOCKER {
        let fake = Fake::usual(Engine::Docker, Some(text));
        assert!(fake.install(&["restricted"], false).unwrap().changed, "{name}");
        let after = fake.text().unwrap();
        if name == "docker-nvidia.json" || name == "docker-tabs.json" {
            assert!(keeps(text, &after), "{name}: {after}");
        }
        let (mut value, before) = (json(&after), json(text));
        let runtimes = value["runtimes"].as_object_mut().unwrap();
        assert_eq!(runtimes.remove("lockc").unwrap()["path"], "/usr/bin/lockc-runc-wrapper");
        let level = runtimes.remove("lockc-restricted").unwrap();
        assert_eq!(level["runtimeArgs"], serde_json::json!(["--lockc-policy", "restricted"]));
        if before["runtimes"].is_null() {
            value.as_object_mut().unwrap().remove("runtimes");
        }
        assert_eq!(value, before, "{name}");
        assert!(!fake.install(&["restricted"], false).unwrap().changed, "{name}: twice");
        // A second level and the default come beside the first.
        if name == "docker-nvidia.json" {
            let said = format!("{:#}", fake.install(&["offline"], true).unwrap_err());
            assert!(said.contains("the default runtime is nvidia"), "{said}");
            fake.put("/etc/lockc/lockc.toml", "runtimes = ['/usr/bin/runc']\n");
        }
        assert!(fake.install(&["offline"], true).unwrap().changed, "{name}");
        let value = json(&fake.text().unwrap());
        assert_eq!(value["default-runtime"], "lockc");
        assert!(
            value["runtimes"]["lockc-restricted"].is_object()
                && value["runtimes"]["lockc-offline"].is_object()
        );
        fake.uninstall();
        assert_eq!(fake.text().as_deref(), Some(text), "{name}: byte for byte");
        let left = fake.files().into_iter().filter(|path| !path.starts_with("/etc/lockc"));
        assert_eq!(left.collect::<Vec<_>>(), ["/etc/docker/daemon.json"], "{name}");
    }
}

#[test]
fn a_file_that_was_not_there_goes_again() {
    for engine in [Engine::Docker, Engine::Containerd, Engine::Crio, Engine::Podman] {
        let fake = Fake::usual(engine, None);
        assert!(fake.install(&["offline"], true).unwrap().changed);
        assert!(fake.text().is_some());
        assert!(
            !fake.install(&[], false).unwrap().changed,
            "{engine:?}: what was asked for once stays"
        );
        fake.uninstall();
        assert_eq!(fake.files(), [""; 0], "{engine:?}");
        assert!(!fake.uninstall().changed, "{engine:?}: twice");
    }
}

#[test]
fn what_is_changed_meanwhile_stays_changed() {
    let fake = Fake::usual(Engine::Docker, Some("{\n  \"icc\": false\n}\n"));
    fake.install(&[], true).unwrap();
    let edited = fake.text().unwrap().replace("\"icc\": false", "\"icc\": true,\n  \"ipv6\": true");
    fs::write(fake.host.at(Path::new("/etc/docker/daemon.json")), edited).unwrap();
    fake.uninstall();
    assert_eq!(json(&fake.text().unwrap()), serde_json::json!({"icc": true, "ipv6": true}));

    let fake =
        Fake::usual(Engine::Containerd, Some("version = 2\n# one\n[debug]\nlevel = 'info'\n"));
    fake.install(&[], false).unwrap();
    let edited = fake.text().unwrap().replace("'info'", "'warn' # two");
    fs::write(fake.host.at(Path::new("/etc/containerd/config.toml")), edited).unwrap();
    fake.uninstall();
    let text = fake.text().unwrap();
    assert!(text.contains("# one") && text.contains("# two") && !text.contains("lockc"), "{text}");
}

#[test]
fn a_foreign_runtime_of_that_name_is_left_alone() {
    let docker = r#"{"runtimes": {"lockc": {"path": "/opt/other"}}}"#;
    let containerd = "version = 2\n[plugins.'io.containerd.grpc.v1.cri'.containerd.runtimes.\
                      lockc]\nruntime_type = 'io.containerd.other.v1'\n";
    for (engine, text) in [(Engine::Docker, docker), (Engine::Containerd, containerd)] {
        let fake = Fake::usual(engine, Some(text));
        let said = format!("{:#}", fake.install(&[], false).unwrap_err());
        assert!(said.contains("not lockc's"), "{said}");
        assert_eq!(fake.text().as_deref(), Some(text));
    }
}

#[test]
fn what_is_no_configuration_is_not_touched() {
    for (engine, text) in [
        (Engine::Docker, "{ // a comment\n}"),
        (Engine::Docker, "[]"),
        (Engine::Docker, "{\"runtimes\": 3}"),
        (Engine::Containerd, "version = 1\n"),
        (Engine::Containerd, "disabled_plugins = []\n"),
        (Engine::Containerd, "version = 2\nplugins = 3\n"),
        (Engine::Containerd, "= 3\n"),
    ] {
        let fake = Fake::usual(engine, Some(text));
        assert!(fake.install(&[], false).is_err(), "{text}");
        assert_eq!(fake.text().as_deref(), Some(text));
        assert_eq!(fake.files().len(), 1, "{text}");
    }
}

#[test]
fn containerd_gains_handlers_and_keeps_every_line() {
    for (name, text) in CONTAINERD {
        let fake = Fake::usual(Engine::Containerd, Some(text));
        fake.install(&["restricted"], false).unwrap();
        let after = fake.text().unwrap();
        assert!(keeps(text, &after), "{name}: {after}");
        let document: toml::Table = toml::from_str(&after).unwrap();
        let plugins = &document["plugins"];
        let plugin = ["io.containerd.grpc.v1.cri", "io.containerd.cri.v1.runtime"];
        let cri = plugin.iter().find_map(|name| plugins.get(name)?.get("containerd")).unwrap();
        let (lockc, level) = (&cri["runtimes"]["lockc"], &cri["runtimes"]["lockc-restricted"]);
        assert_eq!(
            lockc["options"]["BinaryName"].as_str(),
            Some("/usr/bin/lockc-runc-wrapper"),
            "{name}"
        );
        assert_eq!(
            level["options"]["BinaryName"].as_str(),
            Some("/etc/lockc/runtimes/lockc-restricted")
        );
        assert_eq!(lockc["pod_annotations"].as_array().unwrap().len(), 1, "{name}");
        if name == "containerd-kubeadm.toml" || name == "containerd-nvidia.toml" {
            // The kubelet and containerd must agree on it.
            assert_eq!(lockc["options"]["SystemdCgroup"].as_bool(), Some(true), "{name}");
        }
        if name == "containerd-kubeadm.toml" {
            assert_eq!(lockc["base_runtime_spec"].as_str(), Some("/etc/containerd/cri-base.json"));
        }
        if document["version"].as_integer() == Some(2) {
            // For containerd 1.7 a file that names runtimes names all of them.
            assert!(cri["runtimes"].get("runc").is_some(), "{name}");
        }
        assert!(!fake.install(&["restricted"], false).unwrap().changed, "{name}: twice");
        if name == "containerd-nvidia.toml" {
            assert!(fake.install(&[], true).is_err(), "nvidia's containers would lose it");
            fake.put("/etc/lockc/lockc.toml", "runtimes = ['/usr/bin/runc']\n");
        }
        assert!(fake.install(&[], true).unwrap().changed, "{name}");
        assert!(!fake.install(&[], true).unwrap().changed, "{name}: the default twice");
        fake.uninstall();
        assert_eq!(fake.text().as_deref(), Some(text), "{name}: byte for byte");
        let left = fake.files().into_iter().filter(|path| !path.starts_with("/etc/lockc"));
        assert_eq!(left.collect::<Vec<_>>(), ["/etc/containerd/config.toml"], "{name}");
    }
}

#[test]
fn containerd_2_gets_a_drop_in_where_it_imports_them() {
    let (_, text) = fixture!("containerd-imports.toml");
    let fake = Fake::usual(Engine::Containerd, Some(text));
    fake.install(&[], true).unwrap();
    assert_eq!(fake.text().as_deref(), Some(text), "the file itself stays as it is");
    let drop_in = fake.host.read(Path::new("/etc/containerd/conf.d/lockc.toml")).unwrap().unwrap();
    let document: toml::Table = toml::from_str(&drop_in).unwrap();
    let cri = &document["plugins"]["io.containerd.cri.v1.runtime"]["containerd"];
    assert_eq!(cri["default_runtime_name"].as_str(), Some("lockc"));
    assert_eq!(
        cri["runtimes"]["lockc"]["options"]["SystemdCgroup"].as_bool(),
        Some(true),
        "as runc has it"
    );
    assert!(!fake.install(&[], true).unwrap().changed);
    fake.uninstall();
    assert_eq!(fake.files(), ["/etc/containerd/config.toml"]);
}

#[test]
fn templates_of_k3s_get_a_block() {
    let (new, old) =
        (fixture!("containerd-k3s-v3.toml.tmpl"), fixture!("containerd-k3s.toml.tmpl"));
    for (file, (name, text), systemd) in
        [("config-v3.toml.tmpl", new, true), ("config.toml.tmpl", old, false)]
    {
        let fake = Fake::new(Engine::Containerd, &format!("{K3S}/{file}"), Some(text));
        let report = fake.install(&["restricted"], false).unwrap();
        assert!(report.validated_by.is_none() && !report.warnings.is_empty(), "{name}: {report:?}");
        let after = fake.text().unwrap();
        assert!(after.starts_with(text.trim_end()), "{name}");
        let block: toml::Table =
            toml::from_str(after.strip_prefix(text.trim_end()).unwrap()).unwrap();
        let plugin =
            if systemd { "io.containerd.cri.v1.runtime" } else { "io.containerd.grpc.v1.cri" };
        let runtimes = block["plugins"][plugin]["containerd"]["runtimes"].as_table().unwrap();
        assert_eq!(runtimes.len(), 2, "{name}");
        assert_eq!(
            runtimes["lockc"]["options"]["SystemdCgroup"].as_bool(),
            Some(systemd),
            "{name}"
        );
        assert!(!fake.install(&["restricted"], false).unwrap().changed, "{name}: twice");
        assert!(fake.install(&[], true).is_err(), "k3s itself names the default");
        fake.uninstall();
        assert_eq!(fake.text().as_deref(), Some(text), "{name}");
    }
}

#[test]
fn podman_keeps_its_list_of_runtimes_without_cgroups() {
    let fake = Fake::usual(Engine::Podman, None);
    let conf = fake.host.at(Path::new("/etc/containers/containers.conf"));
    fs::write(conf, "[engine]\nruntime_supports_nocgroup = [\"crun\"]\n").unwrap();
    fake.install(&["offline"], false).unwrap();
    let document: toml::Table = toml::from_str(&fake.text().unwrap()).unwrap();
    let list: Vec<&str> = document["engine"]["runtime_supports_nocgroup"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|name| name.as_str())
        .collect();
    assert_eq!(list, ["crun", "lockc", "lockc-offline"]);
    assert!(document["engine"].get("runtime").is_none(), "not the default");
}

#[test]
fn a_script_of_a_level_goes_with_the_last_engine_that_has_it() {
    let podman = Fake::usual(Engine::Podman, None);
    let mut containerd = Fake::usual(Engine::Containerd, None);
    containerd.host = Host::new(podman.folder.path()).unwrap();
    containerd.args.root = podman.folder.path().into();
    let script = podman.host.at(Path::new("/etc/lockc/runtimes/lockc-offline"));
    podman.install(&["offline"], false).unwrap();
    containerd.install(&["offline"], false).unwrap();
    let text = fs::read_to_string(&script).unwrap();
    assert!(
        text.ends_with("exec /usr/bin/lockc-runc-wrapper --lockc-policy offline \"$@\"\n"),
        "{text}"
    );
    podman.uninstall();
    assert!(script.exists());
    containerd.uninstall();
    assert!(!script.exists());
}

#[test]
fn a_level_is_a_plain_word() {
    for level in ["", "a b", "../x", "a\"b", "A", "x;y"] {
        assert!(runtimes::checked_level(level).is_err(), "{level:?}");
    }
    assert!(runtimes::checked_level("team-a_2").is_ok());
}

#[test]
fn a_dry_run_writes_nothing() {
    let mut fake = Fake::usual(Engine::Docker, Some("{}\n"));
    fake.args.dry_run = true;
    let report = fake.install(&[], false).unwrap();
    assert!(report.changed && report.files[0].diff.contains("+"), "{report:?}");
    assert_eq!(fake.text().as_deref(), Some("{}\n"));
    assert_eq!(fake.files(), ["/etc/docker/daemon.json"]);
}
