//! `kubectl lockc explain`: a pod of the cluster by the configuration of its node, or a manifest by
//! that of this machine.

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context as _, Result, bail};
use clap::{Parser, ValueEnum as _};
use serde_json::{Value, json};

use super::{client::Kubectl, nodes};
use crate::commands::explain;

/// Says whether lockc starts a pod, under which policy, and why.
///
/// A pod of the cluster is explained on its node, by the configuration there; a manifest here, as
/// `lockc explain -f` does.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A pod of the cluster
    #[arg(required_unless_present = "manifest")]
    pod: Option<String>,
    /// Explain a manifest instead; `-` reads standard input
    #[arg(short = 'f', long, value_name = "FILE", conflicts_with = "pod")]
    manifest: Option<PathBuf>,
    /// The pod's namespace, and that of objects in a manifest that name none; default: that of the
    /// context
    #[arg(long, short, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// Handler of pods that name no RuntimeClass; `lockc` where lockc is the default
    #[arg(long, value_name = "HANDLER")]
    default_runtime: Option<String>,
    /// Check against this level or policy instead of the selected one
    #[arg(long, value_name = "POLICY")]
    level: Option<String>,
    /// Format
    #[arg(long, short, value_enum, default_value_t)]
    output: explain::Output,
}

/// `lockc explain`, on this machine.
#[derive(Parser)]
#[command(no_binary_name = true)]
struct Local {
    #[command(flatten)]
    args: explain::Args,
}

impl Args {
    /// For `lockc explain` of this file.
    fn words(&self, file: &str, namespace: Option<&str>) -> Vec<String> {
        let mut words = vec!["--manifest".to_owned(), file.to_owned()];
        let output = self.output.to_possible_value();
        for (option, value) in [
            ("--namespace", namespace.map(str::to_owned)),
            ("--default-runtime", self.default_runtime.clone()),
            ("--level", self.level.clone()),
            ("--output", output.map(|output| output.get_name().to_owned())),
        ] {
            words.extend(value.map(|value| format!("{option}={value}")));
        }
        words
    }
}

/// Runs it.
///
/// # Errors
///
/// Where there is no such pod, or its node does not answer.
pub fn run(args: &Args, kubectl: &Kubectl) -> Result<ExitCode> {
    if let Some(file) = &args.manifest {
        let words = args.words(&file.to_string_lossy(), args.namespace.as_deref());
        return explain::run(&Local::try_parse_from(words)?.args);
    }
    let pod = args.pod.as_deref().unwrap_or_default();
    let namespace = kubectl.namespace(args.namespace.as_deref())?;
    let object = kubectl.get(&["pod", pod, "-n", &namespace])?;
    let Some(node) = object["spec"]["nodeName"].as_str() else {
        bail!("the pod {namespace}/{pod} is on no node yet; `kubectl describe pod` says why");
    };
    // Without the right to read it, the node's own copy of its labels decides.
    let of_namespace = kubectl.get(&["namespace", &namespace]).unwrap_or(Value::Null);
    let items: Vec<&Value> =
        [&of_namespace, &object].into_iter().filter(|object| !object.is_null()).collect();
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": items }).to_string();
    let nodes = nodes::all(kubectl, Some(node))?;
    let node = nodes.first().context("the node has no pod of lockc's chart")?;
    let words = args.words("-", None);
    let words: Vec<&str> =
        ["explain"].into_iter().chain(words.iter().map(String::as_str)).collect();
    let said = node.lockc(kubectl, &words, &list)?;
    println!("{}", said.out.trim_end());
    match said.code {
        Some(0) => Ok(ExitCode::SUCCESS),
        // kubectl passes the code on, and says so.
        Some(3) => Ok(ExitCode::from(3)),
        _ => bail!("the node {}: lockc failed: {}", node.name, said.why()),
    }
}
