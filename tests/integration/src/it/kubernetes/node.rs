//! The chart's objects in the cluster, its pod on the node, and what it leaves there.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::cluster::{self, KUBECONFIG, kubectl, objects};
use super::{pods, policies, report};
use crate::containerd;
use crate::system::{fails, package, quickstart, sh, status, until};

/// The chart and its objects where the quickstart has them, and the templates that this cluster
/// does not know.
const CHART: &str = "packaging/kubernetes/chart/lockc";
const MANIFESTS: &str = "packaging/kubernetes/manifests/lockc.yaml";
const TEMPLATES: [&str; 2] = ["templates/admissionpolicy.yaml", "templates/reportpolicy.yaml"];

/// The image's name in the chart is what `ctr image import` makes of the archive.
pub fn images() -> Result<String> {
    let dump = sh("containerd config dump")?;
    // `sandbox_image` of containerd 1, `sandbox` below `pinned_images` of 2.
    let pause = dump.lines().find_map(|line| {
        let (key, value) = line.split_once('=')?;
        let name = value.trim().trim_matches(['"', '\'']);
        (["sandbox_image", "sandbox"].contains(&key.trim()) && name.contains('/'))
            .then(|| name.to_owned())
    });
    containerd::network()?;
    containerd::import(&pause.context("containerd names no image for sandboxes")?)?;
    // What the examples ask for, as far as this machine has it.
    for name in ["busybox", "nginx"] {
        sh(&format!(
            "ctr -n k8s.io images tag {} docker.io/library/{name}:latest",
            containerd::IMAGE
        ))?;
    }
    Ok("of sandboxes, and of pods".into())
}

/// This cluster is of Kubernetes 1.20, which has no admission policies. They came with 1.30, are
/// evaluated by lockc-bpf's tests, and are taken out of the chart's copy and of the manifests here;
/// nothing else is.
pub fn prepare() -> Result<String> {
    sh(&format!(
        "mkdir -p /run/bin && ln -sf $PWD/kubectl $PWD/helm /run/bin/ && sed -i /^kubeVersion:/d \
         {CHART}/Chart.yaml"
    ))?;
    for template in TEMPLATES {
        sh(&format!("rm {CHART}/{template}"))?;
    }
    let all = objects(MANIFESTS)?;
    let policies = |object: &&Value| {
        object["kind"].as_str().is_some_and(|kind| kind.starts_with("ValidatingAdmission"))
    };
    if all.iter().filter(policies).count() != 2 * TEMPLATES.len() {
        bail!("the chart has other admission policies than are known here");
    }
    let known: Vec<&Value> = all.iter().filter(|object| !policies(object)).collect();
    let list = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": known});
    fs::write(MANIFESTS, list.to_string()).context("cannot write the objects")?;
    Ok(format!("{} of {} objects", known.len(), all.len()))
}

/// Commands of the quickstart.
fn page(headings: &[&str]) -> Result<String> {
    let environment = format!("export PATH=/run/bin:$PATH KUBECONFIG={KUBECONFIG}");
    quickstart::run_in(&environment, quickstart::KUBERNETES, headings)
}

fn handlers() -> Result<bool> {
    Ok(sh("containerd config dump")?.contains("/usr/local/bin/lockc-runc-wrapper"))
}

/// What its containers said, for a failure.
fn chart_pod() -> String {
    let get = |words: &[&str]| kubectl(words).map(|run| run.said()).unwrap_or_default();
    get(&["-n", "lockc-system", "describe", "pod"])
        + &get(&["-n", "lockc-system", "logs", "daemonset/lockc", "--all-containers"])
}

pub fn install() -> Result<String> {
    page(&["Install"]).with_context(chart_pod)?;
    if !handlers()? || status()?["enforcing"] != true {
        bail!("not enforcing: {}", chart_pod());
    }
    kubectl(&["-n", "lockc-system", "logs", "daemonset/lockc", "-c", "install"])?.must()
}

