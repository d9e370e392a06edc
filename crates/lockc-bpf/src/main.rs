//! The `lockc` command.

use std::{io, path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::{CommandFactory, Parser, Subcommand};
use lockc_bpf::{
    config, doctor, events, explain,
    guard::{self, Guard},
    install,
    loader::{self, Outcome},
    manifest, manual, out, println, programs, refused, status,
};
use lockc_policy::with_causes;

const EXIT_CODES: &str = "Exit codes:\n  0  done; the answer is yes\n  1  an error, said on \
                          standard error\n  2  the command line is wrong\n  3  status: not \
                          enforcing; doctor: a check failed; unload --if-idle: not idle";

/// Confines containers in the kernel: loads lockc's LSM programs and shows what they do.
#[derive(Debug, Parser)]
#[command(name = "lockc", version, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Attaches and pins the programs. Idempotent; replaces older ones without a gap.
    #[command(after_help = "Examples:\n  lockc load                           at boot, before \
                            the engines start\n  lockc load --force                   replace \
                            even the same version\n  lockc load --guard-runtimes          \
                            confine what runs around lockc, too\n  lockc load \
                            --guard-runtimes=report   only report it")]
    Load {
        /// Replaces programs of the same version too.
        #[arg(long)]
        force: bool,
        /// Also confines containers that runc, crun or youki start without the wrapper, under the
        /// default policy; nothing is refused before they start. `report`: only reports
        /// what would be denied. Without this option: neither.
        #[arg(long, value_name = "MODE", num_args = 0..=1, require_equals = true, default_missing_value = "enforce")]
        guard_runtimes: Option<Guard>,
    },
    /// Detaches the programs and removes every pin. Running containers are no longer confined.
    #[command(after_help = "Examples:\n  lockc unload\n  lockc unload --if-idle    not while a \
                            container runs under lockc")]
    Unload {
        /// Leaves everything as it is, with exit code 3, while a registered container has a
        /// process.
        #[arg(long)]
        if_idle: bool,
    },
    /// What is attached, and which containers are registered.
    #[command(
        after_help = "Examples:\n  lockc status\n  lockc status --json | jq '.containers[].id'"
    )]
    Status {
        /// For machines.
        #[arg(long)]
        json: bool,
    },
    /// Checks every precondition and names a remedy for what is missing.
    #[command(after_help = "Examples:\n  lockc doctor\n  lockc doctor --json | jq '.[] | \
                            select(.state == \"failed\")'")]
    Doctor {
        /// For machines.
        #[arg(long)]
        json: bool,
    },
    /// The configuration: whether it can be used, what holds, its schema.
    #[command(subcommand)]
    Config(config::Command),
    /// What would happen to a container: its policy and where that came from, what is refused, what
    /// the kernel denies, and which settings would change it.
    #[command(after_help = "Examples:\n  lockc explain /run/bundle\n  lockc explain config.json \
                            --level restricted\n  lockc explain docker:web\n  lockc explain \
                            3f842b0c13dd --json | jq .starts\n  lockc explain -f pod.yaml \
                            --config node/lockc.toml\n\nExit codes:\n  0  it would start\n  1  \
                            an error\n  3  it would be refused")]
    Explain {
        /// A bundle, a config.json, docker:NAME, podman:NAME, or the id of a container that runs
        /// or was refused lately
        #[arg(required_unless_present = "manifest")]
        target: Option<String>,
        /// A Kubernetes manifest instead; `-` is standard input
        #[arg(short = 'f', long, value_name = "FILE", conflicts_with = "target")]
        manifest: Option<PathBuf>,
        /// Another configuration than /etc/lockc/lockc.toml, for a manifest
        #[arg(long, value_name = "FILE", requires = "manifest")]
        config: Option<PathBuf>,
        /// Another list of a cluster's namespaces than /var/lib/lockc/namespaces.json, for a
        /// manifest; namespaces of the manifest itself go before it
        #[arg(long, value_name = "FILE", requires = "manifest")]
        namespaces: Option<PathBuf>,
        /// Another level or policy than the one that would be chosen
        #[arg(long, value_name = "POLICY")]
        level: Option<String>,
        /// For machines.
        #[arg(long)]
        json: bool,
    },
    /// The LSM programs: hook, stack, and what the verifier made of those that are loaded.
    #[command(after_help = "Examples:\n  lockc programs\n  lockc programs --json | jq '.[] | \
                            select(.attached | not)'")]
    Programs {
        /// For machines.
        #[arg(long)]
        json: bool,
    },
    /// Prints denials. Each is given to one reader only.
    #[command(after_help = "Examples:\n  lockc events              those that nobody has read \
                            yet\n  lockc events --follow --json")]
    Events {
        /// For machines: one object a line.
        #[arg(long)]
        json: bool,
        /// Waits for more.
        #[arg(long, short)]
        follow: bool,
    },
    /// Gives an engine the lockc runtime: edits its configuration, which the engine checks before
    /// it is replaced.
    #[command(after_help = "Examples:\n  lockc install docker --dry-run\n  lockc install docker \
                            --default --restart\n  lockc install containerd --level restricted \
                            --level offline --restart\n  lockc install podman --json\n\nEngines \
                            that pass a runtime no arguments are given a script for each level \
                            in /etc/lockc/runtimes.\nThe configuration's first state is kept \
                            beside it as FILE.before-lockc.")]
    Install(install::Install),
    /// Takes the lockc runtime from an engine again, and leaves the rest of its configuration as it
    /// is.
    #[command(after_help = "Examples:\n  lockc uninstall docker --dry-run\n  lockc uninstall \
                            containerd --restart")]
    Uninstall(install::Common),
    /// Prints the completions of a shell.
    #[command(after_help = "Examples:\n  lockc completions bash > \
                            /usr/share/bash-completion/completions/lockc\n  lockc completions \
                            fish > /usr/share/fish/vendor_completions.d/lockc.fish")]
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
    /// Writes the manual pages into a folder.
    #[command(hide = true, after_help = "Examples:\n  lockc man /usr/share/man/man8")]
    Man {
        /// An existing folder.
        folder: PathBuf,
    },
}

