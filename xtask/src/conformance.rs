//! `cargo xtask conformance`: a runtime's own test suite, with the bare runtime and through lockc's
//! wrapper at the privileged level, which refuses nothing; lockc causes
//! every difference.
//!
//! Each of the suites writes TAP, by which its tests are compared. The whole suite runs through the
//! wrapper; with the bare runtime what did not pass, which halves the time. Tests that differ run
//! once more, bare and wrapped: an emulated machine is slow, and some tests wait for a fixed time
//! only.

mod results;
mod suite;

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use results::{Difference, Outcome, Results, Test};
use suite::Suite;

use crate::arch::Arch;
use crate::kernels::Kernel;
use crate::vm::Vm;
use crate::{build, setup, ui};

/// Printed below the options.
pub const HELP: &str = "Examples:
  cargo xtask conformance runc
  cargo xtask conformance crun \
                        --kernel 7.2
  cargo xtask conformance runc --filter exec --filter tty
  \
                        cargo xtask conformance ../runc --runtime /usr/sbin/runc

`runc` and \
                        `crun` are made from Debian's source package of the version in the guest, \
                        with bats
and gcc or with Python for the guest; they stay in the cache. A \
                        directory of yours (`./runc`, if it
has that name) is taken as it is:

  \
                        runc   tests/integration/*.bats, and the helpers built on this machine: \
                        `make test-binaries`,
         before 1.2 `make recvtty sd-helper \
                        seccompagent`.
         tests/integration/get-images.sh that names images \
                        without a network: the guest has
         /opt/img/busybox.tar and \
                        /opt/img/debian.tar.
         bats: bats/bin/bats, or root/usr/bin/bats
  \
                        crun   tests/test_*.py, and tests/init built: `make tests/init`
  youki  \
                        contest and runtimetest

What else the guest lacks goes into a directory \
                        `root` there, which is laid over the guest's root
(`dpkg-deb -x bats_*.deb \
                        root`).

The suite runs through the wrapper first. Tests that did not pass \
                        run with the bare runtime,
which shows whether lockc is the cause; those \
                        that differ run a second time both ways.
runc's suite takes an hour or \
                        more, crun's some minutes.
A test of runc's that hangs is stopped after a \
                        quarter of --limit, a file of tests after --limit;
what did not run is \
                        named. All output is kept, to see why a test failed.

Exit status: 0 when \
                        the whole suite ran and no test differs but those that are meant to,
1 \
                        otherwise.";

#[derive(clap::Args)]
pub struct Args {
    /// `runc` or `crun`, or a folder with a suite
    suite: PathBuf,
    /// Which kernel: 6.1, 6.12 or 7.2
    #[arg(long, default_value = "6.12")]
    kernel: String,
    /// The runtime in the image that is tested: the suite's own, if not given
    #[arg(long)]
    runtime: Option<PathBuf>,
    /// Only files of tests whose names contain this; may be given several times
    #[arg(long, value_name = "TEXT")]
    filter: Vec<String>,
    /// Seconds until a file of tests is stopped; a single test of runc's after a quarter of it
    #[arg(long, default_value_t = 1800)]
    limit: u64,
    /// Seconds until a machine is stopped
    #[arg(long, default_value_t = 10_800)]
    timeout: u64,
    /// Run the whole suite with the bare runtime too, not only what did not pass through the
    /// wrapper
    #[arg(long)]
    whole: bool,
    /// Use lockc's programs as they were built last time
    #[arg(long)]
    no_build: bool,
    /// Where the suite's output is kept: in cargo's target folder, if not given
    #[arg(long, value_name = "FOLDER")]
    logs: Option<PathBuf>,
}

/// Tests that lockc makes fail on purpose, by their names, and why: `docs/architecture.md`,
/// "Differences that are meant".
const MEANT: &[(&str, &str)] =
    &[("runc foo -h", "lockc refuses subcommands that it does not know")];

fn reason(difference: &Difference) -> Option<&'static str> {
    MEANT.iter().find(|(name, _)| difference.test.name == *name).map(|(_, reason)| *reason)
}

/// Runs the suite through the wrapper and with the bare runtime; true if no test differs but those
/// that are meant to.
pub fn run(args: &Args) -> Result<bool> {
    let kernel = Kernel::named(&args.kernel)?;
    if kernel.arch() != Arch::X86 {
        bail!("the runtimes' suites are made for x86_64 only");
    }
    let made = ["runc", "crun"].into_iter().find(|name| args.suite == Path::new(name));
    if made.is_none() {
        Suite::of(&args.suite)?.check(&args.suite)?;
    }
    setup::run(&[kernel])?;
    let folder = match made {
        Some(runtime) => suite::made(runtime, kernel)?,
        None => args.suite.clone(),
    };
    let logs = match &args.logs {
        Some(logs) => logs.clone(),
        None => build::target()?.join("conformance"),
    };
    std::fs::create_dir_all(&logs).with_context(|| format!("cannot create {}", logs.display()))?;
    let programs = if args.no_build {
        build::folder(kernel.arch())?
    } else {
        build::guest_programs(kernel.arch())?
    };
    let input = tempfile::Builder::new()
        .prefix("lockc-conformance-")
        .tempdir()
        .context("cannot create a directory")?;
    ui::capture(Command::new("cp").arg("-rT").arg(programs).arg(input.path()))?;
    ui::capture(Command::new("cp").arg("-aT").arg(&folder).arg(input.path().join("suite")))?;
    let suite = Suite::of(&folder)?;
    let runtime = args.runtime.clone().unwrap_or_else(|| suite.runtime().into());
    let job = Job { args, kernel, suite, runtime, input: input.path(), logs };

    let wrapped = job.run(true, &[], "wrapped")?;
    let open = wrapped.not_passed();
    let bare = match args.whole {
        true => job.run(false, &[], "bare")?,
        false if open.is_empty() => Results::default(),
        false => job.run(false, &open, "bare")?,
    };
    let first = bare.differences(&wrapped);
    let first =
        first.into_iter().filter(|difference| args.whole || difference.test.is_among(&open));
    let (unclear, meant): (Vec<_>, Vec<_>) =
        first.partition(|difference| reason(difference).is_none());
    let tests: Vec<Test> = unclear.iter().map(|difference| difference.test.clone()).collect();
    let again = if tests.is_empty() {
        Vec::new()
    } else {
        job.run(false, &tests, "bare-again")?.differences(&job.run(
            true,
            &tests,
            "wrapped-again",
        )?)
    };
    let (real, unsteady): (Vec<_>, Vec<_>) = unclear
        .into_iter()
        .partition(|difference| again.iter().any(|second| second.test == difference.test));

    for (what, results) in [("bare", &bare), ("wrapped", &wrapped)] {
        if results.cut_short {
            println!("unfinished ({what}): the machine ended before the suite did");
        }
        let unfinished = results.unfinished();
        unfinished
            .iter()
            .for_each(|file| println!("unfinished ({what}): {}", results.progress(file)));
    }
    meant.iter().for_each(|difference| {
        println!("meant: {difference}: {}", reason(difference).unwrap_or_default())
    });
    unsteady
        .iter()
        .for_each(|difference| println!("differed once, but not a second time: {difference}"));
    real.iter().for_each(|difference| println!("{difference}"));
    println!(
        "{} tests: {} passed through the wrapper, {} failed, {} were left out; of {} that ran \
         with the bare runtime {} passed; {} differ, {} more are meant to; output in {}",
        wrapped.len(),
        wrapped.count(Outcome::Passed),
        wrapped.count(Outcome::Failed),
        wrapped.count(Outcome::LeftOut),
        bare.len(),
        bare.count(Outcome::Passed),
        real.len(),
        meant.len(),
        job.logs.display()
    );
    // What the wrapped suite did not get to is not known to be alike.
    Ok(real.is_empty() && wrapped.unfinished().is_empty() && !wrapped.cut_short)
}

struct Job<'a> {
    args: &'a Args,
    kernel: Kernel,
    suite: Suite,
    runtime: PathBuf,
    input: &'a Path,
    logs: PathBuf,
}

impl Job<'_> {
    /// Runs the suite, or of it these tests, in a machine; its output goes into the log `name`.
    fn run(&self, wrapped: bool, only: &[Test], name: &str) -> Result<Results> {
        let machine = Vm {
            kernel: self.kernel,
            timeout: Duration::from_secs(self.args.timeout),
            append: String::new(),
            workloads: false,
            systemd: None,
            counts_instructions: false,
        };
        let path = self.logs.join(format!("{name}.log"));
        let mut log =
            File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
        let how = if wrapped { "through the wrapper" } else { "with the bare runtime" };
        let what = if only.is_empty() {
            "the suite".to_owned()
        } else {
            format!("{} tests of it", only.len())
        };
        eprintln!("  .. {what} {how}");
        let mut results = Results::default();
        let script = self.suite.script(&self.args.filter, only, self.args.limit);
        let ended =
            machine.run(self.input, &command(&self.runtime, wrapped, &script), &mut |line| {
                // The log is for people; the run goes on without it.
                let _ = writeln!(log, "{line}");
                if line.starts_with("# file ") {
                    results.last_file().iter().for_each(|line| eprintln!("     {line}"));
                }
                results.read(line);
            });
        results.last_file().iter().for_each(|line| eprintln!("     {line}"));
        match ended {
            Err(error) if results.len() == 0 => return Err(error),
            Err(error) => {
                eprintln!("     {error:#}");
                results.cut_short = true;
            }
            Ok(_) if results.len() == 0 => bail!(
                "the suite ran no test; what it printed is in {}, what DIR must contain in `cargo \
                 xtask conformance --help`",
                path.display()
            ),
            Ok(_) => {}
        }
        Ok(results)
    }
}

/// What a machine executes. The suite calls one program; the wrapper is a script, since it takes
/// options of its own.
fn command(runtime: &Path, wrapped: bool, script: &str) -> String {
    let real = suite::quoted(&runtime.display().to_string());
    let set_up = if wrapped {
        format!(
            "./lockc load || exit 1; mkdir -p /etc/lockc; echo \"runtimes = ['\"{real}\"']\" > \
             /etc/lockc/lockc.toml; chmod 600 /etc/lockc/lockc.toml; \
             exec_line=\"$PWD/lockc-runc-wrapper --lockc-policy privileged\"; "
        )
    } else {
        format!("exec_line={real}; ")
    };
    format!(
        "{set_up}cd suite; [ ! -d root ] || {{ cp -a root/. / && rm -r root && ldconfig; }}; \
         printf '#!/bin/sh\\nexec %s \"$@\"\\n' \"$exec_line\" > runtime; chmod 755 runtime; ln \
         -sf runtime runc; {script}; exit 0"
    )
}
