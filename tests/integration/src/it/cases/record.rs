//! The record of denials: what happened is there when somebody looks, whoever looked before, and
//! no flood pushes it out.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use aya::maps::{HashMap as BpfHashMap, Map, MapData};
use aya::programs::ProgramInfo;
use lockc_core::abi::{KEPT_DENIALS, MAX_DENIALS};
use lockc_core::maps::Record;
use serde_json::Value;

use super::{Row, Test, row};
use crate::bundle::Bundle;
use crate::command;
use crate::lab::{self, Lab};
use crate::launch::{By, Running, Runtime};

pub const ROWS: &[Row] = &[
    row("record/repetitions-are-counted", Test::Code(repeated)),
    row("record/any-number-of-readers", Test::Code(readers)),
    row("record/a-flood-under-another-rule", Test::Code(flood)).slow(),
    row("record/without-room", Test::Code(full)).slow(),
    row("record/top-once", Test::Code(top)).one_kernel(),
    row("record/outlives-its-container", Test::Code(ended)).thorough(),
];

const BY: By = By::Lockc("baseline");
/// A directory of sysfs that no container may list.
const DENIED: &str = "/sys/fs/ext4";
/// Files of the host, called by numbers.
const FOLDER: &str = "/srv/lockc-it/numbered";
const FILES: u64 = 200;

/// Under a policy by which the host's files are reached through the host's processes.
const HOST_PIDS: By = By::Lockc("reach");

fn bundle() -> Bundle {
    idle().admin().host("pid")
}

fn idle() -> Bundle {
    Bundle::new(&["sleep", "1000"])
}

/// The denials of a container, the latest last.
fn of(container: &Running) -> Result<Vec<Value>> {
    lab::events(&["--container", &container.id])
}

fn by_rule<'a>(events: &'a [Value], rule: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["rule"] == rule).collect()
}

fn count(event: &Value) -> u64 {
    event["count"].as_u64().unwrap_or(0)
}

/// The kernel side's count of a container's denials.
fn caused(container: &Running) -> Result<u64> {
    let status: Value = lab::status()?;
    let entries = status["containers"].as_array().map(Vec::as_slice).unwrap_or_default();
    let entry = entries.iter().find(|entry| entry["id"] == *container.id);
    entry.and_then(|entry| entry["denials"].as_u64()).context("it is not registered")
}

/// One entry for what happens again, with times; looking changes nothing.
fn repeated(lab: &mut Lab, _: Runtime) -> Result<String> {
    lab.only_with_lockc()?;
    let container = Running::start(BY, &idle())?;
    container.exec(&["/probe", "repeat", "50", "list", DENIED])?;
    thread::sleep(Duration::from_millis(1100));
    container.exec(&["/probe", "repeat", "7", "list", DENIED])?;
    container.exec(&["/probe", "list", "/sys/fs/ext4/features"])?;
    let first = of(&container)?;
    let sysfs = by_rule(&first, "sysfs");
    let counts: BTreeSet<u64> = sysfs.iter().map(|event| count(event)).collect();
    if counts != BTreeSet::from([1, 57]) {
        bail!("counts {counts:?}: {first:?}");
    }
    let often = sysfs.iter().find(|event| count(event) == 57).context("no such event")?;
    let times = ["first", "last"].map(|name| often[name].as_str().unwrap_or_default());
    let span: jiff::SignedDuration = match times.map(str::parse::<jiff::Timestamp>) {
        [Ok(first), Ok(last)] => last.duration_since(first),
        _ => bail!("no times: {often}"),
    };
    if span < jiff::SignedDuration::from_secs(1) || often["container"] != *container.id {
        bail!("{span}: {often}");
    }
    let alike = |events: &[Value]| -> Vec<(u64, String)> {
        events.iter().map(|event| (count(event), event["detail"].to_string())).collect()
    };
    if alike(&of(&container)?) != alike(&first) {
        bail!("the second look shows something else");
    }
    let table = command::run(&["lockc", "events", "--container", &container.id])?.must()?;
    let later = command::run(&["lockc", "events", "--since", "0s", "-o", "wide"])?.must()?;
    if !table.contains("fs/ext4") || later.contains(&container.id[..12.min(container.id.len())]) {
        bail!("{table}\n--since now: {later}");
    }
    Ok(format!("{} in one entry", count(often)))
}

