//! How a level is chosen for Docker: by label, annotation, and the configuration of the engine; and
//! what bounds it.

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::{Row, Test, row};
use crate::command;
use crate::config::with_drop_in;
use crate::docker::IMAGE;
use crate::lab::{self, Lab};
use crate::launch::Runtime;

const LABEL: &str = "org.lockc.policy";

pub const ROWS: &[Row] = &[
    row(
        "docker/label-chooses",
        Test::Code(|lab, _| {
            chosen(
                lab,
                "",
                &["--label", "org.lockc.policy=offline"],
                "offline",
                "Docker label org.lockc.policy",
            )
        }),
    ),
    row(
        "docker/label-above-ceiling",
        Test::Code(|lab, _| {
            refused(lab, "", &["--label", "org.lockc.policy=privileged"], "`ceiling`")
        }),
    ),
    row("docker/less-network", Test::Code(less_network)),
    row("docker/names", Test::Code(named)),
    row("docker/ps", Test::Code(listed)).smoke(),
    row(
        "docker/label-unknown",
        Test::Code(|lab, _| {
            refused(lab, "", &["--label", "org.lockc.policy=lax"], "unknown policy")
        }),
    )
    .thorough(),
    row(
        "docker/annotation-before-label",
        Test::Code(|lab, _| {
            let options = [
                "--label",
                "org.lockc.policy=restricted",
                "--annotation",
                "org.lockc.policy=offline",
            ];
            chosen(lab, "", &options, "offline", "annotation org.lockc.policy")
        }),
    )
    .thorough(),
    row(
        "docker/argument-before-all",
        Test::Code(|lab, _| {
            chosen_by(
                lab,
                "lockc-baseline",
                "",
                &["--label", "org.lockc.policy=offline"],
                "baseline",
                "--lockc-policy",
            )
        }),
    ),
    row(
        "docker/engine-default",
        Test::Code(|lab, _| {
            chosen(
                lab,
                "[engines.docker]\ndefault = 'offline'\n",
                &[],
                "offline",
                "engines.docker.default",
            )
        }),
    )
    .thorough(),
    row(
        "docker/engine-ceiling",
        Test::Code(|lab, _| {
            refused(
                lab,
                "[engines.docker]\nceiling = 'restricted'\n",
                &["--label", "org.lockc.policy=baseline"],
                "engines.docker.ceiling",
            )
        }),
    )
    .thorough(),
    row(
        "docker/other-engines-default",
        Test::Code(|lab, _| {
            chosen(lab, "[engines.podman]\ndefault = 'offline'\n", &[], "baseline", "the default")
        }),
    )
    .thorough(),
    row(
        "docker/pretended-namespace",
        Test::Code(|lab, _| {
            let config =
                "[namespaces.kube-system]\ndefault = 'privileged'\nceiling = 'privileged'\n";
            chosen(lab, config, &PRETENDED, "baseline", "the default")
        }),
    )
    .thorough(),
    row(
        "docker/pretended-namespace-ceiling",
        Test::Code(|lab, _| {
            let config =
                "[namespaces.kube-system]\ndefault = 'privileged'\nceiling = 'privileged'\n";
            let options =
                [&PRETENDED[..], &["--annotation", "org.lockc.policy=privileged"]].concat();
            refused(lab, config, &options, "`ceiling`")
        }),
    )
    .thorough(),
    row(
        "docker/broken-drop-in-line",
        Test::Code(|lab, _| {
            let text = "[policies.x]\nextends = 'baseline'\nwithout_rules = ['mout']\n";
            refused(lab, text, &[], "50-case.toml: line 3: policies.x.without_rules")
        }),
    ),
    row("docker/audit", Test::Code(|lab, _| audited(lab))),
    row(
        "docker/broken-drop-in",
        Test::Code(|lab, _| refused(lab, "defualt = 'baseline'\n", &[], "50-case.toml")),
    )
    .thorough(),
];

/// What containerd's CRI plugin would have written.
const PRETENDED: [&str; 6] = [
    "--annotation",
    "io.kubernetes.cri.sandbox-namespace=kube-system",
    "--annotation",
    "io.kubernetes.cri.container-type=container",
    "--annotation",
    "io.kubernetes.cri.sandbox-id=0123456789abcdef",
];

fn chosen(
    lab: &mut Lab,
    config: &str,
    options: &[&str],
    policy: &str,
    origin: &str,
) -> Result<String> {
    chosen_by(lab, "lockc", config, options, policy, origin)
}

