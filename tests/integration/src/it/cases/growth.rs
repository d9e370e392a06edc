//! Nothing grows: neither an exec nor a container that is gone leaves an entry in a map, or memory
//! of the kernel's, behind.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use anyhow::{Context, Result, bail};
use aya::maps::{HashMap as BpfHashMap, MapData};
use lockc_core::abi::MAX_GRANTS;
use serde_json::Value;

use super::{Row, Test, row};
use crate::bundle::{Bundle, common_rootfs};
use crate::command;
use crate::lab::Lab;
use crate::launch::{self, By, Running, Runtime};

pub const ROWS: &[Row] = &[
    row("growth/few", Test::Code(|lab, _| grows(lab, 15, 5))).slow(),
    row("growth/root-is-forgotten", Test::Code(root_is_forgotten)),
    row("growth/many", Test::Code(many)).thorough(),
    row("growth/no-room-for-tags", Test::Code(no_room)).thorough(),
    row("growth/thousands", Test::Code(thousands)).thorough(),
];

/// Slots of containers that are gone are taken again by so many at a time (`registry`).
const AT_ONCE: usize = 64;

/// The address of a root that is gone stands nowhere, whoever gets it next; of containers with one
/// root the last has it.
fn root_is_forgotten(lab: &mut Lab, _: Runtime) -> Result<String> {
    lab.only_with_lockc()?;
    let root = "/srv/lockc-it/passing-root";
    command::sh(&format!(
        "mkdir -p {root}; mount -t tmpfs passing {root}; cp -a {}/. {root}/",
        common_rootfs()?
    ))?;
    let before = roots()?;
    let mut bundle = Bundle::new(&["sleep", "1000"]);
    bundle.rootfs = Some(root.into());
    let both = [
        Running::start(By::Lockc("baseline"), &bundle)?,
        Running::start(By::Lockc("baseline"), &bundle)?,
    ];
    for running in &both {
        running.exec(&["ls", "/bin"])?.must()?;
    }
    let meanwhile = roots()?;
    drop(both);
    command::sh(&format!("umount {root}"))?;
    memory()?;
    let after = roots()?;
    let own: Vec<&u64> = meanwhile.difference(&before).collect();
    if own.len() != 1 || after.contains(own[0]) {
        bail!(
            "{before:x?} before, {meanwhile:x?} with two containers of one root, {after:x?} when \
             it was gone"
        );
    }
    Ok("one place for two containers, none when the root was gone".into())
}

/// With a map that is full nothing starts, and says why; what runs and the host go on; once there
/// is room, it starts again.
fn no_room(lab: &mut Lab, _: Runtime) -> Result<String> {
    lab.only_with_lockc()?;
    let by = By::Lockc("baseline");
    let running = Running::start(by, &Bundle::new(&["sleep", "1000"]))?;
    let map =
        MapData::from_pin("/sys/fs/bpf/lockc/maps/tags").context("the map tags is not pinned")?;
    let mut tags: BpfHashMap<MapData, u64, [u64; 5]> =
        BpfHashMap::try_from(aya::maps::Map::HashMap(map))?;
    // No inode is at a low address.
    let filled =
        (1..=u64::from(MAX_GRANTS)).take_while(|at| tags.insert(at, [0; 5], 0).is_ok()).count();
    let started = launch::run(by, &Bundle::new(&["true"]));
    let works = running.exec(&["ls", "/bin"]);
    let host = command::sh("mount -t tmpfs full /mnt && touch /mnt/f && umount /mnt");
    for at in 1..=filled as u64 {
        tags.remove(&at)?;
    }
    let refused = command::shows(&started?, &["have no room"])?;
    host.context("the host")?;
    works?.must().context("an exec into what runs")?;
    launch::run(by, &Bundle::new(&["true"]))?.must().context("once there is room")?;
    Ok(format!("{filled} entries filled it: {refused}"))
}

