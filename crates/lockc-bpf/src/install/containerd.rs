//! containerd: handlers for Kubernetes' pods, in versions 2 and 3 of its configuration, in a
//! drop-in where those add up, and in the templates of k3s and RKE2.
//!
//! Measured with containerd 1.7.24 and 2.1.9: 1.7 takes the `runtimes` that a file names for all
//! there are, so that a file that names lockc must name runc too; and an imported file's plugin
//! takes the whole plugin's place. 2.1 adds both up.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use toml_edit::{Array, DocumentMut, Item, Table, TableLike, value};

use super::host::{Change, Host, run};
use super::runtimes::{self, NAME, Runtimes};
use super::{Plan, State};

const SHIM: &str = "io.containerd.runc.v2";
const DROP_IN: &str = "lockc.toml";
const DEFAULT: &str = "default_runtime_name";
const RUNC: &str = "runc";
/// Around what is appended to a template.
const BEGIN: &str = "# lockc: begin, written by `lockc install containerd`";
const END: &str = "# lockc: end";
/// What lockc's handlers say themselves.
const OWN_KEYS: [&str; 5] =
    ["runtime_type", "pod_annotations", "container_annotations", "options", "runtime_path"];

/// The handlers' file.
pub fn install(
    host: &Host,
    file: &Path,
    runtimes: &Runtimes,
    before: Option<State>,
) -> Result<Plan> {
    let text = host.read(file)?;
    if text.as_deref().is_some_and(|text| text.contains("{{")) {
        return template(file, text, runtimes, before);
    }
    let mut state = before.unwrap_or_else(|| State::new(file, text.is_none()));
    let major = major(host);
    let mut document: DocumentMut = text
        .as_deref()
        .unwrap_or("")
        .parse()
        .with_context(|| format!("{} is not understood", file.display()))?;
    if document.is_empty() {
        document["version"] = value(if major == Some(1) { 2 } else { 3 });
    }
    let version = version(&document, file)?;
    let old = major.map_or(version == 2, |major| major < 2);
    state.default |= runtimes.default;
    let programs = runtimes.with_earlier(&mut state);
    let base = Base::of(&document, version, &state);
    let drop_in = if old || version < 3 { None } else { imported_folder(&document) };
    let (path, before, mut document) = match drop_in {
        None => (file.to_path_buf(), text, document),
        Some(folder) => {
            let path = folder.join(DROP_IN);
            let there = host.read(&path)?;
            let mut document: DocumentMut =
                there.as_deref().unwrap_or("").parse().context("the drop-in is not understood")?;
            document["version"] = value(version);
            state.drop_in = Some(path.clone());
            (path, there, document)
        }
    };
    let cri = containerd_table(&mut document, version)?;
    if state.default && cri.get(DEFAULT).and_then(Item::as_str) != Some(NAME) {
        state.default_before = cri.get(DEFAULT).and_then(Item::as_str).map(str::to_owned);
        cri.insert(DEFAULT, value(NAME));
    }
    let entries = child(cri, "runtimes")?;
    if old && state.drop_in.is_none() && entries.iter().all(|(name, _)| name.starts_with(NAME)) {
        let mut runc = Table::new();
        runc.insert("runtime_type", value(SHIM));
        entries.insert(RUNC, Item::Table(runc));
        state.added.push(RUNC.into());
    }
    for (name, program) in programs {
        match entries.get_mut(&name).map(Item::as_table_like_mut) {
            None => {
                entries.insert(&name, Item::Table(base.handler(&program)));
            }
            Some(there) => {
                let there = there.with_context(|| {
                    format!("the runtime {name} of {} is no table", path.display())
                })?;
                let options = child(there, "options")?;
                let binary = options.get("BinaryName").and_then(Item::as_str).unwrap_or("");
                if !runtimes::is_ours(&name, binary) {
                    bail!(
                        "{} has a runtime {name} that is not lockc's; rename or remove it",
                        path.display()
                    );
                }
                if Path::new(binary) != program {
                    options.insert("BinaryName", value(program.display().to_string()));
                }
            }
        }
    }
    let changes = vec![Change { path, before, after: Some(document.to_string()), mode: 0o644 }];
    Ok(Plan { changes, state, warnings: base.warnings })
}

