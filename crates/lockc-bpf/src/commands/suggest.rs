//! `lockc suggest`: makes a policy from the record.

use std::{path::Path, process::ExitCode};

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use lockc_core::paths;
use lockc_policy::{
    config::Loaded,
    container_names::ContainerNames,
    host::Host,
    policy::{Key, Policy, PolicySet, Setting},
    refused::Refused,
};
use serde::Serialize;

use super::time::time;
use crate::{
    advice::{self, Kind, View},
    out,
    records::Records,
    suggest::{self, Draft, Evidence, Remaining},
    table::{self, Cell},
};

const EXAMPLES: &str = "\
Examples:
  lockc suggest web
  lockc suggest --namespace team-a --since 24h > /etc/lockc/lockc.d/60-team-a.toml
  lockc suggest web --check                what the suggestion would still forbid
  lockc suggest web --check monitoring     what a policy in lockc.toml would still forbid

Exit codes: 0, or 3 if --check finds something that would still be forbidden.";

/// Suggests the narrowest policy that allows what was denied and refused, or would have been.
///
/// Prints a part of lockc.toml. It names files before directories and both before whole rules and
/// controls. What is dangerous is a comment, with the reason: decide about it yourself.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
#[command(group(clap::ArgGroup::new("whose").required(true).args(["container", "namespace"])))]
pub struct Args {
    /// The container: its id or the beginning of it, its name, or its pod's; also one that ended
    #[arg(value_name = "NAME")]
    container: Option<String>,
    /// All containers of this Kubernetes namespace
    #[arg(long, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// Only what happened since then: a time, or a duration before now (`24h`)
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<Timestamp>,
    /// The policy's name, instead of one made from the container's or the namespace's
    #[arg(long, value_name = "POLICY")]
    name: Option<String>,
    /// Prints instead what the suggestion, or this policy of lockc.toml, would still forbid
    #[arg(long, value_name = "POLICY", num_args = 0..=1)]
    check: Option<Option<String>>,
    /// JSON output.
    #[arg(long)]
    json: bool,
}

/// The answer of `--check`.
#[derive(Debug, Serialize)]
struct Checked<'a> {
    policy: &'a str,
    remaining: &'a [Remaining],
}

/// Runs it.
///
/// # Errors
///
/// Where the record or the configuration cannot be read.
pub fn run(args: &Args) -> Result<ExitCode> {
    let evidence = evidence(args)?;
    let config = PolicySet::of_host()?;
    if let Some(Some(name)) = &args.check {
        return check(args, &evidence, &config.request(name, "--check")?, &config);
    }
    let whose = args.container.as_deref().or(args.namespace.as_deref()).unwrap_or_default();
    if evidence.is_empty() {
        eprintln!("nothing is on record of {}: no policy is needed", out::printable(whose));
        return Ok(ExitCode::SUCCESS);
    }
    let name = args.name.clone().unwrap_or_else(|| policy_name(whose));
    let draft = Draft::new(name, base(&evidence, &config), evidence.needs(), danger);
    if args.check.is_some() {
        let policy = parsed(&draft)?;
        return check(args, &evidence, &policy, &config);
    }
    if args.json {
        out::json(&draft)?;
    } else {
        print(&draft, args, &evidence);
    }
    Ok(ExitCode::SUCCESS)
}

fn evidence(args: &Args) -> Result<Evidence> {
    let is_meant = |id: &str, names: &ContainerNames| match (&args.container, &args.namespace) {
        (Some(name), _) => {
            !name.is_empty() && id.starts_with(name.as_str()) || names.is_called(name)
        }
        (None, namespace) => names.namespace == *namespace,
    };
    let mut evidence = Evidence { denials: Records::open()?.all()?, refusals: Vec::new() };
    evidence.denials.retain(|denial| is_meant(&denial.container, &denial.names));
    for place in [paths::REFUSED, paths::AUDITED] {
        let kept = Refused::all(Path::new(place));
        let kept = kept.with_context(|| format!("{place} can be read by root only"))?;
        let meant = kept.into_iter().filter(|refused| is_meant(&refused.id, &refused.names));
        evidence.refusals.extend(meant);
    }
    Ok(evidence.since(args.since))
}

/// Why `lockc config check` would warn of a policy with this setting.
fn danger(setting: &Setting) -> Option<String> {
    if setting.key == Key::HookMounts {
        return None;
    }
    let list = toml::Value::Array(vec![toml::Value::String(setting.value.clone())]);
    let text = format!("[policies.x]\nextends = \"baseline\"\n{} = {list}\n", setting.key.name());
    let loaded = Loaded::parse(&text, Path::new("the suggestion")).ok()?;
    // What no policy can say has to be decided by somebody, too.
    let set = match PolicySet::new(&loaded, Path::new("the suggestion")) {
        Ok(set) => set,
        Err(error) => return Some(error.to_string()),
    };
    let warnings = advice::warnings(&loaded, &set, &View::default());
    warnings.into_iter().find(|it| it.kind == Kind::Dangerous).map(|warning| warning.reason)
}

