//! The parts of the bundle: each is gathered within a deadline, then redacted.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::mpsc,
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use lockc_core::{maps, paths};
use lockc_policy::{config, refused::Refused};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{
    bundle::{self, Part},
    engines::{self, File},
    journal, kernel, mounts,
    redact::Redactor,
};
use crate::{
    containers, denial::Denial, install::present, loader, pinned, programs, records::Records,
    settings, status,
};

/// How long one part may take.
const DEADLINE: Duration = Duration::from_secs(10);

/// Keys of lockc's own answers.
const KEYS: &str = "
    last first count container engine name image pod namespace level policy origin id rule denies
    hook pid comm detail mode errno remedy setting key value enforcing audited version abi
    tells_layers own_version attached missing not_enforced containers errors lost_denials network
    rules audited_rules tasks denials sandbox deleting unconfined runtime reason state found since
    guards without instructions stack verified machine_code time bundle reasons control what
    settings lockc loaded own others mounts type at programs
    dockerd docker containerd crio podman runc crun youki
";

/// What is gathered.
#[derive(Clone, Debug)]
pub struct Options {
    /// Names, images and paths are kept.
    pub include_names: bool,
    /// Denials and journal entries, the newest ones.
    pub events: usize,
    /// The host's root.
    pub root: PathBuf,
}

/// A bundle that is not written yet.
#[derive(Debug)]
pub struct Bundle {
    /// The archive.
    pub bytes: Vec<u8>,
    /// Its directory, which is also the name of the file without its ending.
    pub directory: String,
    /// Files in it.
    pub files: usize,
    /// Parts that failed, and why.
    pub failed: Vec<(String, String)>,
}

/// Gathers it.
///
/// # Errors
///
/// Where the archive cannot be made; a part that fails is in its MANIFEST.
pub fn make(options: &Options, doctor: fn() -> Value) -> Result<Bundle> {
    let now = Timestamp::now();
    let directory = now.strftime("lockc-report-%Y%m%dT%H%M%SZ").to_string();
    let parts = parts(options, doctor);
    let manifest = bundle::manifest(&parts, options.include_names);
    let time = u64::try_from(now.as_second()).unwrap_or(0);
    let bytes = bundle::archive(&directory, &parts, &manifest, time)
        .context("the archive cannot be made")?;
    let failed = parts
        .iter()
        .filter_map(|part| part.text.as_ref().err().map(|why| (part.name.clone(), why.clone())));
    let failed: Vec<(String, String)> = failed.collect();
    Ok(Bundle { bytes, directory, files: parts.len() - failed.len() + 1, failed })
}

type Gathered = Result<Value, String>;
type Gather = Box<dyn FnOnce() -> Gathered + Send>;

/// Every part.
pub fn parts(options: &Options, doctor: fn() -> Value) -> Vec<Part> {
    let root = options.root.clone();
    let events = options.events;
    let mut redactor = Redactor::new(options.include_names);
    let mut parts = Vec::new();

    let kernel_root = root.clone();
    let kernel = within(Box::new(move || Ok(kernel::facts(&kernel_root))));
    if let Ok(facts) = &kernel {
        redactor.allow(facts["release"].as_str().unwrap_or_default());
        redactor.allow(facts["lsm"].as_str().unwrap_or_default());
    }
    // lockc's own version, and that of the programs that are loaded.
    redactor.allow(&loader::version());
    if let Some(meta) = pinned::attached_version() {
        redactor.allow(&maps::text(&meta.version));
    }
    let kernel = kernel.map(|facts| kernel::redacted(&facts, &mut redactor));
    parts.push(part("kernel.json", kernel, &mut redactor));

    let known: BTreeSet<&str> = KEYS.split_whitespace().chain(journal::KEYS).collect();
    let mounts_root = root.clone();
    let own: [(&str, Gather); 10] = [
        ("versions.json", Box::new(versions)),
        ("doctor.json", Box::new(move || Ok(doctor()))),
        ("status.json", Box::new(|| json_of(status::gather()))),
        ("programs.json", Box::new(|| json_of(programs::gather()))),
        ("containers.json", Box::new(|| json_of(containers::confined()))),
        ("unconfined.json", Box::new(|| json_of(containers::unconfined()))),
        ("events.json", Box::new(move || json_of(denials(events)))),
        ("refusals.json", Box::new(|| json_of(refusals()))),
        ("journal.json", Box::new(move || journal::entries(events))),
        ("mounts.json", Box::new(move || mounts::table(&mounts_root))),
    ];
    for (name, gather) in own {
        let value = within(gather).map(|value| redactor.value(&value, &known));
        parts.push(part(name, value, &mut redactor));
    }

    let schema = config::schema();
    let mut keys = BTreeSet::from(["value", "origin"]);
    keys_of(&schema, &mut keys);
    let resolved = within(Box::new(resolved)).map(|value| redactor.value(&value, &keys));
    parts.push(part("config.json", resolved, &mut redactor));
    for file in within_files(root.clone(), own_files) {
        let value = toml_of(&file).map(|value| redactor.value(&value, &keys));
        let name = name_of("config", &file.path, &mut redactor);
        parts.push(part(&name, value, &mut redactor));
    }
    for file in within_files(root, engines::files) {
        let value = engines::redacted(&file, &mut redactor);
        let name = name_of("engines", &file.path, &mut redactor);
        parts.push(part(&name, value, &mut redactor));
    }
    parts
}

