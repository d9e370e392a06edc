//! `uninstall` beside containers that were created with lockc.

use std::fs;

use super::*;

const DATA: &str = "/var/lib/docker/containers";

/// A container as dockerd writes it down.
fn container(fake: &Fake, containers: &str, id: &str, name: &str, runtime: &str) {
    let config = format!(r#"{{"ID":"{id}","Name":"/{name}","Config":{{"Labels":{{}}}}}}"#);
    fake.put(&format!("{containers}/{id}/config.v2.json"), &config);
    let host = format!(r#"{{"Binds":null,"Runtime":"{runtime}"}}"#);
    fake.put(&format!("{containers}/{id}/hostconfig.json"), &host);
}

fn leave(fake: &Fake, leave: Leave) -> Result<Report> {
    uninstall(&fake.args, leave)
}

fn names(report: &Report) -> Vec<&str> {
    report.depend.iter().map(|container| container.name.as_str()).collect()
}

fn docker(text: Option<&str>) -> Fake {
    let fake = Fake::usual(Engine::Docker, text);
    fake.put("/usr/bin/runc", "");
    fake
}

#[test]
fn docker_is_left_alone_while_a_container_depends_on_lockc() {
    let fake = docker(Some("{\n  \"icc\": false\n}\n"));
    fake.install(&["offline"], true).unwrap();
    container(&fake, DATA, "a1", "web", "lockc");
    container(&fake, DATA, "b2", "db", "lockc-offline");
    container(&fake, DATA, "c3", "other", "runc");
    container(&fake, DATA, "d4", "never-started", "");
    fake.put(&format!("{DATA}/e5/config.v2.json"), "half a rec");
    let before = fake.files().len();
    let text = fake.text();
    let report = leave(&fake, Leave::Nothing).unwrap();
    assert!(report.is_stopped() && !report.changed);
    assert_eq!(names(&report), ["db", "web"]);
    assert!(report.depend[1].recreate.starts_with("docker rm --force web"), "{report:?}");
    assert_eq!((fake.text(), fake.files().len()), (text, before), "nothing was changed");
    // They are gone: it goes as ever.
    fs::remove_dir_all(fake.host.at(Path::new(&format!("{DATA}/a1")))).unwrap();
    assert_eq!(names(&leave(&fake, Leave::Nothing).unwrap()), ["db"]);
    fs::remove_dir_all(fake.host.at(Path::new(&format!("{DATA}/b2")))).unwrap();
    assert!(!leave(&fake, Leave::Nothing).unwrap().is_stopped());
    assert_eq!(fake.text().as_deref(), Some("{\n  \"icc\": false\n}\n"));
}

#[test]
fn docker_is_asked_by_its_files_wherever_its_data_are() {
    let places = [
        (Some(r#"{"data-root": "/data/docker"}"#), "", "/data/docker/containers"),
        (None, "", "/var/lib/docker/100000.100000/containers"),
        (None, "--data-root=/mnt/d", "/mnt/d/containers"),
    ];
    for (text, options, folder) in places {
        let fake = docker(text);
        let unit = format!("[Service]\nExecStart=/usr/sbin/dockerd {options}\n");
        fake.put("/usr/lib/systemd/system/docker.service", &unit);
        fake.install(&[], false).unwrap();
        container(&fake, folder, "a1", "web", "lockc");
        assert_eq!(names(&leave(&fake, Leave::Nothing).unwrap()), ["web"], "{folder}");
    }
}

#[test]
fn force_removes_it_and_says_what_does_not_start_again() {
    let fake = docker(Some("{}\n"));
    fake.install(&[], false).unwrap();
    container(&fake, DATA, "a1", "web", "lockc");
    let report = leave(&fake, Leave::Containers).unwrap();
    assert!(report.changed && !report.is_stopped() && report.kept.is_empty());
    assert_eq!(names(&report), ["web"]);
    assert_eq!(fake.text().as_deref(), Some("{}\n"));
    assert!(!leave(&fake, Leave::Nothing).unwrap().is_stopped(), "lockc is no runtime by now");
}

#[test]
fn docker_keeps_the_names_for_the_real_runtime_until_nobody_has_them() {
    let before = "{\n  \"default-runtime\": \"crun\",\n  \"icc\": false\n}\n";
    let fake = docker(Some(before));
    fake.install(&["offline"], true).unwrap();
    container(&fake, DATA, "a1", "web", "lockc");
    let report = leave(&fake, Leave::Names).unwrap();
    assert_eq!(report.kept, ["lockc", "lockc-offline"]);
    let value = json(&fake.text().unwrap());
    assert_eq!(value["default-runtime"], "crun");
    assert_eq!(value["runtimes"]["lockc"], serde_json::json!({"path": "/usr/bin/runc"}));
    assert_eq!(value["runtimes"]["lockc-offline"], serde_json::json!({"path": "/usr/bin/runc"}));
    // As a package does when it is removed: nothing depends on lockc any more.
    let report = leave(&fake, Leave::Nothing).unwrap();
    assert!(!report.is_stopped() && report.depend.is_empty(), "{report:?}");
    assert_eq!(report.kept, ["lockc"], "the other has no container");
    assert_eq!(json(&fake.text().unwrap())["runtimes"].as_object().unwrap().len(), 1);
    // Installed again, the name is lockc's.
    fake.install(&[], false).unwrap();
    let wrapper = "/usr/bin/lockc-runc-wrapper";
    assert_eq!(json(&fake.text().unwrap())["runtimes"]["lockc"]["path"], wrapper);
    assert!(leave(&fake, Leave::Nothing).unwrap().is_stopped());
    leave(&fake, Leave::Names).unwrap();
    // Also where the package took the record with it.
    fs::remove_dir_all(fake.host.at(Path::new("/var/lib/lockc"))).unwrap();
    fake.install(&[], false).unwrap();
    leave(&fake, Leave::Names).unwrap();
    fs::remove_dir_all(fake.host.at(Path::new(DATA))).unwrap();
    leave(&fake, Leave::Nothing).unwrap();
    assert_eq!(fake.text().as_deref(), Some(before));
}

#[test]
fn a_name_can_only_be_kept_for_a_runtime_that_exists() {
    let fake = Fake::usual(Engine::Docker, Some("{}\n"));
    fake.install(&[], false).unwrap();
    container(&fake, DATA, "a1", "web", "lockc");
    let text = fake.text();
    let said = format!("{:#}", leave(&fake, Leave::Names).unwrap_err());
    assert!(said.contains("no OCI runtime found"), "{said}");
    assert_eq!(fake.text(), text);
    fake.put("/opt/runtime", "");
    fake.put("/etc/lockc/lockc.toml", "runtimes = ['/opt/gone', '/opt/runtime']\n");
    leave(&fake, Leave::Names).unwrap();
    assert_eq!(json(&fake.text().unwrap())["runtimes"]["lockc"]["path"], "/opt/runtime");
    assert!(fake.install(&[], false).is_ok(), "the record tells whose the name is");
}

#[test]
fn a_dry_run_stops_too() {
    let mut fake = docker(Some("{}\n"));
    fake.install(&[], false).unwrap();
    container(&fake, DATA, "a1", "web", "lockc");
    fake.args.dry_run = true;
    assert!(leave(&fake, Leave::Nothing).unwrap().is_stopped());
    let text = fake.text();
    let report = leave(&fake, Leave::Names).unwrap();
    assert!(report.changed && report.files[0].diff.contains("runc"));
    assert_eq!(fake.text(), text);
}

/// A task as containerd's shim keeps it.
fn task(fake: &Fake, state: &str, id: &str, program: &str, annotations: &str) {
    let bundle = format!("{state}/io.containerd.runtime.v2.task/{id}");
    fake.put(&format!("{bundle}/runtime"), program);
    fake.put(&format!("{bundle}/config.json"), &format!("{{\"annotations\": {annotations}}}"));
}

#[test]
fn the_pods_of_containerd_have_their_handlers() {
    let before = "version = 2\n[plugins.'io.containerd.grpc.v1.cri'.containerd.runtimes.runc]\n\
                  runtime_type = 'io.containerd.runc.v2'\n";
    for keep in [false, true] {
        let fake = Fake::usual(Engine::Containerd, Some(before));
        fake.put("/usr/sbin/runc", "");
        fake.install(&["offline"], false).unwrap();
        let sandbox = r#"{"io.kubernetes.cri.container-type": "sandbox",
            "io.kubernetes.cri.sandbox-namespace": "team", "io.kubernetes.cri.sandbox-name": "a"}"#;
        let script = "/etc/lockc/runtimes/lockc-offline";
        task(&fake, "/run/containerd", "k8s.io/a1", script, sandbox);
        let member = sandbox.replace("\"sandbox\",", "\"container\",");
        task(&fake, "/run/containerd", "k8s.io/a2", script, &member);
        task(&fake, "/run/containerd", "k8s.io/b1", "", &sandbox.replace("\"a\"", "\"b\""));
        task(&fake, "/run/containerd", "moby/c1", "/usr/bin/lockc-runc-wrapper", "{}");
        let by_ctr = "/usr/bin/lockc-runc-wrapper";
        task(&fake, "/run/containerd", "default/d1", by_ctr, "null");
        let report = leave(&fake, Leave::Nothing).unwrap();
        assert_eq!(names(&report), ["default/d1", "team/a"]);
        assert_eq!(report.depend[1].runtime, "lockc-offline");
        assert_eq!(report.depend[1].recreate, "kubectl --namespace team delete pod a");
        let report = leave(&fake, if keep { Leave::Names } else { Leave::Containers }).unwrap();
        assert!(fake.read(script).is_some(), "what runs is stopped by it");
        assert!(report.warnings[0].contains("/etc/lockc/runtimes"), "{report:?}");
        let document: toml::Table = toml::from_str(&fake.text().unwrap()).unwrap();
        let runtimes = &document["plugins"]["io.containerd.grpc.v1.cri"]["containerd"]["runtimes"];
        if keep {
            let binary = |name: &str| runtimes[name]["options"]["BinaryName"].as_str();
            assert_eq!(binary("lockc"), Some("/usr/sbin/runc"));
            assert_eq!(binary("lockc-offline"), Some("/usr/sbin/runc"));
            assert!(!leave(&fake, Leave::Nothing).unwrap().is_stopped());
        } else {
            assert_eq!(fake.text().as_deref(), Some(before));
            assert_eq!(runtimes.as_table().unwrap().len(), 1);
        }
    }
}

#[test]
fn the_pods_of_crio_have_their_handlers() {
    let fake = Fake::usual(Engine::Crio, None);
    fake.put("/usr/bin/crun", "");
    fake.install(&[], true).unwrap();
    let sandbox = |id: &str, handler: &str, kind: &str| {
        let text = format!(
            r#"{{"annotations": {{"io.kubernetes.cri-o.ContainerType": "{kind}",
                "io.kubernetes.cri-o.Namespace": "team", "io.kubernetes.cri-o.KubeName": "{id}",
                "io.kubernetes.cri-o.RuntimeHandler": "{handler}"}}}}"#
        );
        let storage = "/var/lib/containers/storage/overlay-containers";
        fake.put(&format!("{storage}/{id}/userdata/config.json"), &text);
    };
    sandbox("a", "lockc", "sandbox");
    sandbox("b", "", "sandbox");
    sandbox("c", "lockc", "container");
    assert_eq!(names(&leave(&fake, Leave::Nothing).unwrap()), ["team/a"]);
    leave(&fake, Leave::Names).unwrap();
    let text = fake.text().unwrap();
    let document: toml::Table = toml::from_str(&text).unwrap();
    let runtime = &document["crio"]["runtime"];
    assert_eq!(runtime["runtimes"]["lockc"]["runtime_path"].as_str(), Some("/usr/bin/crun"));
    assert!(runtime.get("default_runtime").is_none(), "{text}");
    assert!(leave(&fake, Leave::Nothing).unwrap().depend.is_empty());
    assert!(fake.text().is_some(), "a pod still has the name");
    leave(&fake, Leave::Containers).unwrap();
    assert_eq!(fake.text(), None);
}

