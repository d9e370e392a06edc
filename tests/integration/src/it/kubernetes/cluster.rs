//! A cluster of one node: etcd, the API server, controllers, scheduler, the kubelet; and its
//! clients, as root of it.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
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
pub const KUBECONFIG: &str = "/run/cluster/kubeconfig";
pub const KUBELET_LOG: &str = "/run/cluster/kubelet.log";
/// Where the kubelet finds the pods that no API server tells it of.
pub const STATIC_PODS: &str = "/etc/kubernetes/manifests";
/// The first address of the services' network is the API server's. It is the machine's own here, so
/// that nobody has to translate it; and the node's too, of which a loopback address cannot be one.
const ADDRESS: &str = "10.0.0.1";

/// Where kubectl's proxy listens.
const PROXY: &str = "127.0.0.1:8001";

/// Starts a program that stays, with its output in a log.
fn spawn(name: &str, options: &[String]) -> Result<u32> {
    let log = fs::File::create(format!("{FOLDER}/{name}.log")).context("cannot write a log")?;
    let mut command = Command::new(format!("./{name}"));
    command
        .args(options)
        .stdin(Stdio::null())
        .stdout(log.try_clone().context("cannot share a log")?)
        .stderr(log);
    let mut child = command.spawn().with_context(|| format!("cannot start {name}"))?;
    let id = child.id();
    // Somebody has to wait for it when it ends.
    thread::spawn(move || child.wait());
    Ok(id)
}

fn log_of(name: &str) -> String {
    sh(&format!("tail -n 5 {FOLDER}/{name}.log")).unwrap_or_default()
}

pub fn kubectl(words: &[&str]) -> Result<Run> {
    kubectl_with(words, "")
}

/// With this on standard input. Where a busy API server takes longer to greet than kubectl waits
/// (ten seconds), nothing was asked yet, and kubectl is run again.
pub fn kubectl_with(words: &[&str], input: &str) -> Result<Run> {
    let mut all = vec!["./kubectl", "--kubeconfig", KUBECONFIG];
    all.extend(words);
    let mut run = command::run_for(600, &all, input)?;
    for _ in 0..8 {
        if run.ok()
            || !run
                .stderr
                .contains("Unable to connect to the server: net/http: TLS handshake timeout")
        {
            break;
        }
        run = command::run_for(600, &all, input)?;
    }
    Ok(run)
}

/// The answer of the API server to a GET, null where it has none (yet): by kubectl's proxy, because
/// a kubectl for each look takes seconds in emulation.
pub fn get(path: &str) -> Result<Value> {
    let answer = fetch(PROXY, path).unwrap_or_default();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    if !head.lines().next().unwrap_or_default().contains(" 200 ") {
        return Ok(Value::Null);
    }
    serde_json::from_str(body).with_context(|| format!("{path}: no JSON"))
}

/// What is at a path of a server without TLS.
pub fn fetch(from: &str, path: &str) -> io::Result<String> {
    send(
        from,
        &format!(
            "GET {path} HTTP/1.0
"
        ),
        "",
    )
}

/// Server-side apply to any path, as kubectl does to objects alone.
pub fn apply(path: &str, manager: &str, object: &Value) -> Result<()> {
    let body = object.to_string();
    let head = format!(
        "PATCH {path}?fieldManager={manager}&force=true HTTP/1.0
Content-Length: {}
\
         Content-Type: application/apply-patch+yaml
",
        body.len()
    );
    let answer = send(PROXY, &head, &body).context("the proxy does not answer")?;
    if answer.lines().next().unwrap_or_default().contains(" 200 ") {
        Ok(())
    } else {
        bail!("{path}: {answer}")
    }
}

/// Of HTTP/1.0 the body ends where the connection does.
fn send(to: &str, head: &str, body: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(to)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    write!(
        stream,
        "{head}Host: {to}
Accept: application/json

{body}"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// Starts the database and the API server.
pub fn start() -> Result<String> {
    fs::create_dir_all(FOLDER).context("cannot create a directory")?;
    fs::write(format!("{FOLDER}/tokens"), "of-the-admin,admin,1,system:masters\n")
        .context("cannot write the tokens")?;
    sh(&format!("openssl ecparam -name prime256v1 -genkey -noout -out {FOLDER}/key"))?;
    sh(&format!("ip addr add {ADDRESS}/32 dev lo"))?;
    let etcd = [
        format!("--data-dir={FOLDER}/etcd"),
        "--listen-client-urls=http://127.0.0.1:2379".into(),
        "--advertise-client-urls=http://127.0.0.1:2379".into(),
        "--listen-peer-urls=http://127.0.0.1:2380".into(),
    ];
    spawn("etcd", &etcd)?;
    let certificate = format!("{FOLDER}/certs/apiserver.crt");
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "it",
        "clusters": [{"name": "it", "cluster": {"server": format!("https://{ADDRESS}"),
            "certificate-authority": certificate}}],
        "users": [{"name": "admin", "user": {"token": "of-the-admin"}}],
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "admin"}}],
    });
    fs::write(KUBECONFIG, config.to_string()).context("cannot write a kubeconfig")?;
    server()
}

/// What the API server serves, in the order in which it is let go on.
const CLIENTS: [&str; 3] = ["kube-scheduler", "kube-controller", "kubelet"];

