//! `lockc events`: prints denials from the record. Reading takes nothing out of it.

use std::{
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};
use clap::ValueEnum;
use jiff::{Timestamp, tz::TimeZone};

use super::{cursor, time::time};
use crate::{
    denial::Denial,
    journal::Journal,
    records::Records,
    table::{self, Cell},
};

const EXAMPLES: &str = "\
Examples:
  lockc events                             every denial that is on record
  lockc events --container web --since 1h
  lockc events --rule sysfs -o wide        with the setting that would allow it
  lockc events --follow -o json            one object per line, as they happen
  systemctl enable --now lockc-journal     writes them to the journal:
  journalctl LOCKC_RULE=sysfs -o verbose";

/// How often `--follow` looks into the log.
const INTERVAL: Duration = Duration::from_millis(200);
/// The same for the journal, which nobody watches a screen for.
const JOURNAL_INTERVAL: Duration = Duration::from_secs(1);

/// Prints denials: those on record, or with `--follow` those to come.
///
/// The record has the newest 64 distinct denials of each container and rule; repetitions are
/// counted. Any number of readers see the same.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Waits for denials, and prints each when it is new and every 10 s while it goes on. Prints
    /// the record first if --since is given
    #[arg(long, short)]
    follow: bool,
    /// With --follow: go on after the denial at which this file says that an earlier command was,
    /// and keep the place there. Without the file it begins with the oldest in the log
    #[arg(long, value_name = "FILE", requires = "follow", conflicts_with = "since")]
    cursor_file: Option<PathBuf>,
    /// Only what happened since then: a time (`16:30`, `2026-11-27 16:30`, RFC 3339), or a duration
    /// before now (`10m`, `2h 30m`)
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<Timestamp>,
    /// Only what happened before then; likewise
    #[arg(long, value_name = "TIME", value_parser = time, conflicts_with = "follow")]
    until: Option<Timestamp>,
    /// Only denials of this container: its id or the beginning of it, its name, or its pod's
    #[arg(long, value_name = "NAME")]
    container: Option<String>,
    /// Only denials in the pods of this Kubernetes namespace
    #[arg(long, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// Only denials by this rule
    #[arg(long, value_name = "RULE", value_parser = rules())]
    rule: Option<String>,
    /// Format
    #[arg(long, short, value_enum, default_value_t)]
    output: Output,
    /// The same as `-o json`.
    #[arg(long, conflicts_with = "output")]
    json: bool,
}

/// A format of the output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Output {
    /// A table; with --follow, a line for each
    #[default]
    Table,
    /// Everything that is known of each
    Wide,
    /// An object per line
    Json,
    /// Entries in systemd's journal, with fields (`LOCKC_RULE` and others)
    Journal,
}

fn rules() -> clap::builder::PossibleValuesParser {
    lockc_core::rules::Rule::ALL.map(lockc_core::rules::Rule::name).into()
}

/// Runs it; with `--follow`, until it is ended by a signal.
///
/// # Errors
///
/// Where the record cannot be read (not loaded, not root) or the output is closed.
pub fn run(args: &Args) -> Result<ExitCode> {
    let records = Records::open()?;
    let output = if args.json { Output::Json } else { args.output };
    let mut printer = Printer::new(output, args.follow)?;
    // Before the record is read: a denial may be printed twice, but none is missed.
    let mut reader = match &args.cursor_file {
        Some(file) => cursor::read(file)?,
        None => records.end()?,
    };
    if !args.follow || args.since.is_some() {
        let denials: Vec<Denial> =
            records.all()?.into_iter().filter(|denial| args.wants(denial)).collect();
        printer.print(&denials)?;
        let (replaced, lost) = records.missing()?;
        if output != Output::Json && replaced + lost != 0 {
            eprintln!(
                "not on record: {replaced} denials that newer ones of the same container and \
                 rule replaced, {lost} for which there was no room"
            );
        }
    }
    if !args.follow {
        return Ok(ExitCode::SUCCESS);
    }
    loop {
        let before = reader;
        let followed = records.since(&mut reader)?;
        let denials: Vec<Denial> =
            followed.denials.into_iter().filter(|denial| args.wants(denial)).collect();
        printer.print(&denials)?;
        if followed.lost != 0 {
            eprintln!("{} denials were replaced before they could be printed", followed.lost);
        }
        if let Some(file) = args.cursor_file.as_ref().filter(|_| reader != before) {
            cursor::write(file, reader)?;
        }
        thread::sleep(if output == Output::Journal { JOURNAL_INTERVAL } else { INTERVAL });
    }
}

impl Args {
    fn wants(&self, denial: &Denial) -> bool {
        self.since.is_none_or(|since| denial.last >= since)
            && self.until.is_none_or(|until| denial.first <= until)
            && self.container.as_ref().is_none_or(|name| denial.is_of(name))
            && self
                .namespace
                .as_ref()
                .is_none_or(|name| denial.names.namespace.as_ref() == Some(name))
            && self.rule.as_ref().is_none_or(|rule| denial.rule == rule)
    }
}

/// Where denials go.
struct Printer {
    output: Output,
    follow: bool,
    journal: Option<Journal>,
}

impl Printer {
    fn new(output: Output, follow: bool) -> Result<Self> {
        let journal = (output == Output::Journal)
            .then(|| Journal::open().context("the journal cannot be opened"))
            .transpose()?;
        Ok(Self { output, follow, journal })
    }

    fn print(&mut self, denials: &[Denial]) -> Result<()> {
        if let Some(journal) = &self.journal {
            denials.iter().for_each(|denial| journal.write(denial));
            return Ok(());
        }
        if self.output == Output::Table && !self.follow {
            print_table(denials);
            return Ok(());
        }
        let mut out = io::stdout().lock();
        for denial in denials {
            if self.output == Output::Json {
                serde_json::to_writer(&mut out, denial)?;
                writeln!(out)?;
            } else {
                writeln!(out, "{} {denial}", local(denial.last))?;
            }
        }
        Ok(out.flush()?)
    }
}

fn print_table(denials: &[Denial]) {
    if denials.is_empty() {
        println!("no denial is on record");
        return;
    }
    let mut table = table::new();
    table.set_header(["last", "count", "container", "rule", "process", "verdict", "object"]);
    for denial in denials {
        table.add_row([
            Cell::new(local(denial.last)),
            table::number(Some(denial.count)),
            Cell::new(denial.name()),
            Cell::new(denial.rule),
            Cell::new(&denial.comm),
            Cell::new(if denial.mode == "audit" { "audit" } else { "denied" }),
            Cell::new(&denial.detail),
        ]);
    }
    table::print(table);
}

/// In the local time zone, in seconds.
fn local(time: Timestamp) -> String {
    time.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}
