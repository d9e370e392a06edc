//! etcd, the API server and its client, as root of the cluster.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::command::{self, Run};
use crate::system::{sh, until};

/// Where all of it keeps its files.
const FOLDER: &str = "/run/cluster";
/// Where the API server listens.
pub const PORT: &str = "6443";
/// Its certificate, with the authority that signed it.
pub const CERTIFICATE: &str = "/run/cluster/certs/apiserver.crt";
/// The chart's service account's.
pub const NODE_TOKEN: &str = "of-the-node";
pub const KUBECONFIG: &str = "/run/cluster/kubeconfig";

/// Starts a program that stays, with its output in a log.
fn spawn(words: &[&str]) -> Result<u32> {
    let name = words[0].trim_start_matches("./");
    let log = fs::File::create(format!("{FOLDER}/{name}.log")).context("cannot write a log")?;
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).stdin(Stdio::null()).stdout(log.try_clone().context("cannot share a log")?).stderr(log);
    let mut child = command.spawn().with_context(|| format!("cannot start {name}"))?;
    let id = child.id();
    // Somebody has to wait for it when it ends.
    thread::spawn(move || child.wait());
    Ok(id)
}

pub fn kubectl(words: &[&str]) -> Result<Run> {
    let mut all = vec!["./kubectl", "--kubeconfig", KUBECONFIG];
    all.extend(words);
    command::run_for(300, &all, "")
}

/// Starts the database and the API server.
pub fn start() -> Result<String> {
    fs::create_dir_all(FOLDER).context("cannot create a folder")?;
    let tokens = format!(
        "of-the-admin,admin,1,system:masters\n{NODE_TOKEN},system:serviceaccount:lockc-system:lockc,2,system:serviceaccounts\n"
    );
    fs::write(format!("{FOLDER}/tokens"), tokens).context("cannot write the tokens")?;
    sh(&format!("openssl ecparam -name prime256v1 -genkey -noout -out {FOLDER}/key"))?;
    let data = format!("--data-dir={FOLDER}/etcd");
    spawn(&[
        "./etcd",
        &data,
        "--listen-client-urls=http://127.0.0.1:2379",
        "--advertise-client-urls=http://127.0.0.1:2379",
        "--listen-peer-urls=http://127.0.0.1:2380",
    ])?;
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "it",
        "clusters": [{"name": "it", "cluster": {"server": format!("https://127.0.0.1:{PORT}"), "certificate-authority": CERTIFICATE}}],
        "users": [{"name": "admin", "user": {"token": "of-the-admin"}}],
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "admin"}}],
    });
    fs::write(KUBECONFIG, config.to_string()).context("cannot write a kubeconfig")?;
    server()
}

/// Starts the API server and waits until it is ready.
pub fn server() -> Result<String> {
    let at = |option: &str, name: &str| format!("--{option}={FOLDER}/{name}");
    let words = [
        "./kube-apiserver".to_owned(),
        "--etcd-servers=http://127.0.0.1:2379".into(),
        "--bind-address=127.0.0.1".into(),
        format!("--secure-port={PORT}"),
        // The machine has no network; nobody looks for the API server by the cluster's own service.
        "--advertise-address=192.0.2.1".into(),
        "--endpoint-reconciler-type=none".into(),
        "--allow-privileged=true".into(),
        "--authorization-mode=RBAC".into(),
        "--service-cluster-ip-range=10.0.0.0/24".into(),
        "--service-account-issuer=https://kubernetes.default.svc".into(),
        at("cert-dir", "certs"),
        at("token-auth-file", "tokens"),
        at("service-account-signing-key-file", "key"),
        at("service-account-key-file", "key"),
    ];
    let id = spawn(&words.each_ref().map(String::as_str))?;
    fs::write(format!("{FOLDER}/pid"), id.to_string()).context("cannot write the process id")?;
    let ready = until(240, "the API server is ready", || {
        if !Path::new(&format!("/proc/{id}")).exists() {
            bail!("it ended: {}", sh(&format!("tail -n 5 {FOLDER}/kube-apiserver.log"))?);
        }
        Ok(Path::new(CERTIFICATE).exists() && kubectl(&["get", "--raw", "/readyz"])?.ok())
    });
    ready.with_context(|| sh(&format!("tail -n 5 {FOLDER}/kube-apiserver.log")).unwrap_or_default())?;
    kubectl(&["version", "--short"])?.must()
}

/// Ends the API server, and it alone.
pub fn end_server() -> Result<()> {
    let id = fs::read_to_string(format!("{FOLDER}/pid")).context("no API server was started")?;
    sh(&format!("kill -KILL {id}"))?;
    let gone = || Ok(!Path::new(&format!("/proc/{id}/exe")).exists());
    until(30, "the API server is gone", gone)?;
    thread::sleep(Duration::from_millis(200));
    Ok(())
}

/// The objects of a file.
pub fn objects(file: &str) -> Result<Vec<Value>> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {file}"))?;
    serde_saphyr::from_multiple(&text).with_context(|| format!("{file} is not understood"))
}

/// What this API server knows of the rendered chart is accepted as it is, by its schemas. It is of 1.20: admission policies
/// came with 1.26 and are tested where their expressions can be evaluated, in lockc-bpf's tests.
pub fn apply() -> Result<String> {
    let mut objects = objects("lockc.yaml")?;
    let all = objects.len();
    objects.retain(|object| !object["kind"].as_str().is_some_and(|kind| kind.starts_with("ValidatingAdmissionPolicy")));
    if objects.len() + 2 != all {
        bail!("the chart has {all} objects, of which {} are no admission policy", objects.len());
    }
    let known = json!({"apiVersion": "v1", "kind": "List", "items": objects});
    // In place, so that the quickstart's command finds it.
    fs::write("lockc.yaml.known", known.to_string()).context("cannot write the objects")?;
    kubectl(&["create", "namespace", "lockc-system"])?.must()?;
    kubectl(&["apply", "--validate=true", "-f", "lockc.yaml.known"])?.must()
}
