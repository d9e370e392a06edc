//! `lockc explain` says what the wrapper does: the same policy, the same origin, the same refusals,
//! for containers that run and for bundles that do not.

use std::fs;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::{Row, Test, one_kernel, row};
use crate::bundle::Bundle;
use crate::command;
use crate::docker::IMAGE;
use crate::lab::Lab;
use crate::launch::{self, By};

/// User space alone decides these.
pub const BARE: &[Row] = &one_kernel([
    row(
        "explain/bundle-that-starts",
        Test::Code(|lab, _| bundle(lab, &Bundle::new(&["true"]), "")),
    ),
    row(
        "explain/bundle-that-is-refused",
        Test::Code(|lab, _| {
            bundle(
                lab,
                &Bundle::new(&["true"]).bind("/etc", "/host-etc").cap("CAP_SYS_ADMIN"),
                "host-mounts",
            )
        }),
    ),
    row("explain/ordinary-user", Test::Code(ordinary_user)),
    row("explain/manifest", Test::Code(manifest)),
    row("explain/closed-pipe", Test::Code(closed_pipe)),
]);

pub const DOCKER: &[Row] = &[
    row(
        "docker/explain-argument",
        Test::Code(|lab, _| docker(lab, "lockc-offline", &[], "offline", "--lockc-policy")),
    )
    .thorough(),
    row(
        "docker/explain-label",
        Test::Code(|lab, _| {
            docker(
                lab,
                "lockc",
                &["--label", "org.lockc.policy=offline"],
                "offline",
                "Docker label org.lockc.policy",
            )
        }),
    )
    .thorough(),
    row("docker/explain-foreign-runtime", Test::Code(foreign)).thorough(),
    row("docker/explain-refused", Test::Code(refused_before)),
];

struct Answer {
    status: i32,
    json: Value,
}

fn explain(words: &[&str]) -> Result<Answer> {
    let run = command::run(&[&["lockc", "explain", "--json"], words].concat())?;
    let json = serde_json::from_str(&run.stdout)
        .with_context(|| format!("status {}: {}", run.status, run.said()))?;
    Ok(Answer { status: run.status, json })
}

impl Answer {
    fn expect(&self, status: i32, policy: &str, origin: &str, starts: bool) -> Result<()> {
        let found = (self.status, &self.json["policy"], &self.json["origin"], &self.json["starts"]);
        if found == (status, &json!(policy), &json!(origin), &json!(starts)) {
            Ok(())
        } else {
            bail!("answer: {found:?}, findings: {}", self.json["findings"])
        }
    }

    /// The controls that refuse something.
    fn refused(&self) -> Vec<&str> {
        let lines = self.json["controls"].as_array().into_iter().flatten();
        lines
            .filter(|line| line["verdict"] == "refused")
            .filter_map(|line| line["name"].as_str())
            .collect()
    }
}

/// What is explained is what then happens.
fn bundle(lab: &mut Lab, bundle: &Bundle, refused: &str) -> Result<String> {
    let by = By::Lockc("");
    let folder = bundle.write(by)?;
    let folder = folder.display().to_string();
    let answer = explain(&[&folder])?;
    let starts = refused.is_empty();
    answer.expect(if starts { 0 } else { 3 }, "baseline", "the default", starts)?;
    if !lab.plain && launch::run(by, bundle)?.ok() != starts {
        bail!("the wrapper does otherwise");
    }
    if answer.json["network"] != "full" {
        bail!("network: {}", answer.json["network"]);
    }
    let same = explain(&[&format!("{folder}/config.json")])?;
    if same.refused() != answer.refused() || (!starts && !answer.refused().contains(&refused)) {
        bail!("refused: {:?}", answer.refused());
    }
    let tried = explain(&[&folder, "--level", "restricted"])?;
    tried.expect(3, "restricted", "--level", false)?;
    if !tried.refused().contains(&"run-as-root") {
        bail!("restricted refuses {:?}", tried.refused());
    }
    explain(&[&folder, "--level", "privileged"])?.expect(0, "privileged", "--level", true)?;
    Ok(answer.refused().join(" "))
}