/// A container that runs under the policy, and the kernel's entry says so.
fn chosen_by(
    lab: &mut Lab,
    runtime: &str,
    config: &str,
    options: &[&str],
    policy: &str,
    origin: &str,
) -> Result<String> {
    if lab.plain {
        bail!("proves nothing: needs lockc's runtimes");
    }
    let docker = lab.docker()?;
    with_drop_in(config, || {
        let c = docker.background(runtime, &[options, &[IMAGE, "sleep", "1000"]].concat())?;
        let id = c.inspect("{{.Id}}")?;
        let status: Value = lab::status()?;
        let entry = status["containers"]
            .as_array()
            .and_then(|containers| {
                containers.iter().find(|entry| id.starts_with(entry["id"].as_str().unwrap_or("?")))
            })
            .with_context(|| format!("{id} is not registered: {status}"))?;
        if entry["policy"] != policy || entry["origin"] != origin {
            bail!("chosen: {entry}");
        }
        Ok(format!("{policy} by {origin}"))
    })
}

/// Not started, and Docker shows lockc's reason.
fn refused(lab: &mut Lab, config: &str, options: &[&str], reason: &str) -> Result<String> {
    if lab.plain {
        bail!("proves nothing: needs lockc's runtimes");
    }
    let docker = lab.docker()?;
    let args = [options, &[IMAGE, "true"]].concat();
    docker.run("", &args)?.must().context("proves nothing: it fails without lockc too")?;
    let run = with_drop_in(config, || docker.run("lockc", &args))?;
    if run.ok() || !run.stderr.contains("lockc: ") || !run.stderr.contains(reason) {
        bail!("{LABEL}: status {}: {}", run.status, run.said());
    }
    Ok(run.stderr)
}

/// The network that label and annotation leave holds for what joins the container too, and neither
/// gets any back.
fn less_network(lab: &mut Lab, _: Runtime) -> Result<String> {
    const NONE: &str = "org.lockc.network=none";
    for means in ["--label", "--annotation"] {
        chosen(lab, "", &[means, NONE], "baseline", "the default")?;
        let c = lab.docker()?.background("lockc", &[means, NONE, IMAGE, "sleep", "1000"])?;
        lab.forget_events()?;
        let run = c.exec(&["ping", "-c", "1", "-W", "1", "127.0.0.1"])?;
        if run.ok() || !run.stderr.contains("Address family not supported") {
            bail!("NOT DENIED in what joins: {means}: status {}: {}", run.status, run.said());
        }
        lab.expect_event("network")?;
    }
    refused(lab, "", &["--label", "org.lockc.network=off"], "use full")?;
    let offline = ["--annotation", "org.lockc.policy=offline"];
    for means in ["--label", "--annotation"] {
        let asks = [&offline[..], &[means, "org.lockc.network=full"]].concat();
        refused(lab, "", &asks, "looser than network none")?;
    }
    Ok("label and annotation tighten, neither loosens".into())
}

/// What baseline refuses starts in audit mode, the user reads why it would not, and the kernel
/// side only reports.
fn audited(lab: &mut Lab) -> Result<String> {
    if lab.plain {
        bail!("proves nothing: needs lockc's runtimes");
    }
    let args = ["--pid", "host", "-v", "/etc:/x:ro", IMAGE, "cat", "/proc/kallsyms"];
    let before = lab.docker()?.run("lockc", &args)?;
    if before.ok() {
        bail!("proves nothing: it starts without audit mode");
    }
    let run = with_drop_in("mode = 'audit'\n", || {
        lab.forget_events()?;
        lab.docker()?.run("lockc", &args)
    })?;
    run.must()?;
    let events = lab.events()?;
    let reported = |event: &&Value| {
        (event["mode"].as_str(), event["rule"].as_str()) == (Some("audit"), Some("procfs"))
    };
    match events.iter().find(reported) {
        Some(event) => Ok(event.to_string()),
        None => bail!("no report of the kernel side: {events:?}"),
    }
}