fn part(name: &str, value: Gathered, redactor: &mut Redactor) -> Part {
    let text = match value {
        Ok(value) => serde_json::to_string_pretty(&value).map_err(|_| "not JSON".to_owned()),
        Err(why) => Err(redactor.text(&why)),
    };
    Part { name: name.to_owned(), text, lost: redactor.counts() }
}

/// The name of a file of the host: directories of registries and drop-ins may name somebody.
fn name_of(directory: &str, path: &Path, redactor: &mut Redactor) -> String {
    let lost = redactor.counts();
    let known = engines::names();
    let word = |part: std::path::Component<'_>| {
        let part = part.as_os_str().to_string_lossy();
        if known.contains(&*part) {
            return part.into_owned();
        }
        redactor.text(&part).replace(['<', '>', '/'], "_")
    };
    let words: Vec<String> = path.components().map(word).collect();
    redactor.count(lost);
    format!("{directory}/{}.json", words.join("/"))
}

/// What `gather` finds, unless it takes too long.
fn within(gather: Gather) -> Gathered {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || sender.send(gather()));
    receiver.recv_timeout(DEADLINE).unwrap_or_else(|error| match error {
        mpsc::RecvTimeoutError::Timeout => Err(format!("no answer in {} s", DEADLINE.as_secs())),
        mpsc::RecvTimeoutError::Disconnected => Err("it panicked".to_owned()),
    })
}

fn within_files(root: PathBuf, list: fn(&Path) -> Vec<File>) -> Vec<File> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || sender.send(list(&root)));
    receiver.recv_timeout(DEADLINE).unwrap_or_default()
}

fn json_of<T: Serialize>(answer: Result<T>) -> Gathered {
    let answer = answer.map_err(|error| format!("{error:#}"))?;
    serde_json::to_value(answer).map_err(|error| error.to_string())
}

fn versions() -> Gathered {
    Ok(json!({
        "lockc": loader::version(),
        "loaded": pinned::attached_version().map(|meta| meta.abi),
        "programs": present::versions(),
    }))
}

fn denials(last: usize) -> Result<Vec<Denial>> {
    let mut all = Records::open()?.all()?;
    Ok(all.split_off(all.len().saturating_sub(last)))
}

fn refusals() -> Result<Vec<Refused>> {
    Ok(Refused::all(Path::new(paths::REFUSED))?)
}

/// The settings in effect, with their places.
fn resolved() -> Gathered {
    let entries = settings::all().map_err(|error| format!("{error:#}"))?;
    let mut tree = Map::new();
    for (key, entry) in entries {
        let entry = serde_json::to_value(entry).map_err(|error| error.to_string())?;
        match key.split_once('.') {
            None => {
                tree.insert(key, entry);
            }
            Some((table, name)) => {
                let table = tree.entry(table).or_insert_with(|| json!({}));
                if let Some(table) = table.as_object_mut() {
                    table.insert(name.to_owned(), entry);
                }
            }
        }
    }
    Ok(tree.into())
}

/// lockc's own files, as they were written.
fn own_files(root: &Path) -> Vec<File> {
    let below = |path: &Path| path.strip_prefix("/").unwrap_or(path).to_owned();
    let config = below(Path::new(paths::CONFIG));
    let drop_ins = config.with_extension("d");
    let mut files = vec![config];
    let entries = std::fs::read_dir(root.join(&drop_ins)).into_iter().flatten().flatten();
    files.extend(entries.map(|entry| drop_ins.join(entry.file_name())));
    files.sort();
    files.retain(|path| root.join(path).exists());
    let text = |path: PathBuf| File { text: super::read::read(&root.join(&path)), path };
    files.into_iter().map(text).collect()
}

fn toml_of(file: &File) -> Gathered {
    let text = file.text.as_ref().map_err(Clone::clone)?;
    toml::from_str(text).map_err(|_| "it is not TOML; its text is left out".to_owned())
}

/// Names of settings.
fn keys_of<'a>(schema: &'a Value, keys: &mut BTreeSet<&'a str>) {
    match schema {
        Value::Object(entries) => {
            if let Some(properties) = entries.get("properties").and_then(Value::as_object) {
                keys.extend(properties.keys().map(String::as_str));
            }
            entries.values().for_each(|value| keys_of(value, keys));
        }
        Value::Array(values) => values.iter().for_each(|value| keys_of(value, keys)),
        _ => {}
    }
}