/// The addresses in `roots`.
fn roots() -> Result<BTreeSet<u64>> {
    let text =
        command::run(&["bpftool", "-j", "map", "dump", "pinned", "/sys/fs/bpf/lockc/maps/roots"])?
            .must()?;
    let dump: Value = serde_json::from_str(&text).context("bpftool's output is not JSON")?;
    let addresses = dump.as_array().context("bpftool dumped no list")?.iter();
    let mut found: BTreeSet<u64> = addresses
        .map(|cell| cell["formatted"]["value"].as_u64().context("no address"))
        .collect::<Result<_>>()?;
    found.remove(&0);
    Ok(found)
}

/// As many as there is time for: the environment variable says how many.
fn count_or(count: usize) -> usize {
    std::env::var("LOCKC_IT_GROWTH").ok().and_then(|text| text.parse().ok()).unwrap_or(count)
}

fn many(lab: &mut Lab, _: Runtime) -> Result<String> {
    let count = count_or(150);
    grows(lab, count, count)
}

/// What the kernel and lockc's library do for an exec and for a container, without the programs
/// around it, which take most of the time: the way to thousands.
fn thousands(lab: &mut Lab, _: Runtime) -> Result<String> {
    lab.only_with_lockc()?;
    let count = count_or(1000);
    let running = Running::start(By::Lockc("baseline"), &Bundle::new(&["sleep", "100000"]))?;
    let own = std::env::current_exe().context("who am I")?.display().to_string();
    let execs = format!("{own} without-runtime --exec {} {} --count", running.id, running.pid);
    let containers = format!("{own} without-runtime --count");
    let run = |line: &str, count: usize| {
        command::run_for(40_000, &["bash", "-c", &format!("{line} {count}")], "")?.must()
    };
    for line in [&execs, &containers] {
        run(line, 2)?;
    }
    let (before, memory_before) = (entries()?, memory()?);
    run(&execs, count)?;
    let (between, memory_between) = (entries()?, memory()?);
    run(&containers, count)?;
    let (after, memory_after) = (entries()?, memory()?);
    no_more(&before, &between, 3).with_context(|| format!("{count} execs"))?;
    // Slots are taken again only when somebody needs them.
    let each = between.values().copied().max().unwrap_or(1);
    no_more(&before, &after, each * AT_ONCE).with_context(|| format!("{count} containers"))?;
    let room = ROOM + 2 * count as i64 * 64 / 1024;
    if memory_after > memory_before + room {
        bail!(
            "the kernel's memory grew from {memory_before} to {memory_between} and {memory_after} \
             KiB"
        );
    }
    Ok(format!(
        "{count} execs and {count} containers: {before:?} to {between:?} and {after:?}; memory \
         {memory_before}, {memory_between}, {memory_after} KiB"
    ))
}

/// KiB that the kernel keeps for itself after whatever ran.
const ROOM: i64 = 6 * 1024;

/// That no map has more than `room` entries more.
fn no_more(
    before: &BTreeMap<String, usize>,
    after: &BTreeMap<String, usize>,
    room: usize,
) -> Result<()> {
    let grown: Vec<String> = before
        .iter()
        .filter(|(name, _)| *name != LEAST_RECENTLY_USED)
        .filter(|(name, count)| after.get(*name).copied().unwrap_or(0) > **count + room)
        .map(|(name, count)| format!("{name} from {count} to {:?}", after.get(name)))
        .collect();
    if grown.is_empty() { Ok(()) } else { bail!("grown: {}", grown.join(", ")) }
}

