//! How a level is chosen for pods and their containers, seen in the kernel's entries; and what
//! bounds it.

use std::fs;
use std::rc::Rc;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use super::cri::{chosen, expect, idle, needs_lockc, pod_refused, refusal, sandbox_has};
use super::{Row, Test, row};
use crate::command;
use crate::config::{self, with_drop_in};
use crate::cri::describe::pod;
use crate::cri::{Cri, Pod};
use crate::lab::{self, Lab};
use crate::launch::Runtime;

const ANNOTATION: &str = "org.lockc.policy";
const NETWORK: &str = "org.lockc.network";
/// Where that puts a choice.
const BY_ANNOTATION: &str = "annotation org.lockc.policy";

const fn case(name: &'static str, code: fn(&mut Lab, Runtime) -> Result<String>) -> Row {
    row(name, Test::Code(code))
}

pub const ROWS: &[Row] = &[
    case("cri/default", |lab, _| chosen(lab, "lockc", pod("default"), "baseline", "the default"))
        .smoke(),
    case("cri/pod-annotation", |lab, _| {
        chosen(
            lab,
            "lockc",
            pod("default").annotation(ANNOTATION, "restricted"),
            "restricted",
            BY_ANNOTATION,
        )
    })
    .smoke(),
    case("cri/pod-annotation-offline", |lab, _| {
        chosen(
            lab,
            "lockc",
            pod("default").annotation(ANNOTATION, "offline"),
            "offline",
            BY_ANNOTATION,
        )
    })
    .thorough(),
    case("cri/pod-annotation-above-ceiling", |lab, _| {
        let config = pod("default").annotation(ANNOTATION, "privileged");
        pod_refused(lab, "lockc", config, &["privileged", "baseline", "`ceiling`"])
    })
    .smoke(),
    case("cri/pod-annotation-unknown", |lab, _| {
        pod_refused(
            lab,
            "lockc",
            pod("default").annotation(ANNOTATION, "lax"),
            &["unknown policy", "lax"],
        )
    })
    .thorough(),
    case("cri/container-annotation", container_annotation).thorough(),
    case("cri/less-network", less_network),
    case("cri/names", named),
    case("cri/labels-audit-and-mode", labelled),
    case("cri/namespace-privileged", |lab, _| {
        chosen(lab, "lockc", pod("trusted"), "privileged", "namespaces.\"trusted\".default")
    }),
    case("cri/namespace-restricted", |lab, _| {
        sandbox_has(lab, "lockc", pod("tight"), "restricted", "namespaces.\"tight\".default")
    }),
    case("cri/namespace-offline", |lab, _| {
        sandbox_has(lab, "lockc", pod("closed"), "offline", "namespaces.\"closed\".default")
    })
    .thorough(),
    case("cri/namespace-glob", |lab, _| {
        sandbox_has(lab, "lockc", pod("team-a"), "restricted", "namespaces.\"team-*\".default")
    })
    .thorough(),
    case("cri/namespace-exact-before-glob", |lab, _| {
        sandbox_has(lab, "lockc", pod("team-b"), "offline", "namespaces.\"team-b\".default")
    })
    .thorough(),
    case("cri/namespace-ceiling", |lab, _| {
        let config = pod("tight").annotation(ANNOTATION, "baseline");
        pod_refused(
            lab,
            "lockc",
            config,
            &["baseline", "restricted", "namespaces.\"tight\".ceiling"],
        )
    }),
    case("cri/namespace-ceiling-allows", |lab, _| {
        sandbox_has(
            lab,
            "lockc",
            pod("trusted").annotation(ANNOTATION, "privileged"),
            "privileged",
            BY_ANNOTATION,
        )
    })
    .thorough(),
    case("cri/engine-default", |lab, _| {
        lab.containerd()?;
        with_drop_in("[engines.cri]\ndefault = 'offline'\n", || {
            sandbox_has(lab, "lockc", pod("default"), "offline", "engines.cri.default")
        })
    })
    .thorough(),
    case("cri/other-engines-default", |lab, _| {
        lab.containerd()?;
        with_drop_in(
            "[engines.containerd]\ndefault = 'offline'\n[engines.crio]\ndefault = 'offline'\n",
            || sandbox_has(lab, "lockc", pod("default"), "baseline", "the default"),
        )
    })
    .thorough(),
    case("cri/engine-ceiling", |lab, _| {
        lab.containerd()?;
        with_drop_in("[engines.cri]\nceiling = 'restricted'\n", || {
            let config = pod("default").annotation(ANNOTATION, "baseline");
            pod_refused(lab, "lockc", config, &["baseline", "restricted", "engines.cri.ceiling"])
        })
    }),
    case("cri/handler-told", |lab, _| {
        let config = pod("default").annotation(ANNOTATION, "offline");
        chosen(lab, "lockc-restricted", config, "restricted", "--lockc-policy")
    }),
    case("cri/static-pod", |lab, _| {
        let config = pod("default").annotation("kubernetes.io/config.source", "file");
        sandbox_has(lab, "lockc-all", config, "baseline", "the default")
    }),
    case("cri/static-pod-ceiling", |lab, _| {
        let config = pod("default")
            .annotation("kubernetes.io/config.source", "file")
            .annotation("kubernetes.io/config.mirror", "0123456789abcdef")
            .annotation(ANNOTATION, "privileged");
        pod_refused(lab, "lockc-all", config, &["privileged", "baseline", "`ceiling`"])
    })
    .thorough(),
    case("cri/pretended-namespace", pretended),
    case("cri/pretended-namespace-ceiling", |lab, _| {
        let mut config = pod("default").annotation(ANNOTATION, "privileged");
        for (key, value) in PRETENDED {
            config = config.annotation(key, value);
        }
        pod_refused(lab, "lockc-all", config, &["privileged", "baseline", "`ceiling`"])
    })
    .thorough(),
    case("cri/pretended-sandbox", pretended_sandbox),
    case("cri/crun", |lab, _| {
        lab.containerd()?;
        config::write(Runtime::Crun)?;
        chosen(lab, "lockc", pod("tight"), "restricted", "namespaces.\"tight\".default")
    })
    .smoke(),
];