/// A container is called by its name wherever lockc speaks of it: while it runs, in its denials,
/// and when it was refused.
fn named(lab: &mut Lab, _: Runtime) -> Result<String> {
    lab.only_with_lockc()?;
    let c = lab.docker()?.background("lockc", &[IMAGE, "sleep", "1000"])?;
    c.exec(&["ls", "/sys/fs/ext4"])?;
    let events = lab::events(&["--container", &c.name])?;
    let [event] = &events[..] else { bail!("{events:?}") };
    if event["name"] != *c.name
        || event["image"] != IMAGE
        || event["engine"] != "docker"
        || event["id"] != "LOCKC-D002"
    {
        bail!("{event}");
    }
    let status = command::run(&["lockc", "status"])?.must()?;
    let line = status.lines().find(|line| line.contains(&c.name));
    let line = line.with_context(|| format!("no name of {}: {status}", c.name))?.to_owned();
    let refused = format!("{}-refused", c.name);
    let docker = lab.docker()?;
    let options = ["--name", &refused, "-v", "/etc:/x", IMAGE, "true"];
    if docker.run("lockc", &options)?.ok() {
        bail!("proves nothing: it starts");
    }
    // Docker forgets it; lockc does not.
    let why = command::run(&["lockc", "explain", &format!("docker:{refused}")])?;
    if why.status != 3
        || !why.stdout.starts_with(&format!("docker:{refused}: refused at "))
        || !why.stdout.contains("LOCKC-A001  host-mounts")
    {
        bail!("status {}: {}", why.status, why.said());
    }
    let listed = command::run(&["lockc", "refusals"])?.must()?;
    if !listed.lines().any(|line| line.contains(&refused) && line.contains("host-mounts")) {
        bail!("{refused} is not listed: {listed}");
    }
    Ok(line)
}

/// `lockc ps --all` shows what lockc confines, and what it does not with the reason; `inspect` what
/// a container is granted and was denied.
fn listed(lab: &mut Lab, _: Runtime) -> Result<String> {
    lab.only_with_lockc()?;
    let docker = lab.docker()?;
    command::sh("mkdir -p /srv/lockc-it/listed")?;
    let options = ["-v", "/srv/lockc-it/listed:/data", IMAGE, "sleep", "1000"];
    let confined = docker.background("lockc", &options)?;
    let other = docker.background("", &[IMAGE, "sleep", "1000"])?;
    let ended = docker.background("", &[IMAGE, "true"])?;
    confined.exec(&["ls", "/sys/fs/ext4"])?;
    let listing = ps()?;
    let has = |list: &str, name: &str| {
        let list = listing[list].as_array().map(Vec::as_slice).unwrap_or_default();
        list.iter().find(|entry| entry["name"] == *name).cloned()
    };
    let (ours, theirs) = (has("containers", &confined.name), has("unconfined", &other.name));
    let (Some(ours), Some(theirs)) = (ours, theirs) else { bail!("{listing}") };
    let reason = theirs["reason"].as_str().unwrap_or_default();
    if ours["image"] != IMAGE || theirs["image"] != IMAGE || !reason.contains("not lockc's") {
        bail!("{ours} {theirs}");
    }
    if has("unconfined", &confined.name).is_some() || has("containers", &other.name).is_some() {
        bail!("in both lists: {listing}");
    }
    if has("unconfined", &ended.name).is_some() {
        bail!("it ended: {listing}");
    }
    let inspected = command::run(&["lockc", "inspect", &confined.name, "-o", "json"])?.must()?;
    let inspected: Value = serde_json::from_str(&inspected)?;
    let mounts = inspected["granted"]["mounts"].as_array().map(Vec::as_slice).unwrap_or_default();
    if !mounts.iter().any(|mount| mount == "/srv/lockc-it/listed")
        || inspected["recorded"][0]["rule"] != "sysfs"
        || inspected["policy"] != "baseline"
    {
        bail!("{inspected}");
    }
    let text = command::run(&["lockc", "inspect", &confined.name])?.must()?;
    let yaml = command::run(&["lockc", "ps", "--output", "yaml"])?.must()?;
    if !text.contains("/srv/lockc-it/listed") || !yaml.contains(&format!("name: {}", confined.name))
    {
        bail!("{text}\n{yaml}");
    }
    let run = command::run(&["lockc", "inspect", &other.name])?;
    if run.status != 3 || !run.stderr.contains("NOT confined") {
        bail!("status {}: {}", run.status, run.said());
    }
    Ok(format!("not confined: {reason}"))
}

/// What `lockc ps --all` shows where a container is not confined.
fn ps() -> Result<Value> {
    let run = command::run(&["lockc", "ps", "--all", "-o", "json"])?;
    if run.status != 3 {
        bail!("lockc ps --all: status {}: {}", run.status, run.said());
    }
    serde_json::from_str(&run.stdout).context("not JSON")
}