/// The file without the handlers.
pub fn uninstall(host: &Host, file: &Path, before: Option<State>) -> Result<Plan> {
    let text = host.read(file)?;
    let state = before.unwrap_or_else(|| State::new(file, false));
    let mut changes = Vec::new();
    if let Some(path) = &state.drop_in {
        changes.push(Change {
            path: path.clone(),
            before: host.read(path)?,
            after: None,
            mode: 0o644,
        });
    }
    let plan = |changes, state| Plan { changes, state, warnings: Vec::new() };
    let Some(there) = text.clone() else { return Ok(plan(changes, state)) };
    if there.contains("{{") {
        changes.push(Change {
            path: file.into(),
            before: text,
            after: Some(without_block(&there)),
            mode: 0o644,
        });
        return Ok(plan(changes, state));
    }
    let mut document: DocumentMut =
        there.parse().with_context(|| format!("{} is not understood", file.display()))?;
    if document.is_empty() {
        return Ok(plan(changes, state));
    }
    let version = version(&document, file)?;
    let cri = containerd_table(&mut document, version)?;
    if cri
        .get(DEFAULT)
        .and_then(Item::as_str)
        .is_some_and(|name| name == NAME || name.starts_with("lockc-"))
    {
        match &state.default_before {
            Some(name) => cri.insert(DEFAULT, value(name)),
            None => cri.remove(DEFAULT),
        };
    }
    let entries = child(cri, "runtimes")?;
    let binary = |entry: &Item| Some(entry.get("options")?.get("BinaryName")?.as_str()?.to_owned());
    let mut gone: Vec<String> = entries
        .iter()
        .filter(|(name, entry)| {
            binary(entry).is_some_and(|binary| runtimes::is_ours(name, &binary))
        })
        .map(|(name, _)| name.to_owned())
        .collect();
    let others = entries.iter().filter(|(name, _)| !gone.contains(&(*name).to_owned())).count();
    if others == 1 && state.added.iter().any(|name| name == RUNC) {
        gone.push(RUNC.into());
    }
    for name in &gone {
        entries.remove(name);
    }
    let mut after = Some(document.to_string());
    if let Some(kept) = host.kept(file)?
        && same(&kept, after.as_deref())
    {
        after = Some(kept);
    } else if gone.is_empty() {
        // Nothing of ours: not even the layout changes.
        after.clone_from(&text);
    } else if state.created
        && after.as_deref().is_some_and(|text| same(text, Some(&format!("version = {version}"))))
    {
        after = None;
    }
    changes.push(Change { path: file.into(), before: text, after, mode: 0o644 });
    Ok(plan(changes, state))
}

/// The first number of the installed containerd's version.
fn major(host: &Host) -> Option<u32> {
    let text = run(host.program("containerd")?.arg("--version")).ok()?;
    text.split_whitespace().nth(2)?.trim_start_matches('v').split('.').next()?.parse().ok()
}

fn version(document: &DocumentMut, file: &Path) -> Result<i64> {
    match document.get("version").and_then(Item::as_integer) {
        Some(version @ (2 | 3)) => Ok(version),
        other => bail!(
            "{} is of version {}, lockc knows 2 and 3; `containerd config migrate` writes it anew",
            file.display(),
            other.unwrap_or(1)
        ),
    }
}

fn plugin(version: i64) -> &'static str {
    if version == 2 { "io.containerd.grpc.v1.cri" } else { "io.containerd.cri.v1.runtime" }
}

/// A table below another, made without a header of its own where it is not there.
fn child<'a>(table: &'a mut dyn TableLike, name: &str) -> Result<&'a mut dyn TableLike> {
    let mut new = Table::new();
    new.set_implicit(true);
    table
        .entry(name)
        .or_insert(Item::Table(new))
        .as_table_like_mut()
        .with_context(|| format!("`{name}` is no table"))
}

fn containerd_table(document: &mut DocumentMut, version: i64) -> Result<&mut dyn TableLike> {
    let plugins = child(document.as_table_mut(), "plugins")?;
    child(child(plugins, plugin(version))?, "containerd")
}