/// What a tenant may write where the administrator lets containerd pass every annotation.
const PRETENDED: [(&str, &str); 4] = [
    ("io.kubernetes.cri.sandbox-namespace", "trusted"),
    ("io.kubernetes.cri.sandbox-id", "0123456789abcdef"),
    ("io.kubernetes.cri.sandbox-uid", "another"),
    ("io.kubernetes.cri.container-type", "container"),
];

/// A container may ask for a tighter level than its pod's, not for a looser one.
fn container_annotation(lab: &mut Lab, _: Runtime) -> Result<String> {
    needs_lockc(lab)?;
    let shared = lab.containerd()?.shared("lockc", "default")?;
    let tighter = shared.start(&idle().annotation(ANNOTATION, "offline"))?;
    expect(&tighter.id, "offline", BY_ANNOTATION)?;
    let above = shared.start(&idle().annotation(ANNOTATION, "privileged"));
    refusal(above, &["privileged", "baseline", "`ceiling`"])?;
    let tight = Pod::run(
        &lab.containerd()?.cri,
        "lockc",
        pod("default").annotation(ANNOTATION, "restricted"),
    )?;
    let looser = tight.start(&idle().hardened().annotation(ANNOTATION, "baseline"));
    refusal(looser, &["baseline", "restricted", "the policy of the pod's sandbox"])
}

/// A pod, or one of its containers, has less network than its policy leaves; a container does not
/// get back what its pod gave up.
fn less_network(lab: &mut Lab, _: Runtime) -> Result<String> {
    needs_lockc(lab)?;
    let cri = lab.containerd()?.cri.clone();
    let without = Pod::run(&cri, "lockc", pod("default").annotation(NETWORK, "none"))?;
    let with = Pod::run(&cri, "lockc", pod("default"))?;
    let ping = ["ping", "-c", "1", "-W", "1", "127.0.0.1"];
    let run = with.start(&idle())?.exec(&ping)?;
    if !run.ok() {
        bail!("proves nothing: no network with `full` either: {}", run.said());
    }
    for (pod, config) in [(&without, idle()), (&with, idle().annotation(NETWORK, "none"))] {
        let c = pod.start(&config)?;
        lab.forget_events()?;
        let run = c.exec(&ping)?;
        if run.ok() || !run.said().contains("Address family not supported") {
            bail!("NOT DENIED: status {}: {}", run.status, run.said());
        }
        lab.expect_event("network")?;
    }
    refusal(
        without.start(&idle().annotation(NETWORK, "full")),
        &["network full", "looser than network none"],
    )
}

/// Denials name the container, its pod, its image and its namespace.
fn named(lab: &mut Lab, _: Runtime) -> Result<String> {
    needs_lockc(lab)?;
    let pod = Pod::run(&lab.containerd()?.cri, "lockc", pod("default"))?;
    let c = pod.start(&idle())?;
    c.exec(&["ls", "/sys/fs/ext4"])?;
    let events = lab::events(&["--container", &c.id])?;
    let [event] = &events[..] else { bail!("{events:?}") };
    let is_text = |key: &str| event[key].as_str().is_some_and(|text| !text.is_empty());
    if event["namespace"] != "default" || !["name", "pod", "image"].into_iter().all(is_text) {
        bail!("{event}");
    }
    let full = format!("default/{}/{}", event["pod"], event["name"]).replace('"', "");
    for options in [["--container", &full], ["--namespace", "default"]] {
        if !lab::events(&options)?.iter().any(|other| other["container"] == c.id.as_str()) {
            bail!("{options:?} has no {event}");
        }
    }
    Ok(full)
}