/// Nothing of the kernel side is needed for a bundle.
fn ordinary_user(lab: &mut Lab, _: launch::Runtime) -> Result<String> {
    let folder = Bundle::new(&["true"]).write(By::Lockc(""))?;
    command::sh(&format!("chmod -R a+rX {}", folder.display()))?;
    let run = command::run(&[
        "setpriv",
        "--reuid",
        "65534",
        "--clear-groups",
        "lockc",
        "explain",
        &folder.display().to_string(),
    ])?;
    if lab.plain || run.stdout.contains(": starts under baseline, from the default\n") {
        Ok(run.stdout)
    } else {
        bail!("{}", run.said())
    }
}

const MANIFEST: &str = "apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  hostPID: true
  runtimeClassName: lockc
  containers:
  - {name: main, image: bb, securityContext: {privileged: true}}
";

fn manifest(_: &mut Lab, _: launch::Runtime) -> Result<String> {
    let go = |text: &str| -> Result<command::Run> {
        fs::write("/tmp/pod.yaml", text).context("cannot write a manifest")?;
        command::run(&["lockc", "explain", "-f", "/tmp/pod.yaml"])
    };
    let bad = go(MANIFEST)?;
    if bad.status != 3
        || !bad.stdout.starts_with("Pod web, container main: refused by baseline, from ")
        || !["LOCKC-A005  host-namespaces", "LOCKC-A006  capabilities", "LOCKC-A007  devices"]
            .iter()
            .all(|control| bad.stdout.contains(control))
    {
        bail!("status {}: {}", bad.status, bad.said());
    }
    let good =
        go(&MANIFEST.replace("hostPID: true", "").replace("privileged: true", "runAsUser: 1000"))?;
    if !good.ok() {
        bail!("status {}: {}", good.status, good.said());
    }
    let forgotten = go(&MANIFEST.replace("  runtimeClassName: lockc\n", ""))?;
    if forgotten.status != 3 || !forgotten.stdout.contains("not confined; lockc would refuse it") {
        bail!("status {}: {}", forgotten.status, forgotten.said());
    }
    let broken = go("kind: [")?;
    if broken.status != 1 || !broken.stderr.starts_with("lockc: /tmp/pod.yaml:1: ") {
        bail!("status {}: {}", broken.status, broken.said());
    }
    // The rest of the file has its answers all the same.
    let partly = go(&format!("kind: [\n---\n{MANIFEST}"))?;
    if partly.status != 3 || partly.stdout.lines().next() != bad.stdout.lines().next() {
        bail!("status {}: {}", partly.status, partly.said());
    }
    Ok(bad.stdout)
}

/// Somebody looks at the first lines only.
fn closed_pipe(_: &mut Lab, _: launch::Runtime) -> Result<String> {
    let commands = ["lockc config show", "lockc config schema", "lockc status --json"];
    for line in commands {
        let run =
            command::run(&["bash", "-c", &format!("{line} | true; echo ${{PIPESTATUS[0]}}")])?;
        if run.said().contains("panicked") || run.stdout == "101" {
            bail!("{line}: {}", run.said());
        }
    }
    Ok(commands.join(", "))
}