fn main() -> ExitCode {
    tracing_subscriber::fmt().with_writer(io::stderr).with_target(false).without_time().init();
    match run(Cli::parse().command) {
        Ok(code) => code,
        Err(error) if out::is_closed(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lockc: {}", with_causes(&error));
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Load { force, guard_runtimes } => {
            let what = match loader::load(force)? {
                Outcome::Loaded => "loaded",
                Outcome::Replaced => "replaced the older programs, without a gap",
                Outcome::AlreadyLoaded => "already loaded",
            };
            println!("lockc {}: {what}", loader::version());
            for program in guard::set(guard_runtimes)? {
                println!(
                    "lockc: containers that {} starts without the wrapper are guarded",
                    program.display()
                );
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Unload { if_idle } => {
            let containers = status::gather().map(|status| status.containers);
            let running = |containers: &[status::Container]| {
                containers.iter().filter(|one| one.is_alive()).count()
            };
            if if_idle && loader::attached_version().is_some() {
                // Not knowing is no reason to take anybody's confinement away.
                let running = running(&containers?);
                if running > 0 {
                    println!(
                        "lockc: {running} containers run under lockc; nothing was changed, they \
                         stay confined"
                    );
                    return Ok(ExitCode::from(3));
                }
                loader::unload()?;
                println!("lockc: unloaded");
                return Ok(ExitCode::SUCCESS);
            }
            let running = containers.map_or(0, |containers| running(&containers));
            if loader::unload()? {
                println!(
                    "lockc: unloaded; the lockc runtime starts no container until `lockc load`"
                );
                if running > 0 {
                    println!("lockc: {running} containers that run are no longer confined");
                }
            } else {
                println!("lockc: nothing was loaded");
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Status { json } => {
            let status = status::gather()?;
            if json {
                println!("{}", serde_json::to_string_pretty(&status)?);
            } else {
                status.print();
            }
            Ok(if status.enforcing { ExitCode::SUCCESS } else { ExitCode::from(3) })
        }
        Command::Doctor { json } => {
            let checks = doctor::all();
            if json {
                println!("{}", serde_json::to_string_pretty(&checks)?);
            } else {
                doctor::print(&checks);
            }
            let failed = checks.iter().any(|check| check.state == doctor::State::Failed);
            Ok(if failed { ExitCode::from(3) } else { ExitCode::SUCCESS })
        }
        Command::Config(command) => {
            config::run(command)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Explain { manifest: Some(file), config, namespaces, level, json, .. } => {
            let verdicts = manifest::explain_file(
                &file,
                config.as_deref(),
                namespaces.as_deref(),
                level.as_deref(),
            )?;
            if json {
                println!("{}", serde_json::to_string_pretty(&verdicts)?);
            } else {
                verdicts.iter().for_each(manifest::Verdict::print);
            }
            let starts = verdicts.iter().all(manifest::Verdict::starts);
            Ok(if starts { ExitCode::SUCCESS } else { ExitCode::from(3) })
        }
        Command::Explain { target, level, json, .. } => {
            let target = target.unwrap_or_default();
            let found = explain::Target::find(&target);
            if found.is_err()
                && let Some(answer) = refused::find(&target)
            {
                if json {
                    println!("{}", serde_json::to_string_pretty(&answer)?);
                } else {
                    answer.print();
                }
                return Ok(ExitCode::from(3));
            }
            let explanation = explain::explain(&found?, level.as_deref())?;
            if json {
                println!("{}", serde_json::to_string_pretty(&explanation)?);
            } else {
                explanation.print();
            }
            Ok(if explanation.starts { ExitCode::SUCCESS } else { ExitCode::from(3) })
        }
        Command::Programs { json } => {
            let reports = programs::gather()?;
            if json {
                println!("{}", serde_json::to_string_pretty(&reports)?);
            } else {
                programs::print(&reports);
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Events { json, follow } => {
            events::print(json, follow, &mut io::stdout().lock())?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Install(args) => installed(&install::install(&args)?, &args.common),
        Command::Uninstall(args) => installed(&install::uninstall(&args)?, &args),
        Command::Completions { shell } => {
            manual::completions(Cli::command(), shell)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Man { folder } => {
            manual::pages(Cli::command(), &folder)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn installed(report: &install::Report, args: &install::Common) -> Result<ExitCode> {
    if args.json {
        println!("{}", serde_json::to_string_pretty(report)?);
    } else {
        report.print(args.dry_run);
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pages_show_commands_that_exist() {
        lockc_pages::check_commands::<Cli>("lockc");
    }
}