/// A folder whose files `imports` adds.
fn imported_folder(document: &DocumentMut) -> Option<PathBuf> {
    let imports = document.get("imports")?.as_array()?;
    let mut folders = imports
        .iter()
        .filter_map(|pattern| Path::new(pattern.as_str()?).parent().zip(pattern.as_str()));
    folders
        .find(|(folder, pattern)| folder.is_absolute() && pattern.ends_with("/*.toml"))
        .map(|(folder, _)| folder.into())
}

/// What lockc's handlers take over from the runtime that was the default.
struct Base {
    keys: Vec<(String, Item)>,
    options: Vec<(String, Item)>,
    warnings: Vec<String>,
}

impl Base {
    fn of(document: &DocumentMut, version: i64, state: &State) -> Self {
        let cri = document
            .get("plugins")
            .and_then(|plugins| plugins.get(plugin(version))?.get("containerd"));
        let default = cri.and_then(|cri| cri.get(DEFAULT)).and_then(Item::as_str).unwrap_or(RUNC);
        let default = if default.starts_with(NAME) {
            state.default_before.as_deref().unwrap_or(RUNC)
        } else {
            default
        };
        let entry = cri.and_then(|cri| cri.get("runtimes")?.get(default));
        let mut base = Self { keys: Vec::new(), options: Vec::new(), warnings: Vec::new() };
        let Some(entry) = entry.and_then(Item::as_table_like) else { return base };
        if entry.get("runtime_type").and_then(Item::as_str).is_some_and(|kind| kind != SHIM) {
            base.warnings.push(format!(
                "the default runtime {default} is not runc's: nothing is taken over from it"
            ));
            return base;
        }
        let says = |(_, item): &(&str, &Item)| says_something(item);
        let owned = |(key, item): (&str, &Item)| (key.to_owned(), bare(item));
        base.keys = entry
            .iter()
            .filter(|(key, _)| !OWN_KEYS.contains(key))
            .filter(says)
            .map(owned)
            .collect();
        if let Some(options) = entry.get("options").and_then(Item::as_table_like) {
            if let Some(binary) =
                options.get("BinaryName").and_then(Item::as_str).filter(|binary| !binary.is_empty())
            {
                base.warnings.push(format!(
                    "the runtime {default} starts {binary}; lockc starts the first of its \
                     `runtimes` (/etc/lockc/lockc.toml)"
                ));
            }
            base.options = options
                .iter()
                .filter(|(key, _)| *key != "BinaryName")
                .filter(says)
                .map(owned)
                .collect();
        }
        base
    }

    /// A handler.
    fn handler(&self, program: &Path) -> Table {
        let mut table = Table::new();
        table.insert("runtime_type", value(SHIM));
        for key in ["pod_annotations", "container_annotations"] {
            table.insert(key, value(Array::from_iter(["org.lockc.*"])));
        }
        for (key, item) in &self.keys {
            table.insert(key, item.clone());
        }
        let mut options = Table::new();
        options.insert("BinaryName", value(program.display().to_string()));
        for (key, item) in &self.options {
            options.insert(key, item.clone());
        }
        table.insert("options", Item::Table(options));
        table
    }
}

/// Not what containerd takes for it anyway.
fn says_something(item: &Item) -> bool {
    match item.as_value() {
        Some(toml_edit::Value::String(text)) => !text.value().is_empty(),
        Some(toml_edit::Value::Integer(number)) => *number.value() != 0,
        Some(toml_edit::Value::Boolean(yes)) => *yes.value(),
        Some(toml_edit::Value::Array(list)) => !list.is_empty(),
        other => other.is_some(),
    }
}

/// A value without the comments and spaces around it.
fn bare(item: &Item) -> Item {
    let mut item = item.clone();
    if let Some(value) = item.as_value_mut() {
        value.decor_mut().clear();
    }
    item
}

/// Whether two texts say the same. A file that says nothing got a version with lockc.
fn same(kept: &str, other: Option<&str>) -> bool {
    let value = |text: &str| toml::from_str::<toml::Table>(text).ok().map(without_empty);
    let (Some(kept), Some(mut other)) = (value(kept), other.and_then(value)) else { return false };
    if kept.is_empty() {
        other.remove("version");
    }
    kept == other
}

