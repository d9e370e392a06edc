//! How a level is chosen for Podman: the kernel's entry is the proof; and what bounds each way of
//! asking.

use std::fs;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::{Row, Test, row};
use crate::command;
use crate::lab::{self, Lab};
use crate::podman::IMAGE;

/// A file of the administrator's beside `lockc.toml`.
const DROP_IN: &str = "/etc/lockc/lockc.d/50-podman.toml";
/// What `restricted` wants; the others take it too.
const MODEST: [&str; 4] = ["--user", "1000", "--cap-drop", "ALL"];
const LEVELS: [&str; 4] = ["privileged", "baseline", "restricted", "offline"];
/// Podman has no ceiling then: what bounds the others is not what is looked at.
const UNBOUND: &str = "[engines.podman]\nceiling = 'privileged'\n";

const fn case(
    name: &'static str,
    code: fn(&mut Lab, crate::launch::Runtime) -> Result<String>,
) -> Row {
    row(name, Test::Code(code))
}

pub const ROWS: &[Row] = &[
    case("podman/levels-by-runtime-flag", |lab, _| {
        each_level(|level| {
            let flag = format!("lockc-policy={level}");
            chosen(
                lab,
                &["--runtime", "lockc", "--runtime-flag", &flag],
                "",
                &MODEST,
                level,
                "--lockc-policy",
            )
        })
    })
    .smoke(),
    row(
        "podman/levels-by-runtime-name",
        Test::Code(|lab, _| {
            each_level(|level| {
                let name = format!("lockc-{level}");
                chosen(lab, &["--runtime", &name], "", &MODEST, level, "--lockc-policy")
            })
        }),
    )
    .thorough(),
    case("podman/levels-by-annotation", |lab, _| {
        each_level(|level| {
            let annotation = format!("org.lockc.policy={level}");
            let options = [&MODEST[..], &["--annotation", &annotation]].concat();
            chosen(lab, &LOCKC, UNBOUND, &options, level, "annotation org.lockc.policy")
        })
    })
    .smoke(),
    row(
        "podman/levels-by-engine-default",
        Test::Code(|lab, _| {
            each_level(|level| {
                let config = format!("[engines.podman]\ndefault = '{level}'\n");
                chosen(lab, &LOCKC, &config, &MODEST, level, "engines.podman.default")
            })
        }),
    )
    .thorough(),
    row(
        "podman/default",
        Test::Code(|lab, _| chosen(lab, &LOCKC, "", &[], "baseline", "the default")),
    ),
    row(
        "podman/other-engines-default",
        Test::Code(|lab, _| {
            let config =
                "[engines.docker]\ndefault = 'offline'\n[engines.crio]\ndefault = 'privileged'\n";
            chosen(lab, &LOCKC, config, &[], "baseline", "the default")
        }),
    )
    .thorough(),
    row(
        "podman/labels-do-not-choose",
        Test::Code(|lab, _| {
            chosen(
                lab,
                &LOCKC,
                "",
                &["--label", "org.lockc.policy=privileged"],
                "baseline",
                "the default",
            )
        }),
    ),
    row(
        "podman/argument-before-annotation",
        Test::Code(|lab, _| {
            let options = ["--annotation", "org.lockc.policy=offline"];
            chosen(
                lab,
                &["--runtime", "lockc-baseline"],
                "",
                &options,
                "baseline",
                "--lockc-policy",
            )
        }),
    ),
    case("podman/annotation-above-ceiling", |lab, _| {
        refused(lab, "", &[PRIVILEGED], &["asks for privileged", "ceiling baseline", "`ceiling`"])
    })
    .smoke(),
    row(
        "podman/annotation-above-engine-ceiling",
        Test::Code(|lab, _| {
            let config = "[engines.podman]\nceiling = 'restricted'\n";
            let says = ["asks for baseline", "ceiling restricted", "engines.podman.ceiling"];
            refused(lab, config, &["--annotation=org.lockc.policy=baseline"], &says)
        }),
    ),
    row(
        "podman/annotation-unknown",
        Test::Code(|lab, _| {
            refused(lab, "", &["--annotation=org.lockc.policy=lax"], &["unknown policy \"lax\""])
        }),
    )
    .thorough(),
    row("podman/pretended-engine", Test::Code(pretended_engine)).thorough(),
    row("podman/pretended-namespace", Test::Code(pretended_namespace)).thorough(),
    row("podman/pretended-sandbox", Test::Code(pretended_sandbox)),
];

pub const LOCKC: [&str; 2] = ["--runtime", "lockc"];
const PRIVILEGED: &str = "--annotation=org.lockc.policy=privileged";