/// A name that a policy may have.
fn policy_name(whose: &str) -> String {
    let plain = |character: char| match character {
        character if character.is_ascii_alphanumeric() || "._-".contains(character) => character,
        _ => '-',
    };
    let name: String = whose.chars().map(plain).take(24).collect();
    match PolicySet::default().request(&name, "") {
        // A level cannot be defined again.
        Ok(_) => format!("{name}-suggested"),
        Err(_) => name,
    }
}

/// What the suggestion extends: the policy that the containers are under, if that is one.
fn base(evidence: &Evidence, config: &PolicySet) -> String {
    let policies = evidence.policies();
    let mut known = policies.iter().filter(|name| config.request(name, "").is_ok());
    match (known.next(), known.next()) {
        (Some(one), None) => one.clone(),
        _ => config.default_policy().name.clone(),
    }
}

/// The draft as a policy of this host: what lockc.toml has, and the draft.
fn parsed(draft: &Draft) -> Result<Policy> {
    let host = Host::default();
    let loaded = Loaded::read(Path::new(paths::CONFIG), &host)?;
    let own = Loaded::parse(&draft.to_toml(), Path::new("the suggestion"))?;
    let mut both = loaded;
    both.config.policies.extend(own.config.policies);
    let set = PolicySet::new(&both, Path::new("the suggestion"))?;
    Ok(set.request(&draft.name, "the suggestion")?)
}

fn check(
    args: &Args,
    evidence: &Evidence,
    policy: &Policy,
    config: &PolicySet,
) -> Result<ExitCode> {
    let remaining = suggest::remaining(evidence, policy, &config.settings);
    if args.json {
        out::json(&Checked { policy: &policy.name, remaining: &remaining })?;
    } else if remaining.is_empty() {
        println!("{}: everything on record would be allowed", policy.name);
    } else {
        println!("{}: would still be forbidden: {}", policy.name, remaining.len());
        let mut table = table::new();
        table.set_header(["by", "count", "setting", "what"]);
        for it in &remaining {
            let setting = it.setting.as_ref();
            let setting = setting.map(|it| format!("{} = {:?}", it.key.name(), it.value));
            table.add_row([
                Cell::new(&it.by),
                table::number(Some(it.count)),
                Cell::new(out::printable(&setting.unwrap_or_else(|| "-".into()))),
                Cell::new(out::printable(&it.what)),
            ]);
        }
        table::print(table);
    }
    Ok(out::answer(remaining.is_empty()))
}

fn print(draft: &Draft, args: &Args, evidence: &Evidence) {
    let whose = args.container.as_deref().or(args.namespace.as_deref()).unwrap_or_default();
    println!(
        "# `lockc suggest` for {}: {} denials, {} refused starts. Review it before use.",
        out::printable(whose),
        evidence.denials.len(),
        evidence.refusals.len()
    );
    println!("{draft}");
    match &args.namespace {
        Some(namespace) => println!(
            "# Uncomment to select it for the namespace:\n#[namespaces.{:?}]\n#default = {:?}",
            namespace, draft.name
        ),
        None => println!(
            "# Containers select it with the annotation org.lockc.policy={} if their ceiling \
             allows it.",
            draft.name
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_gives_the_host_away_is_dangerous() {
        for (key, value, is_dangerous) in [
            (Key::AllowedSockets, "/run/docker.sock", true),
            (Key::AllowedMounts, "/", true),
            (Key::Devices, "/dev/mem", true),
            (Key::Capabilities, "SYS_ADMIN", true),
            // No policy can say it.
            (Key::Admit, "mount-namespace", true),
            (Key::AllowedMounts, "/srv/data", false),
            (Key::Reads, "/sys/class/hwmon", false),
            (Key::HookMounts, "true", false),
        ] {
            let reason = danger(&Setting::new(key, value));
            assert_eq!(reason.is_some(), is_dangerous, "{key:?} {value}: {reason:?}");
        }
    }

    #[test]
    fn a_policys_name_is_plain() {
        assert_eq!(policy_name("web"), "web");
        assert_eq!(policy_name("team-a/web 1/ä"), "team-a-web-1--");
        assert_eq!(policy_name("baseline"), "baseline-suggested");
        assert!(policy_name(&"x".repeat(100)).len() < 32);
    }
}
