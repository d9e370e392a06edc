//! Set-up, virtual machines, tests and the demo of lockc: everything a developer runs, `cargo xtask
//! --help`.
//!
//! One module per concern: [`setup`] installs, [`kernels`] lists the kernels, [`assets`] makes them
//! and disk images, [`vm`] boots ([`qemu`]: the command line), [`saved`] resumes, [`build`]
//! compiles what goes into a guest, [`gate`] is the whole test, [`suite`] its part in virtual
//! machines ([`plan`]: which cases run where, [`protocol`]: what they say, [`system`]: its
//! packages, [`kubernetes`]: its chart), [`demo`] the demo, [`docs`] writes pages from tables,
//! [`dist`] makes what is released, [`fuzz`] runs the fuzz targets, [`bpf_report`] asks the
//! verifiers, [`bench`] counts instructions.

mod apt;
mod arch;
mod assets;
mod bench;
mod bpf_report;
mod build;
mod conformance;
mod demo;
mod dist;
mod docs;
mod emulator;
mod fuzz;
mod gate;
mod kernels;
mod kubernetes;
#[cfg(test)]
mod layers;
#[cfg(test)]
mod lengths;
#[cfg(test)]
mod messages;
mod monitoring;
mod places;
mod plan;
mod protocol;
mod qemu;
mod report;
mod saved;
mod setup;
mod suite;
mod system;
mod tier;
mod ui;
mod upstream;
mod vm;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(
    name = "cargo xtask",
    about = "Set-up, virtual machines, tests and the demo of lockc",
    version
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Install missing dependencies for building, testing and the demo
    #[command(
        after_help = "Examples:\n  cargo xtask setup\n  LOCKC_CACHE=/big/disk cargo xtask setup"
    )]
    Setup {
        /// Only what a build needs, no kernels and disk images
        #[arg(long)]
        build_only: bool,
    },
    /// Run a command as root in a fresh virtual machine with lockc's programs in the working
    /// directory
    #[command(after_help = "Examples:\n  cargo xtask vm --kernel 6.12 -- ./lockc doctor\n  cargo \
                            xtask vm --kernel 7.2 --no-build -- 'uname -r; docker --version'")]
    Vm(vm::Args),
    /// Run the gate: format, lints, licenses, unit tests, then the integration suite on every
    /// kernel
    #[command(after_help = "Examples:\n  cargo xtask test\n  cargo xtask test --unit-only\n  \
                            cargo xtask test --kernel 6.12 --filter mounts\n  cargo xtask test \
                            --everything --json results.json\n\nExit status: 0 when everything \
                            passed, 1 otherwise.")]
    Test(gate::Args),
    /// Run the demo: a table of what containers can do with and without lockc
    #[command(after_help = "Examples:\n  cargo xtask demo\n  cargo xtask demo --here      (on \
                            this host: BPF LSM and Docker needed)")]
    Demo(demo::Args),
    /// Print instruction counts and stack use of the LSM programs, as each kernel's verifier sees
    /// them
    #[command(after_help = "Examples:\n  cargo xtask bpf-report\n  cargo xtask bpf-report \
                            --kernel 6.12 --json\n\nExit status: 0 when every kernel accepts \
                            every program, 1 otherwise.")]
    BpfReport(bpf_report::Args),
    /// Count the instructions that system calls take without lockc, with it on the host, and in
    /// containers
    #[command(after_help = "Examples:\n  cargo xtask bench --kernel 7.2\n  cargo xtask bench \
                            --json before.json\n  cargo xtask bench --compare before.json")]
    Bench(bench::Args),
    /// Fuzz the parsers and the log writer
    #[command(after_help = "Examples:\n  cargo xtask fuzz\n  cargo xtask fuzz config_json \
                            --seconds 3600\n\nExit status: 0 when nothing was found, 1 \
                            otherwise; the input that was found is named.")]
    Fuzz(fuzz::Args),
    /// Run a runtime's own test suite bare and through the wrapper, and print the tests that differ
    #[command(after_help = conformance::HELP)]
    Conformance(conformance::Args),
    /// Build the release: packages, an archive, an image for Kubernetes nodes, checksums, a bill of
    /// materials
    #[command(after_help = "Examples:\n  cargo xtask dist\n  cargo xtask dist --only deb,rpm \
                            --out /tmp/lockc\n  cargo xtask dist --check-reproducible\n\nExit \
                            status: 0 when everything was made (and is reproducible, where \
                            asked), 1 otherwise.")]
    Dist(dist::Args),
    /// Render the Helm chart: print it, write its manifests, or check it
    #[command(after_help = "Examples:\n  cargo xtask chart\n  cargo xtask chart --check \
                            --admission\n  cargo xtask chart --write && git diff \
                            packaging/kubernetes\n  cargo xtask chart --values my-values.yaml")]
    Chart(kubernetes::Args),
    /// Check the alert rules, their tests, and the dashboard's expressions by promtool
    #[command(after_help = "Examples:\n  cargo xtask monitoring\n\nExit status: 0 when promtool \
                            accepts all of them, 1 otherwise.")]
    Monitoring,
    /// Write the generated pages of docs/, or render the book
    #[command(
        after_help = "Examples:\n  cargo xtask docs && git diff docs\n  cargo xtask docs --book"
    )]
    Docs(docs::Args),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Setup { build_only } => {
            let machines = if build_only { Vec::new() } else { kernels::kernels(arch::Arch::X86) };
            setup::run(&machines).map(|()| true)
        }
        Command::Vm(args) => vm::command(&args),
        Command::Test(args) => gate::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::BpfReport(args) => bpf_report::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Fuzz(args) => fuzz::command(&args),
        Command::Conformance(args) => conformance::run(&args),
        Command::Dist(args) => dist::command(&args),
        Command::Chart(args) => kubernetes::command(&args),
        Command::Monitoring => monitoring::check().map(|()| true),
        Command::Docs(args) => docs::run(&args).map(|()| true),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The directory of the workspace.
fn root() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.parent().map(PathBuf::from).unwrap_or(here)
}