fn each_level(mut choose: impl FnMut(&'static str) -> Result<String>) -> Result<String> {
    let mut all = Vec::new();
    for level in LEVELS {
        all.push(choose(level).with_context(|| level.to_owned())?);
    }
    Ok(all.join(", "))
}

/// Whatever comes of `work`, the next case finds no drop-in.
pub fn with_drop_in<T>(text: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    if text.is_empty() {
        return work();
    }
    command::sh("install -d -m 755 /etc/lockc/lockc.d")?;
    fs::write(DROP_IN, text).with_context(|| format!("cannot write {DROP_IN}"))?;
    let result = work();
    fs::remove_file(DROP_IN).with_context(|| format!("cannot remove {DROP_IN}"))?;
    result
}

/// The kernel's entry of a container.
pub fn entry(id: &str) -> Result<Value> {
    let status: Value = lab::status()?;
    let containers = status["containers"].as_array().context("no list of containers")?;
    let found = containers.iter().find(|entry| entry["id"] == id && entry["deleting"] == false);
    found.cloned().with_context(|| format!("{id} is not registered: {status}"))
}

/// That the kernel's entry names policy and origin.
pub fn is_under(id: &str, policy: &str, origin: &str) -> Result<String> {
    let entry = entry(id)?;
    if entry["policy"] != policy || entry["origin"] != origin {
        bail!("not {policy} by {origin}: {entry}");
    }
    Ok(format!("{policy} by {origin}"))
}

/// A container that runs under the policy.
fn chosen(
    lab: &mut Lab,
    globals: &[&str],
    config: &str,
    options: &[&str],
    policy: &str,
    origin: &str,
) -> Result<String> {
    lab.only_with_lockc()?;
    let podman = lab.podman()?;
    with_drop_in(config, || {
        let c = podman.background_with(globals, &[options, &[IMAGE, "sleep", "1000"]].concat())?;
        is_under(&c.inspect("{{.Id}}")?, policy, origin)
    })
}

/// Not started, and Podman shows lockc's reason.
fn refused(lab: &mut Lab, config: &str, options: &[&str], says: &[&str]) -> Result<String> {
    lab.only_with_lockc()?;
    let podman = lab.podman()?;
    let args = [options, &[IMAGE, "true"]].concat();
    podman.run("crun", &args)?.must().context("proves nothing: it fails without lockc too")?;
    let run = with_drop_in(config, || podman.run("lockc", &args))?;
    command::shows(&run, says)
}

/// Podman writes down who it is where the user may replace it: what another engine's containers may
/// do is not for these.
fn pretended_engine(lab: &mut Lab, _: crate::launch::Runtime) -> Result<String> {
    let config = "[engines.crio]\ndefault = 'privileged'\nceiling = 'privileged'\n";
    let options = ["--annotation", "io.container.manager=cri-o"];
    chosen(lab, &LOCKC, config, &options, "baseline", "the default")?;
    let says = ["asks for privileged", "ceiling baseline"];
    refused(lab, config, &[&options[..], &[PRIVILEGED]].concat(), &says)
}

fn pretended_namespace(lab: &mut Lab, _: crate::launch::Runtime) -> Result<String> {
    let config = "[namespaces.kube-system]\ndefault = 'privileged'\nceiling = 'privileged'\n";
    let options = [
        "--annotation",
        "io.container.manager=cri-o",
        "--annotation",
        "io.kubernetes.cri-o.Namespace=kube-system",
        "--annotation",
        "io.kubernetes.cri-o.ContainerType=container",
    ];
    chosen(lab, &LOCKC, config, &options, "baseline", "the default")?;
    refused(
        lab,
        config,
        &[&options[..], &[PRIVILEGED]].concat(),
        &["asks for privileged", "ceiling baseline"],
    )
}

/// The id of a container that may do everything is no way to become like it.
fn pretended_sandbox(lab: &mut Lab, _: crate::launch::Runtime) -> Result<String> {
    lab.only_with_lockc()?;
    let podman = lab.podman()?;
    let loose = podman.background("lockc-privileged", &[IMAGE, "sleep", "1000"])?;
    let id = loose.inspect("{{.Id}}")?;
    is_under(&id, "privileged", "--lockc-policy")?;
    let annotation = format!("io.kubernetes.cri-o.SandboxID={id}");
    let c = podman.background("lockc", &["--annotation", &annotation, IMAGE, "sleep", "1000"])?;
    is_under(&c.inspect("{{.Id}}")?, "baseline", "the default")
}