/// Tables that hold nothing say nothing.
fn without_empty(table: toml::Table) -> toml::Table {
    let mut kept = toml::Table::new();
    for (key, value) in table {
        match value {
            toml::Value::Table(inner) => {
                let inner = without_empty(inner);
                if !inner.is_empty() {
                    kept.insert(key, toml::Value::Table(inner));
                }
            }
            value => {
                kept.insert(key, value);
            }
        }
    }
    kept
}

/// That containerd understood every runtime of `text`, and that its default is one that it has.
pub fn check_dump(dump: &str, text: &str) -> Result<String> {
    let (dump, text): (DocumentMut, DocumentMut) = (
        dump.parse().context("`containerd config dump` writes no TOML")?,
        text.parse().context("the new configuration is no TOML")?,
    );
    let cri = |document: &DocumentMut| {
        let plugins = document.get("plugins")?;
        [2, 3].iter().find_map(|version| plugins.get(plugin(*version))?.get("containerd").cloned())
    };
    let names = |cri: &Option<Item>| -> Vec<String> {
        let runtimes =
            cri.as_ref().and_then(|cri| cri.get("runtimes")).and_then(Item::as_table_like);
        runtimes
            .map(|runtimes| runtimes.iter().map(|(name, _)| name.to_owned()).collect())
            .unwrap_or_default()
    };
    let (dumped, wanted) = (cri(&dump), cri(&text));
    let known = names(&dumped);
    if let Some(name) = names(&wanted).iter().find(|name| !known.contains(name)) {
        bail!("containerd does not know the runtime {name}");
    }
    let default =
        dumped.as_ref().and_then(|cri| cri.get(DEFAULT)).and_then(Item::as_str).unwrap_or(RUNC);
    if !known.iter().any(|name| name == default) {
        bail!("containerd would be left without its default runtime {default}");
    }
    Ok("containerd".into())
}

/// k3s' and RKE2's templates are filled in when they start: a block at the end, between two lines
/// that say whose it is.
fn template(
    file: &Path,
    text: Option<String>,
    runtimes: &Runtimes,
    before: Option<State>,
) -> Result<Plan> {
    let there = text.clone().unwrap_or_default();
    let mut state = before.unwrap_or_else(|| State::new(file, false));
    if runtimes.default {
        bail!(
            "a template has the default runtime from the distribution: start k3s or RKE2 with \
             --default-runtime {NAME}"
        );
    }
    let programs = runtimes.with_earlier(&mut state);
    // config-v3.toml.tmpl is for containerd 2, config.toml.tmpl for 1 (k3s, docs: advanced,
    // configuring containerd).
    let version = if file.to_string_lossy().contains("v3") { 3 } else { 2 };
    let mut block = DocumentMut::new();
    let cri = containerd_table(&mut block, version)?;
    let entries = child(cri, "runtimes")?;
    let base = Base { keys: Vec::new(), options: template_options(&there), warnings: Vec::new() };
    for (name, program) in programs {
        entries.insert(&name, Item::Table(base.handler(&program)));
    }
    let rest = without_block(&there);
    if rest.contains(&format!(".runtimes.{NAME}]"))
        || rest.contains(&format!(".runtimes.\"{NAME}\"]"))
    {
        bail!("{} has a runtime {NAME} already; remove it", file.display());
    }
    let after =
        format!("{}\n\n{BEGIN}\n{}{END}\n", rest.trim_end(), block.to_string().trim_start());
    let warnings = vec!["lockc's handlers take effect when k3s or RKE2 restarts".to_owned()];
    Ok(Plan {
        changes: vec![Change { path: file.into(), before: text, after: Some(after), mode: 0o644 }],
        state,
        warnings,
    })
}

/// Both distributions' own template says so for runc on every host with systemd; a template that
/// says otherwise is followed.
fn template_options(text: &str) -> Vec<(String, Item)> {
    let said = |line: &str| {
        line.split('#')
            .next()
            .is_some_and(|line| line.replace(' ', "").contains("SystemdCgroup=false"))
    };
    let systemd = !text.lines().any(said);
    vec![("SystemdCgroup".to_owned(), value(systemd))]
}

fn without_block(text: &str) -> String {
    let Some((start, rest)) = text.split_once(BEGIN) else { return text.to_owned() };
    let rest = rest.split_once(END).map_or("", |(_, rest)| rest);
    format!("{}\n{}", start.trim_end(), rest.trim_start_matches('\n'))
}