pub fn install_again() -> Result<String> {
    let look = || {
        sh("stat -c '%i %y' /etc/containerd/config.toml; systemctl show -p ExecMainPID containerd")
    };
    let before = look()?;
    let running = pods::in_containerd("lockc", Some("sync"))?;
    kubectl(&["-n", "lockc-system", "rollout", "restart", "daemonset/lockc"])?.must()?;
    kubectl(&["-n", "lockc-system", "rollout", "status", "daemonset/lockc", "--timeout=8m"])?
        .must()
        .with_context(chart_pod)?;
    if pods::in_containerd("lockc", Some("sync"))? == running {
        bail!("no other pod came");
    }
    let after = look()?;
    if before == after {
        Ok(after)
    } else {
        bail!("containerd was touched again: {before}, then {after}")
    }
}

/// What the chart put on the node is what the package puts there, but for the place of the
/// programs.
pub fn same_state() -> Result<String> {
    let file = package("deb", false)?;
    sh(&format!("rm -rf /run/package && dpkg-deb -x {} /run/package", file.display()))?;
    for name in ["lockc", "lockc-runc-wrapper"] {
        sh(&format!("cmp /run/package/usr/bin/{name} /usr/local/bin/{name}"))?;
        sh(&format!("stat -c '%U %G %a' /usr/local/bin/{name} | grep -qx 'root root 755'"))?;
    }
    sh("cmp /run/package/etc/lockc/lockc.toml /etc/lockc/lockc.toml")?;
    let unit = sh("find /run/package -name lockc.service")?;
    sh(&format!(
        "sed s,/usr/bin/lockc,/usr/local/bin/lockc, {unit} | cmp - \
         /etc/systemd/system/lockc.service"
    ))?;
    sh("systemctl daemon-reload && systemctl is-enabled lockc && systemctl start lockc && \
        systemctl is-active lockc")?;
    let status = status()?;
    if status["version"] != status["own_version"] || status["enforcing"] != true {
        bail!("other programs are loaded: {status}");
    }
    // The same command for containerd, by a different path.
    let again = sh("lockc install containerd --level baseline --level restricted --level \
                    offline --dry-run --json")?;
    let again: Value = serde_json::from_str(&again).context("no JSON")?;
    if again["changed"] != false {
        bail!("`lockc install containerd` of the package would change {again}");
    }
    sh("lockc config check")
}

/// The quickstart's other commands, with the chart's pod running.
pub fn quickstart() -> Result<String> {
    page(&["Use"])
}

fn taken_away() -> Result<()> {
    until(90, "containerd is back without the handler", || {
        Ok(!handlers()? && sh("ctr version").is_ok())
    })?;
    for path in [
        "/var/lib/lockc/namespaces.json",
        "/var/lib/lockc/policies.json",
        "/etc/lockc/lockc.d/50-kubernetes.toml",
    ] {
        if Path::new(path).exists() {
            bail!("{path} of the cluster's is still there: {}", chart_pod());
        }
    }
    fails("ls /etc/lockc/runtimes/*", "No such file").map(drop)
}

/// As the quickstart has it; the engine starts its own pods before and after.
pub fn uninstall() -> Result<String> {
    let done = page(&["Remove"]).with_context(chart_pod)?;
    // The reporter said so before the chart was gone.
    report::is_ready(false)?;
    taken_away()?;
    fails(&format!("./kubectl --kubeconfig {KUBECONFIG} get runtimeclass lockc"), "NotFound")?;
    policies::stay_and_are_removed()?;
    let mut plain = pods::pod("default", "plain", "");
    plain["spec"].as_object_mut().context("no pod")?.remove("runtimeClassName");
    pods::start(&plain)?;
    pods::delete(&plain)?;
    Ok(done)
}

/// The other way of the quickstart, on the same node.
pub fn manifests() -> Result<String> {
    let done = page(&["Without Helm"]).with_context(chart_pod)?;
    until(250, "the handler is there again", handlers).with_context(chart_pod)?;
    let pod = pods::pod("default", "again", "lockc");
    pods::start(&pod)?;
    pods::confined(&pod)?;
    drop(cluster::end_server());
    Ok(done)
}
