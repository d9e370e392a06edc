//! `lockc explain`: shows the policy of a container, what it forbids, and which setting would
//! change that.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use lockc_policy::config::Mode;

use crate::{
    explain::{
        self, Explanation, Target,
        refused::{self, Answer},
    },
    manifest::{self, Outcome, Verdict},
    out, table,
};

const EXAMPLES: &str = "\
Examples:
  lockc explain /run/bundle
  lockc explain config.json --level restricted
  lockc explain docker:web
  lockc explain 3f842b0c13dd --json | jq .starts
  lockc explain -f pod.yaml --config node/lockc.toml

Exit codes:
  0  it would start
  1  an error
  3  it would be refused";

/// Shows the policy of a container and where it came from, what lockc refuses or denies, and which
/// settings would change that.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// A bundle, a config.json, docker:NAME, podman:NAME, or the id of a running or recently
    /// refused container
    #[arg(required_unless_present = "manifest")]
    target: Option<String>,
    /// Check a Kubernetes manifest instead; `-` reads standard input
    #[arg(short = 'f', long, value_name = "FILE", conflicts_with = "target")]
    manifest: Option<PathBuf>,
    /// Configuration file for a manifest, instead of /etc/lockc/lockc.toml
    #[arg(long, value_name = "FILE", requires = "manifest")]
    config: Option<PathBuf>,
    /// Namespace list for a manifest, instead of /var/lib/lockc/namespaces.json; namespaces in the
    /// manifest take precedence
    #[arg(long, value_name = "FILE", requires = "manifest")]
    namespaces: Option<PathBuf>,
    /// Check against this level or policy instead of the selected one
    #[arg(long, value_name = "POLICY")]
    level: Option<String>,
    /// JSON output.
    #[arg(long)]
    json: bool,
}

/// Runs it.
///
/// # Errors
///
/// Where the container or a file cannot be read, or there is no policy for it.
pub fn run(args: &Args) -> Result<ExitCode> {
    let level = args.level.as_deref();
    if let Some(file) = &args.manifest {
        let (config, namespaces) = (args.config.as_deref(), args.namespaces.as_deref());
        let verdicts = manifest::explain_file(file, config, namespaces, level)?;
        if args.json {
            out::json(&verdicts)?;
        } else {
            verdicts.iter().for_each(print_verdict);
        }
        return Ok(out::answer(verdicts.iter().all(Verdict::starts)));
    }
    let text = args.target.as_deref().unwrap_or_default();
    let target = Target::find(text);
    if target.is_err()
        && let Some(answer) = refused::find(text)
    {
        if args.json {
            out::json(&answer)?;
        } else {
            print_refused(&answer);
        }
        return Ok(out::answer(false));
    }
    let explanation = explain::explain(&target?, level)?;
    if args.json {
        out::json(&explanation)?;
    } else {
        print(&explanation);
    }
    Ok(out::answer(explanation.starts))
}

fn print(explanation: &Explanation) {
    let mut table = table::new();
    let mut add = |name: &str, text: &str| {
        table.add_row([name, text]);
    };
    add("container", &explanation.id);
    add("engine", explanation.engine.unwrap_or("unknown"));
    if let Some(namespace) = &explanation.namespace {
        add("namespace", namespace);
    }
    let Explanation { policy, level, network, origin, .. } = explanation;
    add("policy", &format!("{policy} (level {level}, network {network}), from {origin}"));
    match (&explanation.not_enforced, explanation.sandbox) {
        (Some(why), Some(_)) => add("sandbox", why),
        (Some(why), None) => add("confined", &format!("no: {why}")),
        (None, _) => {}
    }
    if explanation.mode != Mode::Enforce.name() {
        let mode = explanation.mode;
        add("mode", &format!("{mode}: violations are only reported"));
    }
    if explanation.registered {
        add("runs", "yes, under that policy");
    }
    add("starts", if explanation.starts { "yes" } else { "no" });
    explanation.reads.iter().for_each(|path| add("reads", path));
    explanation.socket_families.iter().for_each(|family| add("sockets", family));
    explanation.notes.iter().for_each(|note| add("note", note));
    table::print(table);
    for (title, lines) in
        [("before it starts", &explanation.controls), ("while it runs", &explanation.rules)]
    {
        println!("\n{title}");
        let mut table = table::new();
        for line in lines {
            let setting = format!("changed by {}", line.setting);
            let setting = (line.verdict != "ok").then_some(setting);
            let parts: Vec<&str> = std::iter::once(&line.about)
                .chain(&line.findings)
                .chain(&setting)
                .map(String::as_str)
                .collect();
            table.add_row([line.verdict, line.name, &parts.join("\n")]);
        }
        table::print(table);
    }
}

/// What is refused, and why.
fn print_verdict(verdict: &Verdict) {
    let explanation = match &verdict.outcome {
        Outcome::Checked(explanation) => explanation,
        Outcome::NoPolicy { reason, .. } => {
            println!("refused  {}, container {}: {reason}", verdict.object, verdict.container);
            return;
        }
    };
    let word = match (explanation.starts, explanation.mode) {
        (false, _) => "refused",
        (true, "audit") => "starts (audit)",
        (true, _) => "starts",
    };
    let (policy, origin) = (&explanation.policy, &explanation.origin);
    println!(
        "{word:<8} {}, container {}: {policy}, from {origin}",
        verdict.object, verdict.container
    );
    for finding in explanation
        .controls
        .iter()
        .flat_map(|line| line.findings.iter().map(move |text| (line.name, text)))
    {
        println!("         {}: {}", finding.0, finding.1);
    }
    for note in &explanation.notes {
        println!("         note: {note}");
    }
}

fn print_refused(answer: &Answer) {
    let refused = &answer.refused;
    let mut table = table::new();
    table.add_row(["container", &refused.id]);
    if let Some(name) = refused.names.full_name() {
        table.add_row(["name", &name]);
    }
    table.add_row(["engine", refused.names.engine.as_deref().unwrap_or("unknown")]);
    table.add_row(["policy", &refused.policy]);
    table.add_row(["starts", &format!("no: refused at {}", refused.time)]);
    table::print(table);
    println!("\nbefore it starts");
    let mut table = table::new();
    for reason in &refused.reasons {
        let what = format!("{}\nchanged by: {}", reason.what, reason.remedy);
        table.add_row(["refused", &reason.control, &what]);
    }
    table::print(table);
}
