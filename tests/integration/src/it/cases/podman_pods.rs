//! Pods of Podman: members take the infra container's policy unless they ask for a tighter one;
//! `podman kube play`.

use std::fs;

use anyhow::{Context, Result};

use super::podman_select::{is_under, with_drop_in};
use super::{Row, Test, row};
use crate::command;
use crate::lab::Lab;
use crate::launch::{Runtime, fresh_id};
use crate::podman::{Background, IMAGE};

pub const ROWS: &[Row] = &[
    row("podman/pod-members-inherit", Test::Code(members)),
    row("podman/pod-work", Test::Code(work)),
    row("podman/kube-play", Test::Code(kube_play)).thorough(),
    row("podman/kube-play-pretended", Test::Code(kube_play_pretended)).thorough(),
];

/// A pod, removed when dropped.
struct Pod(String);

impl Pod {
    /// Its infra container is started by `runtime`.
    fn create(lab: &mut Lab, runtime: &str) -> Result<Self> {
        lab.podman()?;
        let name = fresh_id();
        let words =
            ["podman", "--runtime", runtime, "pod", "create", "--name", &name, "--network", "none"];
        let infra = ["--infra-image", IMAGE, "--infra-command", "sleep 1000"];
        command::run(&[&words[..], &infra].concat())?.must().context("podman pod create")?;
        let pod = Self(name);
        command::run(&["podman", "pod", "start", &pod.0])?.must().context("podman pod start")?;
        Ok(pod)
    }

    fn infra(&self) -> Result<String> {
        command::run(&["podman", "pod", "inspect", "--format", "{{.InfraContainerID}}", &self.0])?
            .must()
    }

    fn member(
        &self,
        runtime: &str,
        options: &[&str],
    ) -> Result<std::result::Result<Background, command::Run>> {
        let name = fresh_id();
        let words =
            ["podman", "--runtime", runtime, "run", "-d", "--pod", &self.0, "--name", &name];
        let c = Background { name: name.clone() };
        let run = command::run(&[&words[..], options, &[IMAGE, "sleep", "1000"]].concat())?;
        Ok(if run.ok() { Ok(c) } else { Err(run) })
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        // A case may have removed it already.
        let _ = command::run(&["podman", "pod", "rm", "-f", "-t", "0", &self.0]);
    }
}

fn started(member: std::result::Result<Background, command::Run>) -> Result<Background> {
    member.map_err(|run| anyhow::anyhow!("not started: {}", run.said()))
}

fn members(lab: &mut Lab, _: Runtime) -> Result<String> {
    lab.only_with_lockc()?;
    let pod = Pod::create(lab, "lockc-offline")?;
    is_under(&pod.infra()?, "offline", "--lockc-policy")?;
    let member = started(pod.member("lockc", &[])?)?;
    is_under(&member.inspect("{{.Id}}")?, "offline", "its pod's sandbox")?;
    let looser = pod.member("lockc", &["--annotation", "org.lockc.policy=baseline"])?;
    let said = match looser {
        Ok(_) => anyhow::bail!("a looser policy than the pod's was granted"),
        Err(run) => {
            command::shows(&run, &["asks for baseline", "ceiling offline", "pod's sandbox"])?
        }
    };
    drop(pod);
    let pod = Pod::create(lab, "lockc")?;
    let tighter = started(pod.member("lockc", &["--annotation", "org.lockc.policy=offline"])?)?;
    is_under(&tighter.inspect("{{.Id}}")?, "offline", "annotation org.lockc.policy")?;
    drop(pod);
    // What holds for the infra container is no permission for the members.
    let pod = Pod::create(lab, "lockc-privileged")?;
    let member = started(pod.member("lockc", &[])?)?;
    is_under(&member.inspect("{{.Id}}")?, "baseline", "the default")?;
    Ok(said)
}

/// Members see each other as they do without lockc.
fn work(lab: &mut Lab, _: Runtime) -> Result<String> {
    let runtime = if lab.plain { "crun" } else { "lockc" };
    let pod = Pod::create(lab, runtime)?;
    let server = started(pod.member(runtime, &["-v", "lockc-pod:/shared"])?)?;
    server
        .exec(&[
            "sh",
            "-c",
            "echo one > /dev/shm/a; echo two > /shared/b; (echo three | nc -l -p 8080 > /dev/null \
             2>&1 &) ",
        ])?
        .must()?;
    let line = "cat /dev/shm/a /shared/b; nc 127.0.0.1 8080 < /dev/null; hostname";
    let client = [
        "podman",
        "--runtime",
        runtime,
        "run",
        "--rm",
        "--pod",
        &pod.0,
        "-v",
        "lockc-pod:/shared",
        IMAGE,
    ];
    let text = command::run(&[&client[..], &["sh", "-c", line]].concat())?.must()?;
    for part in ["one", "two", "three"] {
        if !text.contains(part) {
            anyhow::bail!("{part} did not arrive: {text}");
        }
    }
    command::run(&["podman", "pod", "restart", &pod.0])?.must().context("pod restart")?;
    Ok("memory, volume, loopback; restart".into())
}

/// `podman kube play` of a pod with these annotations, under the policy that `policy` names; or
/// refused.
fn play(lab: &mut Lab, annotations: &str, config: &str) -> Result<(Pod, command::Run)> {
    lab.only_with_lockc()?;
    lab.podman()?;
    let name = fresh_id();
    let text = format!(
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: {name}\n  \
         annotations:\n{annotations}spec:\n  containers:\n  - name: c\n    image: {IMAGE}\n    \
         imagePullPolicy: Never\n    command: [sleep, \"1000\"]\n"
    );
    fs::write("/tmp/pod.yaml", text).context("cannot write a manifest")?;
    let words =
        ["podman", "--runtime", "lockc", "kube", "play", "--network", "none", "/tmp/pod.yaml"];
    let run = with_drop_in(config, || command::run(&words))?;
    Ok((Pod(name), run))
}

fn played(pod: &Pod) -> Result<String> {
    command::run(&["podman", "inspect", "--format", "{{.Id}}", &format!("{}-c", pod.0)])?.must()
}

fn kube_play(lab: &mut Lab, _: Runtime) -> Result<String> {
    let (pod, run) = play(lab, "    org.lockc.policy: offline\n", "")?;
    run.must().context("kube play")?;
    is_under(&played(&pod)?, "offline", "annotation org.lockc.policy")?;
    drop(pod);
    let (_pod, run) = play(lab, "    org.lockc.policy: privileged\n", "")?;
    if !run.said().contains("asks for privileged") || !run.said().contains("ceiling baseline") {
        anyhow::bail!("status {}: {}", run.status, run.said());
    }
    Ok(run.said())
}

fn kube_play_pretended(lab: &mut Lab, _: Runtime) -> Result<String> {
    let annotations = "    io.container.manager: cri-o\n    io.kubernetes.cri-o.Namespace: \
                       kube-system\n    io.kubernetes.cri-o.ContainerType: container\n";
    let config = "[namespaces.kube-system]\ndefault = 'privileged'\nceiling = \
                  'privileged'\n[engines.crio]\ndefault = 'privileged'\n";
    let (pod, run) = play(lab, annotations, config)?;
    run.must().context("kube play")?;
    let entry = super::podman_select::entry(&played(&pod)?)?;
    if entry["policy"] != "baseline" {
        anyhow::bail!("not baseline: {entry}");
    }
    Ok(entry.to_string())
}
