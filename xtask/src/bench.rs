//! `cargo xtask bench`: what lockc costs, in instructions, counted in a virtual machine.
//!
//! QEMU advances the machine's clock by one nanosecond an instruction (`-icount shift=0`), so that
//! the time that an operation takes is the number of instructions that ran meanwhile. Most numbers
//! are the same in every boot; forks vary by some 3 %.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::kernels::Kernel;
use crate::vm::Vm;
use crate::{build, setup, ui};

/// Configurations, as `lockc-it bench` names them, with the heading of their column.
const CONFIGURATIONS: [(&str, &str); 4] = [
    ("none", "not loaded"),
    ("host", "host"),
    ("baseline", "baseline"),
    ("privileged", "privileged"),
];

#[derive(clap::Args)]
pub struct Args {
    /// Which kernel: 6.1, 6.12 or 7.2
    #[arg(long, default_value = "6.12")]
    kernel: String,
    /// Use lockc's programs as they were built last time
    #[arg(long)]
    no_build: bool,
    /// How often each operation is measured
    #[arg(long, default_value_t = 201)]
    count: u32,
    /// Write the costs to this file, for --compare
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Show the change since these costs, which --json wrote
    #[arg(long, value_name = "FILE")]
    compare: Option<PathBuf>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
struct Cost {
    median: u64,
    least: u64,
}

#[derive(Serialize, Deserialize)]
struct Measured {
    costs: BTreeMap<String, Cost>,
}

/// Costs by configuration.
type Report = BTreeMap<String, Measured>;

/// Measures and prints.
pub fn run(args: &Args) -> Result<bool> {
    let kernel = Kernel::named(&args.kernel)?;
    let before = args.compare.as_ref().map(read).transpose()?;
    setup::run(&[kernel])?;
    let programs = if args.no_build {
        build::folder(kernel.arch())?
    } else {
        build::guest_programs(kernel.arch())?
    };
    let report = measure(kernel, &programs, args.count)?;
    if let Some(path) = &args.json {
        let text = serde_json::to_string_pretty(&report)? + "\n";
        fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    print!("{}", table(&report, before.as_ref()));
    Ok(true)
}

fn read(path: &PathBuf) -> Result<Report> {
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} holds no costs", path.display()))
}

fn measure(kernel: Kernel, programs: &std::path::Path, count: u32) -> Result<Report> {
    let machine = Vm {
        kernel,
        timeout: Duration::from_secs(1800),
        append: String::new(),
        workloads: false,
        systemd: None,
        counts_instructions: true,
    };
    let mut said = Vec::new();
    let command = format!("./lockc-it bench --count {count} > /vm/out/bench.json");
    let done = ui::step(&format!("measuring on {}", kernel.name), || {
        machine.run(programs, &command, &mut |line| said.push(line.to_owned()))
    })?;
    if done.status != 0 {
        bail!("the measurement failed:\n{}", said.join("\n"));
    }
    read(&done.out.path().join("bench.json"))
}

/// A row an operation: instructions without lockc, then what is added to it; with `before`, how
/// each number changed.
fn table(report: &Report, before: Option<&Report>) -> String {
    let names: BTreeSet<&String> =
        report.values().flat_map(|measured| measured.costs.keys()).collect();
    let mut text = String::from("Instructions; in brackets, more than without lockc");
    text.push_str(if before.is_some() {
        "; then the change since the measurement before\n\n"
    } else {
        "\n\n"
    });
    let _ = write!(text, "{:<30}", "operation");
    for (_, heading) in CONFIGURATIONS {
        let _ = write!(text, " {heading:>24}");
    }
    text.push('\n');
    for name in names {
        let _ = write!(text, "{name:<30}");
        let cost = |report: &Report, of: &str| Some(report.get(of)?.costs.get(name)?.median);
        let none = cost(report, "none");
        for (configuration, _) in CONFIGURATIONS {
            let cell = cost(report, configuration).map_or("-".to_owned(), |now| {
                let mut cell = now.to_string();
                if configuration != "none" {
                    cell += &none
                        .map_or(String::new(), |none| format!(" ({:+.0} %)", percent(none, now)));
                }
                if let Some(then) = before.and_then(|before| cost(before, configuration)) {
                    let _ = write!(cell, " {:+}", now as i64 - then as i64);
                }
                cell
            });
            let _ = write!(text, " {cell:>24}");
        }
        text.push('\n');
    }
    text
}

fn percent(from: u64, to: u64) -> f64 {
    (to as f64 / (from.max(1)) as f64 - 1.0) * 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(none: u64, host: u64) -> Report {
        let of = |median| Measured {
            costs: BTreeMap::from([("stat".to_owned(), Cost { median, least: median })]),
        };
        BTreeMap::from([("none".to_owned(), of(none)), ("host".to_owned(), of(host))])
    }

    #[test]
    fn a_table_shows_what_is_added_and_what_changed() {
        let now = table(&report(1000, 1100), None);
        assert!(now.contains("1100 (+10 %)") && now.contains(" -"), "{now}");
        let changed = table(&report(1000, 1100), Some(&report(1000, 1150)));
        assert!(changed.contains("1100 (+10 %) -50") && changed.contains("1000 +0"), "{changed}");
    }
}