/// Each of several readers gets what happens, and a reader that comes later too.
fn readers(lab: &mut Lab, _: Runtime) -> Result<String> {
    lab.only_with_lockc()?;
    let container = Running::start(BY, &idle())?;
    let mut readers = Vec::new();
    for number in 0..3 {
        readers.push(Reader::start(&format!("/run/lockc-it-reader-{number}"))?);
    }
    // They have to be at the end of the log first.
    thread::sleep(Duration::from_secs(2));
    container.exec(&["/probe", "repeat", "1000", "list", DENIED])?;
    for reader in &readers {
        let events = reader.wait_for(&container.id)?;
        if events.len() != 1 || count(&events[0]) != 1 || events[0]["rule"] != "sysfs" {
            bail!("a reader that follows: {events:?}");
        }
    }
    let later = of(&container)?;
    if by_rule(&later, "sysfs").iter().map(|event| count(event)).sum::<u64>() != 1000 {
        bail!("a later reader: {later:?}");
    }
    Ok("3 readers that follow, one that came later".into())
}

/// `lockc events --follow`.
struct Reader {
    child: Child,
    path: String,
}

impl Reader {
    fn start(path: &str) -> Result<Self> {
        let out = File::create(path).with_context(|| format!("cannot create {path}"))?;
        let child = Command::new("lockc")
            .args(["events", "--follow", "--json"])
            .stdin(Stdio::null())
            .stdout(out)
            .spawn()
            .context("cannot start a reader")?;
        Ok(Self { child, path: path.into() })
    }

