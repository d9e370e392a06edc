//! `lockc top`: shows containers, denials, and what the programs cost, as they are now.

use std::{io, process::ExitCode, thread, time::Duration};

use anyhow::Result;
use jiff::tz::TimeZone;

use crate::top::{self, Live, Model, Sort, Source as _};

const EXAMPLES: &str = "\
Examples:
  lockc top
  lockc top --interval 0.5 --sort denials
  lockc top --once                 one frame as text, without a terminal
  lockc top --once --filter web --interval 10

Keys: q quit, Tab view, s sort, r reverse, p pause, / filter, ? help.

What the programs cost is measured only while their view is shown:
measuring slows down every BPF program of the host.";

/// Shows containers with their denials per second, the newest denials, and what each LSM program
/// costs.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Seconds between two samples, from 0.1 to 3600
    #[arg(long, short = 'd', value_name = "SECONDS", default_value = "2", value_parser = interval)]
    interval: Duration,
    /// Prints one frame as text, after one interval
    #[arg(long)]
    once: bool,
    /// Order of the containers
    #[arg(long, value_enum, default_value_t)]
    sort: Sort,
    /// Only containers, denials and programs with this text
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
}

fn interval(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.1..=3600.0).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err("not a number of seconds from 0.1 to 3600".to_owned()),
    }
}

/// Runs it; without `--once`, until a key or a signal ends it.
///
/// # Errors
///
/// Where the record cannot be read (not loaded, not root), or there is no terminal.
pub fn run(args: &Args) -> Result<ExitCode> {
    let mut source = Live::default();
    let mut model =
        Model::new(args.sort, args.filter.as_deref().unwrap_or_default(), TimeZone::system());
    if !args.once {
        top::watch(&mut source, model, args.interval)?;
        return Ok(ExitCode::SUCCESS);
    }
    source.measure(true);
    model.update(source.sample()?);
    thread::sleep(args.interval);
    model.update(source.sample()?);
    source.measure(false);
    // Without a terminal nothing is cut.
    let width = terminal_size::terminal_size_of(io::stdout())
        .map_or(usize::from(u16::MAX), |(width, _)| width.0.into());
    println!("{}", top::text(&model, width));
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_is_a_number_of_seconds_that_a_person_may_mean() {
        assert_eq!(interval("0.5"), Ok(Duration::from_millis(500)));
        assert_eq!(interval("3600"), Ok(Duration::from_secs(3600)));
        for text in ["", "0", "0.09", "-1", "3601", "nan", "inf", "1e300", "2s"] {
            assert!(interval(text).is_err(), "{text}");
        }
    }
}
