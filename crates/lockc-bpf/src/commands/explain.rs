//! `lockc explain`: says whether lockc starts a container, under which policy and why, and what is
//! not in order.

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Result, bail};
use clap::ValueEnum;
use lockc_policy::messages;

use crate::{
    explain::{
        self, Target,
        answer::{Answer, Verdict},
        print, refused, sarif,
    },
    manifest, out,
};

const EXAMPLES: &str = "\
Examples:
  lockc explain docker:web
  lockc explain docker:web --all          with every control and rule
  lockc explain /run/bundle --level restricted
  lockc explain 3f842b0c13dd -o json | jq .verdict
  lockc explain -f pod.yaml --config node/lockc.toml
  lockc explain -f pod.yaml --default-runtime lockc
  lockc explain -f pod.yaml -o sarif > lockc.sarif
  lockc explain LOCKC-A001                cause and remedy of a message

Exit codes:
  0  every container starts under lockc, or runs under it
  1  an error, or a document of the manifest that cannot be understood
  2  invalid command line
  3  a container is refused, or is not confined by lockc";

/// Says whether lockc starts a container, under which policy, and where the choice came from; then
/// what is not in order, and what would change that.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// A bundle, a config.json, docker:NAME, podman:NAME, or the id of a running or recently
    /// refused container; or the id of a message
    #[arg(required_unless_present = "manifest")]
    target: Option<String>,
    /// Check every container of a Kubernetes manifest instead; `-` reads standard input
    #[arg(short = 'f', long, value_name = "FILE", conflicts_with = "target")]
    manifest: Option<PathBuf>,
    /// Configuration file for a manifest, instead of /etc/lockc/lockc.toml
    #[arg(long, value_name = "FILE", requires = "manifest")]
    config: Option<PathBuf>,
    /// Namespace list for a manifest, instead of /var/lib/lockc/namespaces.json; namespaces in the
    /// manifest take precedence
    #[arg(long, value_name = "FILE", requires = "manifest")]
    namespaces: Option<PathBuf>,
    /// Handler of pods that name no RuntimeClass, instead of the default runtime of this machine's
    /// containerd or CRI-O; `lockc` where lockc is the default
    #[arg(long, value_name = "HANDLER", requires = "manifest")]
    default_runtime: Option<String>,
    /// Namespace of objects in a manifest that name none
    #[arg(long, short, value_name = "NAMESPACE", requires = "manifest")]
    namespace: Option<String>,
    /// Check against this level or policy instead of the selected one
    #[arg(long, value_name = "POLICY")]
    level: Option<String>,
    /// List every control and rule as well; the same as `-o wide`
    #[arg(long, conflicts_with_all = ["output", "json"])]
    all: bool,
    /// Format
    #[arg(long, short, value_enum, default_value_t)]
    output: Output,
    /// The same as `-o json`.
    #[arg(long, conflicts_with = "output")]
    json: bool,
}

/// A format of the output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// The verdict, and what is not in order
    #[default]
    Table,
    /// Every control and rule as well
    Wide,
    /// Everything; a list for a manifest
    Json,
    /// SARIF 2.1.0: the findings, for code scanning in CI
    Sarif,
}

/// Runs it.
///
/// # Errors
///
/// Where the container or a file cannot be read.
pub fn run(args: &Args) -> Result<ExitCode> {
    if let Some(id) = args.target.as_deref().filter(|target| messages::is_id(target)) {
        return print_message(id);
    }
    let answers = match &args.manifest {
        Some(file) => manifest::explain_file(file, &args.options())?,
        None => vec![args.one()?],
    };
    match args.output() {
        Output::Table | Output::Wide => {
            print::print(&answers, args.output() == Output::Wide);
        }
        Output::Json if args.manifest.is_some() => out::json(&answers)?,
        Output::Json => out::json(&answers.first())?,
        Output::Sarif => out::json(&sarif::log(&answers))?,
    }
    Ok(code(&answers))
}

impl Args {
    fn output(&self) -> Output {
        match self {
            Self { json: true, .. } => Output::Json,
            Self { all: true, .. } => Output::Wide,
            Self { output, .. } => *output,
        }
    }

    fn options(&self) -> manifest::Options {
        manifest::Options {
            config: self.config.clone(),
            namespaces: self.namespaces.clone(),
            default_runtime: self.default_runtime.clone(),
            namespace: self.namespace.clone(),
            level: self.level.clone(),
        }
    }

    /// The answer for the container that was asked about.
    fn one(&self) -> Result<Answer> {
        let subject = self.target.as_deref().unwrap_or_default();
        match Target::find(subject) {
            Ok(target) => explain::explain(subject, &target, self.level.as_deref()),
            Err(error) => refused::find(subject)
                .map(|record| Answer::earlier(subject.into(), record))
                .ok_or(error),
        }
    }
}

/// What `docs/troubleshooting.md` says of an id.
fn print_message(id: &str) -> Result<ExitCode> {
    let rows: Vec<_> = messages::all().filter(|message| message.id == id).collect();
    if rows.is_empty() {
        bail!("there is no message {id}; see docs/troubleshooting.md");
    }
    for message in rows {
        println!("{message}");
    }
    Ok(ExitCode::SUCCESS)
}

/// 3 where a container is refused or not confined; then 1 where something is not understood.
fn code(answers: &[Answer]) -> ExitCode {
    let any = |verdict| answers.iter().any(|answer: &Answer| answer.verdict == verdict);
    if any(Verdict::Refused) || any(Verdict::NotConfined) {
        out::answer(false)
    } else if any(Verdict::Error) {
        ExitCode::FAILURE
    } else {
        out::answer(true)
    }
}