/// Arrays, which have all of their entries at any time, and storage, which the kernel's memory
/// tells of.
const WITHOUT_COUNT: [&str; 15] = [
    "task_labels",
    "sock_labels",
    "containers",
    "usage",
    "roots",
    "meta",
    "sequence",
    "errors",
    "blank",
    "log",
    "totals",
    "ended",
    // The record outlives the containers: see `record`.
    "denials",
    "denial_places",
    "denial_counts",
];

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
    let lines: String = names
        .iter()
        .map(|name| format!("map dump pinned /sys/fs/bpf/lockc/maps/{name}\n"))
        .collect();
    let text = command::run_with_input(&["bpftool", "-j", "batch", "file", "-"], &lines)?.must()?;
    let dumps: Value = serde_json::from_str(&text).context("bpftool's output is not JSON")?;
    let count =
        |at: usize| dumps[at]["output"].as_array().map(Vec::len).context("bpftool dumped no list");
    names.into_iter().enumerate().map(|(at, name)| Ok((name, count(at)?))).collect()
}

/// KiB of the kernel's memory that it cannot take back: labels, and the elements of maps.
fn memory() -> Result<i64> {
    // Inodes and dentries of what is gone.
    command::sh("sync; echo 3 > /proc/sys/vm/drop_caches; sleep 1")?;
    let text = fs::read_to_string("/proc/meminfo").context("no meminfo")?;
    let line =
        text.lines().find(|line| line.starts_with("SUnreclaim:")).context("no SUnreclaim")?;
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).context("no number")
}

/// The wrapper, by a shell that does nothing else.
fn each(count: usize, line: &str) -> Result<()> {
    let wrapper = By::Lockc("baseline").words().join(" ");
    let script = format!(
        "w='{wrapper}'; for n in $(seq {count}); do {line} || {{ echo \"failed at $n\"; cat \
         /tmp/growth; exit 1; }}; done"
    );
    let run = command::run_for(40_000, &["bash", "-c", &script], "")?;
    if run.ok() { Ok(()) } else { bail!("{}", run.said()) }
}

fn grows(lab: &mut Lab, execs: usize, containers: usize) -> Result<String> {
    lab.only_with_lockc()?;
    let running = Running::start(By::Lockc("baseline"), &Bundle::new(&["sleep", "100000"]))?;
    let exec = format!("$w exec {} true < /dev/null > /tmp/growth 2>&1", running.id);
    let directory =
        Bundle::new(&["sleep", "1000"]).write(By::Lockc("baseline"))?.display().to_string();
    // Every tenth is started.
    let create = format!(
        "$w create --bundle {directory} grows-$n < /dev/null > /tmp/growth 2>&1 && {{ [ $((n % \
         10)) != 0 ] || $w start grows-$n; }} >> /tmp/growth 2>&1 && $w delete --force grows-$n \
         >> /tmp/growth 2>&1"
    );
    each(3, &exec)?;
    let (idle, before) = (entries()?, memory()?);
    each(execs, &exec)?;
    let (after, memory_after_execs) = (entries()?, memory()?);
    // Pipes of this test's own are standard streams, and gone with the command; one may still be on
    // its way.
    no_more(&idle, &after, 3).with_context(|| format!("{execs} execs"))?;
    each(1, &create)?;
    let one = entries()?;
    let largest =
        one.iter().map(|(name, count)| count.saturating_sub(after[name])).max().unwrap_or(0).max(1);
    println!("{execs} execs: {idle:?} to {after:?}; memory {before}, {memory_after_execs} KiB");
    each(containers, &create)?;
    let (end, memory_at_end) = (entries()?, memory()?);
    // What is taken back only when somebody needs a slot.
    no_more(&one, &end, largest * AT_ONCE.min(containers))
        .with_context(|| format!("{containers} containers"))?;
    // A label is 72 bytes in an object of 128 at most; what else the kernel keeps for itself does
    // not grow with the count.
    let room = ROOM + (execs + containers) as i64 * 64 / 1024;
    if memory_at_end > before + room {
        bail!(
            "the kernel's memory grew from {before} to {memory_after_execs} and {memory_at_end} \
             KiB"
        );
    }
    Ok(format!(
        "{execs} execs: {idle:?} to {after:?}; {containers} containers: {end:?}; memory {before}, \
         {memory_after_execs}, {memory_at_end} KiB"
    ))
}