    /// What it has printed of a container, once it has.
    fn wait_for(&self, id: &str) -> Result<Vec<Value>> {
        let end = Instant::now() + Duration::from_secs(30);
        loop {
            let text = fs::read_to_string(&self.path).context("no output of a reader")?;
            let events = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            let found: Vec<Value> = events.filter(|event| event["container"] == id).collect();
            if !found.is_empty() {
                return Ok(found);
            }
            if end < Instant::now() {
                bail!("a reader got nothing of {id}: {text}");
            }
            thread::sleep(Duration::from_millis(200));
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// 100,000 repetitions, and more distinct denials than are kept: what happened once under another
/// rule before is still there, the newest are, and all of them are accounted for.
fn flood(lab: &mut Lab, _: Runtime) -> Result<String> {
    lab.only_with_lockc()?;
    command::sh(&format!(
        "mkdir -p {FOLDER}; i=0; while [ $i -lt {FILES} ]; do : > {FOLDER}/$i; i=$((i+1)); done"
    ))?;
    let record = Record::open()?;
    let missing = || -> Result<u64> { Ok(record.replaced()? + record.lost()?) };
    let before = missing()?;
    let (other, container) = (Running::start(BY, &idle())?, Running::start(HOST_PIDS, &bundle())?);
    for container in [&other, &container] {
        container.exec(&["/probe", "list", DENIED])?;
    }
    let path = format!("/proc/{{victim}}/root{FOLDER}/");
    let each = lab.fill(&["/probe", "read-each", &path, &FILES.to_string()]);
    container.exec(&each.iter().map(String::as_str).collect::<Vec<_>>())?;
    let first = lab.fill(&["/probe", "repeat", "100000", "read", &format!("{path}{}", FILES - 1)]);
    container.exec(&first.iter().map(String::as_str).collect::<Vec<_>>())?;
    let events = of(&container)?;
    let files = by_rule(&events, "files");
    let newest = format!("/numbered/{} ", FILES - 1);
    let is_newest =
        |event: &&&Value| event["detail"].as_str().is_some_and(|text| text.contains(&newest));
    if files.len() != KEPT_DENIALS as usize || files.iter().filter(is_newest).count() != 1 {
        bail!("{} files, {:?}", files.len(), files.last());
    }
    for (whose, events) in [("its own", &events), ("another's", &of(&other)?)] {
        if !by_rule(events, "sysfs").iter().any(|event| count(event) == 1) {
            bail!("{whose} denial before the flood is gone: {events:?}");
        }
    }
    let (kept, caused) = (events.iter().map(count).sum::<u64>(), caused(&container)?);
    let replaced = missing()? - before;
    if kept + replaced != caused || caused < 100_000 + FILES {
        bail!("{kept} on record and {replaced} replaced of {caused}");
    }
    Ok(format!("{caused} denials: {kept} in {} entries, {replaced} replaced", events.len()))
}

/// `lockc top --once` shows what happens while it looks: a denial, its rate, and what the programs
/// cost. Afterwards nobody measures.
fn top(lab: &mut Lab, _: Runtime) -> Result<String> {
    lab.only_with_lockc()?;
    let container = Running::start(BY, &idle())?;
    let child = Command::new("lockc")
        .args(["top", "--once", "--interval", "5"])
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start lockc top")?;
    thread::sleep(Duration::from_secs(2));
    container.exec(&["/probe", "repeat", "20", "list", DENIED])?;
    let output = child.wait_with_output().context("lockc top")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let words = |begin: &str| -> Result<Vec<&str>> {
        let line = text.lines().find(|line| line.trim_start().starts_with(begin));
        Ok(line.with_context(|| format!("no {begin}: {text}"))?.split_whitespace().collect())
    };
    let number = |word: Option<&&str>| word.and_then(|word| word.parse::<f64>().ok());
    let row = words(&container.id[..12.min(container.id.len())])?;
    let rate = number(row.last()).with_context(|| format!("no rate: {row:?}"))?;
    // 20 in 5 seconds, or a little more if the machine is slow.
    if !(1.0..=4.1).contains(&rate) || !text.contains(&format!("  {rate:.1} denials/s")) {
        bail!("{rate} denials per second: {text}");
    }
    let is_denial = |line: &str| line.contains("sysfs") && line.ends_with("fs/ext4");
    if !text.lines().any(is_denial) {
        bail!("the denial is not shown: {text}");
    }
    let cost = words("file_open ")?;
    let [calls, each, _] = [1, 2, 3].map(|at| number(cost.get(at)).unwrap_or(0.0));
    if calls <= 0.0 || each <= 0.0 {
        bail!("no cost: {cost:?}: {text}");
    }
    let count = || ProgramInfo::from_pin("/sys/fs/bpf/lockc/progs/file_open");
    let before = count()?.run_count();
    container.exec(&["/probe", "list", DENIED])?;
    if before == 0 || count()?.run_count() != before {
        bail!("the programs are still measured");
    }
    Ok(format!("{rate} denials per second; file_open: {calls} calls per second of {each} ns"))
}

/// A container that is gone, its place taken by another, is still named with its denials.
fn ended(lab: &mut Lab, _: Runtime) -> Result<String> {
    lab.only_with_lockc()?;
    let container = Running::start(BY, &idle())?;
    container.exec(&["/probe", "list", DENIED])?;
    let id = container.id.clone();
    drop(container);
    // Places of containers that are gone are taken again by 64 at a time.
    for _ in 0..70 {
        drop(Running::start(BY, &idle())?);
    }
    let entries =
        Record::open()?.ended()?.iter().filter(|ended| ended.id.starts_with(id.as_bytes())).count();
    let events = lab::events(&["--container", &id])?;
    match by_rule(&events, "sysfs")[..] {
        [event] if entries == 1 && event["policy"] == "baseline" => Ok(event.to_string()),
        _ => bail!("{entries} entries of it among the containers that ended; {events:?}"),
    }
}

/// With a full map of the record, a denial is one all the same, and is counted as lost; once there
/// is room, it is on record.
fn full(lab: &mut Lab, _: Runtime) -> Result<String> {
    lab.only_with_lockc()?;
    let mut told = Vec::new();
    for map in ["denials", "denial_places", "denial_counts"] {
        let container = Running::start(BY, &idle())?;
        let record = Record::open()?;
        let before = (record.lost()?, record.denials()?.len());
        let filled = match map {
            "denials" => fill::<32, 336>(map)?,
            "denial_places" => fill::<16, 32>(map)?,
            _ => fill::<16, 8>(map)?,
        };
        let list = ["/probe", "list", DENIED];
        let denied = container.exec(&list);
        let lost = record.lost()?;
        let on_record = of(&container);
        filled.empty()?;
        if denied?.ok() {
            bail!("NOT DENIED with a full {map}");
        }
        if lost != before.0 + 1 || !on_record?.is_empty() || record.denials()?.len() != before.1 {
            bail!("{map}: {lost} lost, {} before", before.0);
        }
        container.exec(&list)?;
        if by_rule(&of(&container)?, "sysfs").len() != 1 {
            bail!("{map}: not on record when there is room");
        }
        told.push(map);
    }
    Ok(format!("denied, and counted as lost: {}", told.join(", ")))
}

/// A map that is full.
struct Filled<const K: usize, const V: usize> {
    map: BpfHashMap<MapData, [u8; K], [u8; V]>,
    keys: Vec<[u8; K]>,
}

trait Full {
    fn empty(self: Box<Self>) -> Result<()>;
}

/// Fills a map with entries of a container that there is not.
fn fill<const K: usize, const V: usize>(map: &str) -> Result<Box<dyn Full>> {
    let map = MapData::from_pin(format!("/sys/fs/bpf/lockc/maps/{map}")).context("no such map")?;
    let mut filled =
        Filled::<K, V> { map: BpfHashMap::try_from(Map::HashMap(map))?, keys: Vec::new() };
    for number in 0..=u64::from(MAX_DENIALS) {
        let mut key = [0xff; K];
        key[8..16].copy_from_slice(&number.to_ne_bytes());
        if filled.map.insert(key, [0; V], 0).is_err() {
            break;
        }
        filled.keys.push(key);
    }
    Ok(Box::new(filled))
}

impl<const K: usize, const V: usize> Full for Filled<K, V> {
    fn empty(mut self: Box<Self>) -> Result<()> {
        for key in &self.keys {
            self.map.remove(key)?;
        }
        Ok(())
    }
}
