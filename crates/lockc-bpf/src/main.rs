//! The `lockc` command.

use std::{io, process::ExitCode};

use clap::{CommandFactory as _, Parser};
use lockc_bpf::{commands::Command, kubectl, out};
use lockc_policy::{messages::with_id, with_causes};

const EXIT_CODES: &str = "\
Exit codes:
  0  success, or the answer is yes
  1  an error, printed on standard error
  2  invalid command line
  3  status: not enforcing; doctor: a check failed; unload --if-idle: not idle;
     uninstall: containers depend on lockc; config check --strict: warnings; explain, ps --all,
     inspect: a container is refused or not confined; rollout, suggest --check: something would
     be forbidden
  4  status: enforcing, but a container is in audit mode";

/// Confines containers in the kernel: loads lockc's LSM programs and shows what they do.
#[derive(Debug, Parser)]
#[command(name = "lockc", version, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

fn main() -> ExitCode {
    tracing_subscriber::fmt().with_writer(io::stderr).with_target(false).without_time().init();
    let result = match kubectl::is_plugin(std::env::args_os().next().as_deref()) {
        true => kubectl::run(std::env::args_os()),
        false => Cli::parse().command.run(Cli::command()),
    };
    match result {
        Ok(code) => code,
        Err(error) if out::is_closed(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lockc: {}", with_id(&with_causes(&error)));
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pages_show_commands_that_exist() {
        lockc_pages::check_commands::<Cli>("lockc");
    }
}
