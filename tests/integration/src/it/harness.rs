//! The cases as tests of libtest's protocol, by libtest-mimic: `--list`, a filter, `--exact`,
//! `--skip`, `--format` work as with any test of cargo's.
//!
//! All cases run in one thread, since they share the [`Lab`]. It is made for the first case that
//! needs it, so listing costs nothing.
//!
//! libtest's JSON has no place for what a passed case said, why one was ignored, and how long it
//! took. With `--format json` a line of our own goes before each result and says so: `{"type":
//! "case", "name": …, "milliseconds": …, "detail": …}`. xtask reads both.

use std::cell::RefCell;
use std::io::{Write, stdout};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Error, Result, anyhow};
use libtest_mimic::{Arguments, Completion, Failed, FormatSetting, Trial};
use serde_json::json;

use crate::btrfs;
use crate::cases::{self, Case, Skip, Test};
use crate::lab::Lab;
use crate::select::{Part, Selection, Tier};

/// What the command line says beside libtest's options.
#[derive(clap::Args)]
pub struct Options {
    #[command(flatten)]
    selection: Selection,
    /// Without lockc: only that the attempts are possible at all
    #[arg(long)]
    plain: bool,
    /// Seconds after which no case is begun any more: those that are left are ignored
    #[arg(long)]
    seconds: Option<u64>,
}

/// What every case needs to know of the run.
#[derive(Clone, Copy)]
struct Run {
    plain: bool,
    tier: Tier,
    end: Option<Instant>,
    /// Whether details go to standard output as JSON, as text, or not at all.
    details: Details,
}

#[derive(Clone, Copy)]
enum Details {
    Json,
    Text,
    None,
}

thread_local! {
    /// The lab, or why there is none.
    static LAB: RefCell<Option<Result<Lab, String>>> = const { RefCell::new(None) };
}

/// Lists or runs the chosen cases, in a lab that is there already or is made; true if none failed.
pub fn run(mut args: Arguments, options: &Options, lab: Option<Lab>) -> Result<bool> {
    options.selection.check()?;
    if options.selection.part == [Part::Btrfs] && !args.list {
        btrfs::enter()?;
    }
    args.test_threads = Some(1);
    let details = match (args.format, args.nocapture) {
        (Some(FormatSetting::Json), _) => Details::Json,
        (_, true) => Details::Text,
        (_, false) => Details::None,
    };
    let run = Run {
        plain: options.plain,
        tier: options.selection.tier,
        end: options.seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds)),
        details,
    };
    LAB.set(lab.map(|mut lab| {
        lab.tier = run.tier;
        Ok(lab)
    }));
    let cases = cases::all().into_iter().filter(|case| options.selection.has(case));
    let conclusion = libtest_mimic::run(&args, cases.map(|case| trial(case, run)).collect());
    // Engines and helpers end before the program does.
    LAB.take();
    Ok(!conclusion.has_failed())
}

fn trial(case: Case, run: Run) -> Trial {
    Trial::ignorable_test(case.name.clone(), move || {
        let (time, result) = if run.end.is_some_and(|end| end < Instant::now()) {
            (Duration::ZERO, Err(Skip("the time of the gate was over".into()).into()))
        } else {
            prove(&case, run)
        };
        conclude(&case.name, time, result, run.details)
    })
}

/// Runs a case, in the lab if it needs it, and says how long that took: without the lab's
/// preparation.
fn prove(case: &Case, run: Run) -> (Duration, Result<String>) {
    if let Some(path) = case.needs.filter(|path| !Path::new(path).exists()) {
        return (Duration::ZERO, Err(Skip(format!("this machine has no {path}")).into()));
    }
    if let Test::Step(code) = case.test {
        return timed(code);
    }
    LAB.with_borrow_mut(|lab| {
        let made = lab.get_or_insert_with(|| {
            Lab::new(run.plain, run.tier).map_err(|error| format!("{error:#}"))
        });
        let ready = match made {
            // Whatever the case before did, panics included.
            Ok(lab) => lab.restore().context("lockc could not be loaded again").map(|()| lab),
            Err(error) => Err(anyhow!("the machine is not prepared: {error}")),
        };
        match ready {
            Ok(lab) => timed(|| case.test.run(lab, case.runtime)),
            Err(error) => (Duration::ZERO, Err(error)),
        }
    })
}

fn timed(work: impl FnOnce() -> Result<String>) -> (Duration, Result<String>) {
    let start = Instant::now();
    let result = work();
    (start.elapsed(), result)
}

/// Says what a case says, in one line, and tells libtest-mimic how it ended.
fn conclude(
    name: &str,
    time: Duration,
    result: Result<String>,
    details: Details,
) -> Result<Completion, Failed> {
    let one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (detail, end) = match result {
        Ok(detail) => (one_line(&detail), Ok(Completion::Completed)),
        Err(error) => match reason(&error) {
            Some(reason) => (one_line(reason), Ok(Completion::ignored_with(one_line(reason)))),
            None => {
                let detail = one_line(&format!("{error:#}"));
                (detail.clone(), Err(Failed::from(detail)))
            }
        },
    };
    let milliseconds = time.as_millis();
    let mut out = stdout().lock();
    // Where nobody reads, the exit status still tells.
    let _ = match details {
        Details::Json => writeln!(
            out,
            "{}",
            json!({"type": "case", "name": name, "milliseconds": milliseconds, "detail": detail})
        ),
        Details::Text => write!(out, "{detail} ({milliseconds} ms) ... "),
        Details::None => Ok(()),
    };
    end
}

/// Why a case was skipped, if it was.
fn reason(error: &Error) -> Option<&str> {
    error.downcast_ref::<Skip>().map(|Skip(reason)| reason.as_str())
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    #[test]
    fn results_become_libtests() {
        let end = |result| conclude("a/b", Duration::ZERO, result, Details::None);
        assert!(matches!(end(Ok("said".into())), Ok(Completion::Completed)));
        let skip = || Err(Skip("no such\n call".into()).into());
        assert!(matches!(
            end(skip()),
            Ok(Completion::Ignored { reason: Some(reason) }) if reason == "no such call"
        ));
        let fail = || -> Result<String> { bail!("NOT DENIED:\n x") };
        assert!(matches!(end(fail()), Err(failed) if failed.message() == Some("NOT DENIED: x")));
    }
}