/// Starts the API server and waits until it is ready. Its clients wait as well and come back one
/// after another: all at once they keep an emulated one from its own first requests, for which it
/// has ten seconds. One that gives up is started again, as a kubelet would.
pub fn server() -> Result<String> {
    let signal = |name: &str, client: &str| {
        sh(&format!(r"pkill -{name} -f '^\./{client}' && echo sent || true"))
            .map(|said| said == "sent")
    };
    for client in CLIENTS {
        signal("STOP", client)?;
    }
    let served = serve().or_else(|_| {
        drop(end_server());
        serve()
    });
    for client in CLIENTS {
        if signal("CONT", client)? && served.is_ok() {
            thread::sleep(Duration::from_secs(2));
            until(300, "the API server has time", || {
                Ok(kubectl(&["get", "--raw", "/readyz"])?.ok())
            })?;
        }
    }
    served
}

fn serve() -> Result<String> {
    let at = |option: &str, name: &str| format!("--{option}={FOLDER}/{name}");
    let id = spawn(
        "kube-apiserver",
        &[
            "--etcd-servers=http://127.0.0.1:2379".into(),
            format!("--bind-address={ADDRESS}"),
            "--secure-port=443".into(),
            format!("--advertise-address={ADDRESS}"),
            "--endpoint-reconciler-type=none".into(),
            "--kubelet-preferred-address-types=InternalIP".into(),
            "--allow-privileged=true".into(),
            "--profiling=false".into(),
            "--feature-gates=APIPriorityAndFairness=false".into(),
            "--runtime-config=flowcontrol.apiserver.k8s.io/v1beta1=false".into(),
            "--authorization-mode=RBAC".into(),
            "--service-cluster-ip-range=10.0.0.0/24".into(),
            "--service-account-issuer=https://kubernetes.default.svc".into(),
            at("cert-dir", "certs"),
            at("token-auth-file", "tokens"),
            at("service-account-signing-key-file", "key"),
            at("service-account-key-file", "key"),
        ],
    )?;
    fs::write(format!("{FOLDER}/pid"), id.to_string()).context("cannot write the process id")?;
    let ready = until(400, "the API server is ready", || {
        if !Path::new(&format!("/proc/{id}")).exists() {
            bail!("it ended");
        }
        // A kubectl for each look would take the time from it.
        Ok(TcpStream::connect((ADDRESS, 443)).is_ok()
            && kubectl(&["get", "--raw", "/readyz"])?.ok())
    });
    ready.with_context(|| log_of("kube-apiserver"))?;
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

/// Starts what makes a cluster of it: controllers, the scheduler, the kubelet of this node.
pub fn node() -> Result<String> {
    let kubeconfig = || format!("--kubeconfig={KUBECONFIG}");
    let at = |option: &str, name: &str| format!("--{option}={FOLDER}/{name}");
    spawn(
        "kube-controller-manager",
        &[
            kubeconfig(),
            "--leader-elect=false".into(),
            "--node-monitor-grace-period=5m".into(),
            // All that these cases need of dozens: the machine is emulated.
            "--controllers=daemonset,garbagecollector,namespace,nodelifecycle,\
             root-ca-cert-publisher,serviceaccount,serviceaccount-token"
                .into(),
            at("service-account-private-key-file", "key"),
            at("root-ca-file", "certs/apiserver.crt"),
        ],
    )?;
    spawn("kube-scheduler", &[kubeconfig(), "--leader-elect=false".into()])?;
    spawn(
        "kubectl",
        &[
            "proxy".into(),
            kubeconfig(),
            format!("--port={}", PROXY.rsplit(':').next().unwrap_or("")),
        ],
    )?;
    fs::create_dir_all(STATIC_PODS).context("cannot create a directory")?;
    let config = json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
        "authentication": {"anonymous": {"enabled": true}, "webhook": {"enabled": false}},
        "authorization": {"mode": "AlwaysAllow"},
        "failSwapOn": false, "resolvConf": "", "staticPodPath": STATIC_PODS,
            "fileCheckFrequency": "2s",
        "nodeStatusUpdateFrequency": "30s", "nodeStatusReportFrequency": "2m",
            "volumeStatsAggPeriod": "0s",
        // The machine is small, and its disk fuller than a node's.
        "evictionHard": {"memory.available": "1Mi"}, "imageGCHighThresholdPercent": 100,
    });
    fs::write(format!("{FOLDER}/kubelet.json"), config.to_string())
        .context("cannot write the configuration")?;
    spawn(
        "kubelet",
        &[
            kubeconfig(),
            at("config", "kubelet.json"),
            "--container-runtime=remote".into(),
            "--container-runtime-endpoint=unix:///run/containerd/containerd.sock".into(),
            "--hostname-override=node".into(),
            format!("--node-ip={ADDRESS}"),
            // Statistics that nobody reads.
            "--housekeeping-interval=2m".into(),
            "--global-housekeeping-interval=10m".into(),
        ],
    )?;
    until(300, "the node is ready", || {
        let nodes = kubectl(&["get", "nodes", "--no-headers"])?.stdout;
        Ok(nodes.split_whitespace().any(|word| word == "Ready"))
    })
    .with_context(|| log_of("kubelet"))?;
    kubectl(&["get", "nodes", "-o", "wide", "--no-headers"])?.must()
}

/// The objects of a file.
pub fn objects(file: &str) -> Result<Vec<Value>> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {file}"))?;
    serde_saphyr::from_multiple(&text).with_context(|| format!("{file} cannot be parsed"))
}