#[test]
fn the_drop_in_of_podman_keeps_the_names() {
    let fake = Fake::usual(Engine::Podman, None);
    fake.put("/usr/bin/crun", "");
    fake.install(&["offline"], true).unwrap();
    leave(&fake, Leave::Names).unwrap();
    let text = fake.text().unwrap();
    let document: toml::Table = toml::from_str(&text).unwrap();
    assert!(document["engine"].get("runtime").is_none(), "{text}");
    for name in ["lockc", "lockc-offline"] {
        assert_eq!(document["engine"]["runtimes"][name][0].as_str(), Some("/usr/bin/crun"));
    }
    fake.install(&[], false).unwrap();
    assert!(fake.text().unwrap().contains("lockc-runc-wrapper"));
    leave(&fake, Leave::Nothing).unwrap();
    assert_eq!(fake.files(), ["/usr/bin/crun"]);
}

#[test]
fn a_template_keeps_the_names_in_its_block() {
    let (_, text) = fixture!("containerd-k3s-v3.toml.tmpl");
    let fake = Fake::new(Engine::Containerd, &format!("{K3S}/config-v3.toml.tmpl"), Some(text));
    fake.put("/usr/bin/runc", "");
    fake.install(&[], false).unwrap();
    let handler = "/usr/bin/lockc-runc-wrapper";
    task(&fake, "/run/k3s/containerd", "k8s.io/a", handler, "{}");
    assert!(leave(&fake, Leave::Nothing).unwrap().is_stopped());
    leave(&fake, Leave::Names).unwrap();
    let after = fake.text().unwrap();
    assert!(after.starts_with(text.trim_end()) && !after.contains(handler), "{after}");
    assert!(after.contains("BinaryName = \"/usr/bin/runc\""), "{after}");
    fs::remove_dir_all(fake.host.at(Path::new("/run/k3s"))).unwrap();
    leave(&fake, Leave::Nothing).unwrap();
    assert_eq!(fake.text().as_deref(), Some(text));
}

#[test]
fn install_says_which_containers_keep_their_runtime() {
    let fake = docker(None);
    container(&fake, DATA, "a1", "web", "runc");
    container(&fake, DATA, "b2", "db", "lockc");
    container(&fake, DATA, "c3", "lazy", "");
    let labels = r#"{"Name": "/shop-app-1", "Config": {"Labels": {
        "com.docker.compose.project": "shop", "com.docker.compose.service": "app"}}}"#;
    container(&fake, DATA, "d4", "app", "crun");
    fake.put(&format!("{DATA}/d4/config.v2.json"), labels);
    for default in [false, true] {
        let report = fake.install(&[], default).unwrap();
        assert_eq!(report.default, default);
        let lines: Vec<String> = report.others.iter().map(Container::line).collect();
        assert_eq!(
            lines,
            [
                "shop-app-1 (crun): docker compose --project-name shop up --detach \
                 --force-recreate app",
                "web (runc): docker rm --force web, then its docker run or create again",
            ]
        );
    }
    assert!(fake.install(&[], true).unwrap().others.len() == 2, "also where nothing changes");
}