/// What a node keeps of a cluster's namespaces.
const LABELS: &str = "/var/lib/lockc/namespaces.json";

/// The labels `audit` and `lockc.org/mode` of a namespace: pods start, and what another level
/// forbids is on record.
fn labelled(lab: &mut Lab, _: Runtime) -> Result<String> {
    needs_lockc(lab)?;
    let cri = lab.containerd()?.cri.clone();
    let labels = json!({ "version": 1, "synced": "2026-01-02T03:04:05Z", "namespaces": {
        "watched": { "enforce": "baseline", "audit": "restricted" },
        "loose": { "enforce": "privileged", "audit": "baseline" },
        "quiet": { "enforce": "baseline", "mode": "audit" },
    }});
    fs::create_dir_all("/var/lib/lockc")?;
    fs::write(LABELS, labels.to_string())?;
    let result = under_labels(lab, &cri);
    fs::remove_file(LABELS)?;
    result
}

fn under_labels(lab: &mut Lab, cri: &Rc<Cri>) -> Result<String> {
    let audited = |lab: &Lab, rule: &str| -> Result<()> {
        let events = lab.events()?;
        match events.iter().find(|event| event["rule"] == rule) {
            Some(event) if event["mode"] == "audit" => Ok(()),
            _ => bail!("not reported by {rule}: {events:?}"),
        }
    };
    // Baseline is enforced, and what restricted forbids beyond it is only reported.
    let watched = Pod::run(cri, "lockc", pod("watched"))?;
    let c = watched.start(&idle())?;
    expect(&c.id, "baseline", "its pod's sandbox")?;
    lab.forget_events()?;
    c.exec(&["ping", "-c", "1", "-W", "1", "127.0.0.1"])?.must().context("a raw socket")?;
    audited(lab, "raw-socket")?;
    if c.exec(&["ls", "/sys/fs/ext4"])?.ok() {
        bail!("NOT DENIED under baseline");
    }
    let rollout = command::run(&["lockc", "rollout", "--scope", "watched", "--json"])?;
    let shown: Value = serde_json::from_str(&rollout.stdout)?;
    let would = shown[0]["would_refuse"].as_array().map(Vec::as_slice).unwrap_or_default();
    if rollout.status != 3 || !would.iter().any(|it| it["name"] == "run-as-root") {
        bail!("status {}: {}", rollout.status, rollout.said());
    }
    // Nothing is enforced, so that everything is reported.
    let loose = Pod::run(cri, "lockc", pod("loose"))?;
    expect(&loose.id, "baseline", "label pod-security.kubernetes.io/audit")?;
    let quiet = Pod::run(cri, "lockc", pod("quiet"))?;
    for pod in [&loose, &quiet] {
        let c = pod.start(&idle())?;
        lab.forget_events()?;
        c.exec(&["ls", "/sys/fs/ext4"])?.must().context("in audit mode")?;
        audited(lab, "sysfs")?;
    }
    Ok(rollout.stdout)
}

/// containerd writes its own keys after those that it passes on.
fn pretended(lab: &mut Lab, _: Runtime) -> Result<String> {
    needs_lockc(lab)?;
    let trusted = lab.containerd()?.shared("lockc", "trusted")?;
    let mut config = pod("default");
    for (key, value) in PRETENDED {
        config = config.annotation(key, value);
    }
    let pod = Pod::run(&lab.containerd()?.cri, "lockc-all", config)?;
    expect(&pod.id, "baseline", "the default")?;
    let mut member = idle();
    for (key, value) in PRETENDED {
        member = member.annotation(key, value);
    }
    member = member.annotation("io.kubernetes.cri.sandbox-id", &trusted.id);
    let member = pod.start(&member)?;
    expect(&member.id, "baseline", "its pod's sandbox")?;
    Ok("the true namespace counts".into())
}

/// A sandbox is let off some controls: nobody else is by calling itself one.
fn pretended_sandbox(lab: &mut Lab, _: Runtime) -> Result<String> {
    needs_lockc(lab)?;
    let pod = Pod::run(&lab.containerd()?.cri, "lockc-all", pod("tight"))?;
    let member = idle().user(1000).annotation("io.kubernetes.cri.container-type", "sandbox");
    let text = refusal(pod.start(&member), &["capabilities: ", "seccomp: "])?;
    if text.contains("proc-mount") {
        bail!("{text}");
    }
    Ok(text)
}
