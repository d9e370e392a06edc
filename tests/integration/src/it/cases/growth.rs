//! Nothing grows: neither an exec nor a container that is gone leaves an entry in a map, or memory
//! of the kernel's, behind.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::{Row, Test, row};
use crate::bundle::Bundle;
use crate::command;
use crate::lab::Lab;
use crate::launch::{By, Running, Runtime};

pub const ROWS: &[Row] =
    &[row("growth/few", Test::Code(|lab, _| grows(lab, 15, 5))), row("growth/many", Test::Code(many))];

/// Slots of containers that are gone are taken again by so many at a time (`registry`).
const AT_ONCE: usize = 64;

/// As many as there is time for: the environment variable says how many.
fn many(lab: &mut Lab, _: Runtime) -> Result<String> {
    let count = std::env::var("LOCKC_IT_GROWTH").ok().and_then(|text| text.parse().ok()).unwrap_or(150);
    grows(lab, count, count)
}

/// Arrays, which have all of their entries at any time, and storage, which the kernel's memory
/// tells of.
const WITHOUT_COUNT: [&str; 8] =
    ["task_labels", "sock_labels", "containers", "usage", "meta", "sequence", "events", "errors"];

/// The kernel drops the oldest of these by itself, those of keys that are gone among them.
const LEAST_RECENTLY_USED: &str = "keys";

/// Entries of every other map.
fn entries() -> Result<BTreeMap<String, usize>> {
    let mut names: Vec<String> = fs::read_dir("/sys/fs/bpf/lockc/maps")
        .context("no maps")?
        .filter_map(|map| map.ok()?.file_name().into_string().ok())
        .filter(|name| !WITHOUT_COUNT.contains(&name.as_str()))
        .collect();
    names.sort();
    let lines: String = names.iter().map(|name| format!("map dump pinned /sys/fs/bpf/lockc/maps/{name}\n")).collect();
    let text = command::run_with_input(&["bpftool", "-j", "batch", "file", "-"], &lines)?.must()?;
    let dumps: Value = serde_json::from_str(&text).context("bpftool's output is not JSON")?;
    let count = |at: usize| dumps[at]["output"].as_array().map(Vec::len).context("bpftool dumped no list");
    names.into_iter().enumerate().map(|(at, name)| Ok((name, count(at)?))).collect()
}

/// KiB of the kernel's memory that it cannot take back: labels, and the elements of maps.
fn memory() -> Result<i64> {
    // Inodes and dentries of what is gone.
    command::sh("sync; echo 3 > /proc/sys/vm/drop_caches; sleep 1")?;
    let text = fs::read_to_string("/proc/meminfo").context("no meminfo")?;
    let line = text.lines().find(|line| line.starts_with("SUnreclaim:")).context("no SUnreclaim")?;
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).context("no number")
}

/// The wrapper, by a shell that does nothing else.
fn each(count: usize, line: &str) -> Result<()> {
    let wrapper = By::Lockc("baseline").words().join(" ");
    let script = format!(
        "w='{wrapper}'; for n in $(seq {count}); do {line} || {{ echo \"failed at $n\"; cat /tmp/growth; exit 1; }}; done"
    );
    let run = command::run_for(40_000, &["bash", "-c", &script], "")?;
    if run.ok() { Ok(()) } else { bail!("{}", run.said()) }
}

fn grows(lab: &mut Lab, execs: usize, containers: usize) -> Result<String> {
    lab.only_with_lockc()?;
    let running = Running::start(By::Lockc("baseline"), &Bundle::new(&["sleep", "100000"]))?;
    let exec = format!("$w exec {} true < /dev/null > /tmp/growth 2>&1", running.id);
    let directory = Bundle::new(&["sleep", "1000"]).write(By::Lockc("baseline"))?.display().to_string();
    // Every tenth is started.
    let create = format!(
        "$w create --bundle {directory} grows-$n < /dev/null > /tmp/growth 2>&1 && {{ [ $((n % 10)) != 0 ] || $w start grows-$n; }} \
         >> /tmp/growth 2>&1 && $w delete --force grows-$n >> /tmp/growth 2>&1"
    );
    each(3, &exec)?;
    let (idle, before) = (entries()?, memory()?);
    each(execs, &exec)?;
    let (after, memory_after_execs) = (entries()?, memory()?);
    // Pipes of this test's own are standard streams, and gone with the command; one may still be on
    // its way.
    let grown = |one: &BTreeMap<String, usize>, other: &BTreeMap<String, usize>, room: usize| -> Vec<String> {
        one.iter()
            .filter(|(name, _)| *name != LEAST_RECENTLY_USED)
            .filter(|(name, count)| other.get(*name).copied().unwrap_or(0) > **count + room)
            .map(|(name, count)| format!("{name} from {count} to {:?}", other.get(name)))
            .collect()
    };
    let more = grown(&idle, &after, 3);
    if !more.is_empty() {
        bail!("{execs} execs: {}", more.join(", "));
    }
    each(1, &create)?;
    let one = entries()?;
    let largest = one.iter().map(|(name, count)| count.saturating_sub(after[name])).max().unwrap_or(0).max(1);
    println!("{execs} execs: {idle:?} to {after:?}; memory {before}, {memory_after_execs} KiB");
    each(containers, &create)?;
    let (end, memory_at_end) = (entries()?, memory()?);
    // What is taken back only when somebody needs a slot.
    let more = grown(&one, &end, largest * AT_ONCE.min(containers));
    if !more.is_empty() {
        bail!("{containers} containers: {}", more.join(", "));
    }
    // A label is 72 bytes in an object of 128 at most; what else the kernel keeps for itself does
    // not grow with the count.
    let room = 6 * 1024 + (execs + containers) as i64 * 64 / 1024;
    if memory_at_end > before + room {
        bail!("the kernel's memory grew from {before} to {memory_after_execs} and {memory_at_end} KiB");
    }
    Ok(format!(
        "{execs} execs: {idle:?} to {after:?}; {containers} containers: {end:?}; memory {before}, {memory_after_execs}, {memory_at_end} KiB"
    ))
}