fn docker(
    lab: &mut Lab,
    runtime: &str,
    options: &[&str],
    policy: &str,
    origin: &str,
) -> Result<String> {
    if lab.plain {
        bail!("proves nothing: needs lockc's runtimes");
    }
    let c = lab.docker()?.background(runtime, &[options, &[IMAGE, "sleep", "1000"]].concat())?;
    let name = format!("docker:{}", c.name);
    let id = c.inspect("{{.Id}}")?;
    for target in [&name, &id, &id[..12].to_owned()] {
        let answer = explain(&[target])?;
        answer.expect(0, policy, origin, true)?;
        if answer.json["registered"] != true
            || answer.json["engine"] != "docker"
            || answer.json["verdict"] != "runs"
        {
            bail!("{target}: {}", answer.json);
        }
    }
    let text = command::run(&["lockc", "explain", &name])?.must()?;
    if !text.starts_with(&format!("{name}: runs under {policy}")) {
        bail!("{text}");
    }
    explain(&[&name, "--level", "restricted"])?.expect(3, "restricted", "--level", false)?;
    c.call(&["stop", "-t", "0"])?.must()?;
    let stopped = command::run(&["lockc", "explain", &name])?;
    if stopped.status != 1 || !stopped.stderr.contains("is not running") {
        bail!("stopped: status {}: {}", stopped.status, stopped.said());
    }
    Ok(stopped.stderr)
}

/// A container that lockc has nothing to do with: said so, and told what would be. Docker keeps no
/// configuration of a container that did not start: why is told all the same, by its name, and by
/// its id once it is removed.
fn refused_before(lab: &mut Lab, _: launch::Runtime) -> Result<String> {
    let plain = lab.plain;
    lab.docker()?;
    if plain {
        return Ok("nothing to explain without lockc".into());
    }
    let name = "lockc-it-refused";
    command::sh(&format!("docker rm -f {name} 2> /dev/null || true"))?;
    let options = [
        "run",
        "--name",
        name,
        "--runtime",
        "lockc",
        "-v",
        "/etc:/x",
        "--cap-add",
        "SYS_ADMIN",
        IMAGE,
        "true",
    ];
    let run = command::run(&[&["docker"], &options[..]].concat())?;
    // The engine's message ends with the id, and with the way to the other reason.
    if run.ok()
        || !run
            .stderr
            .contains(" (LOCKC-A001); 1 further reason (capabilities): see `lockc explain ")
    {
        bail!("status {}: {}", run.status, run.said());
    }
    let id =
        command::sh(&format!("docker inspect --format '{{{{.Id}}}}' {name}"))?.trim().to_owned();
    for (target, removed) in
        [(format!("docker:{name}"), false), (format!("docker:{}", &id[..12]), true)]
    {
        if removed {
            command::sh(&format!("docker rm {name}"))?;
        }
        let answer = explain(&[&target])?;
        let reasons = answer.json["reasons"].as_array().context("no reasons")?;
        let controls: Vec<_> =
            reasons.iter().filter_map(|reason| reason["control"].as_str()).collect();
        if (answer.status, &answer.json["starts"], &answer.json["id"])
            != (3, &json!(false), &json!(id))
            || controls != ["host-mounts", "capabilities"]
        {
            bail!("{target}: status {}: {}", answer.status, answer.json);
        }
    }
    command::run(&["lockc", "explain", &id])?;
    Ok(run.stderr)
}

fn foreign(lab: &mut Lab, _: launch::Runtime) -> Result<String> {
    let mut findings = String::new();
    for (options, starts) in [(&["--privileged"][..], false), (&[], true)] {
        let words = [options, &[IMAGE, "sleep", "1000"]].concat();
        let c = lab.docker()?.background("", &words)?;
        let id = c.inspect("{{.Id}}")?;
        // Without the engine's name it is known as one that is not registered.
        for (target, reason) in [
            (format!("docker:{}", c.name), "its runtime is runc, which is not lockc's"),
            (id, "it runs, and is not registered with lockc"),
        ] {
            let answer = explain(&[&target])?;
            answer.expect(3, "baseline", "the default", starts)?;
            findings = answer.json["findings"].to_string();
            if answer.json["registered"] != false
                || answer.json["verdict"] != "not-confined"
                || !findings.contains(reason)
            {
                bail!("{}", answer.json);
            }
        }
    }
    Ok(findings)
}
