//! The commands of `lockc`: a module for each, with its arguments and the function that runs it.

mod completions;
mod config;
mod cursor;
mod doctor;
mod events;
pub(crate) mod explain;
mod inspect;
mod install;
mod kubectl;
mod load;
mod man;
mod metrics;
mod policy;
mod programs;
mod ps;
mod quarantine;
mod refusals;
mod report;
mod rollout;
mod status;
mod suggest;
pub(crate) mod time;
mod top;
mod uninstall;
mod unload;

use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;

/// A command; its help is that of its arguments.
#[derive(Debug, Subcommand)]
#[allow(missing_docs, reason = "the help of a command stands at its arguments")]
pub enum Command {
    Load(load::Args),
    Unload(unload::Args),
    Status(status::Args),
    Ps(ps::Args),
    Inspect(inspect::Args),
    Policy(policy::Args),
    Quarantine(quarantine::Args),
    Doctor(doctor::Args),
    Report(report::Args),
    Config(config::Args),
    Explain(explain::Args),
    Programs(programs::Args),
    Events(events::Args),
    Refusals(refusals::Args),
    Metrics(metrics::Args),
    Top(top::Args),
    Rollout(rollout::Args),
    Suggest(suggest::Args),
    Install(install::Args),
    Uninstall(uninstall::Args),
    Completions(completions::Args),
    #[command(hide = true)]
    Kubectl(kubectl::Args),
    #[command(hide = true)]
    Man(man::Args),
}

impl Command {
    /// Runs it; `lockc` is the whole command line, for those that describe it.
    ///
    /// # Errors
    ///
    /// Those of the command.
    pub fn run(&self, lockc: clap::Command) -> Result<ExitCode> {
        match self {
            Self::Load(args) => load::run(args),
            Self::Unload(args) => unload::run(args),
            Self::Status(args) => status::run(args),
            Self::Ps(args) => ps::run(args),
            Self::Inspect(args) => inspect::run(args),
            Self::Policy(args) => policy::run(args),
            Self::Quarantine(args) => quarantine::run(args),
            Self::Doctor(args) => doctor::run(args),
            Self::Report(args) => report::run(args),
            Self::Config(args) => config::run(args),
            Self::Explain(args) => explain::run(args),
            Self::Programs(args) => programs::run(args),
            Self::Events(args) => events::run(args),
            Self::Refusals(args) => refusals::run(args),
            Self::Metrics(args) => metrics::run(args),
            Self::Top(args) => top::run(args),
            Self::Rollout(args) => rollout::run(args),
            Self::Suggest(args) => suggest::run(args),
            Self::Install(args) => install::run(args),
            Self::Uninstall(args) => uninstall::run(args),
            Self::Kubectl(args) => kubectl::run(args),
            Self::Completions(args) => completions::run(args, lockc),
            Self::Man(args) => man::run(args, lockc),
        }
    }
}
