//! The templates of k3s and RKE2.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use toml_edit::{DocumentMut, Item, value};

use super::{
    super::{
        host::Change,
        plan::Plan,
        removal::Removal,
        runtimes::{NAME, Runtimes},
        state::State,
    },
    document::{child, containerd_table, plugin},
    handler::Base,
    without::without,
};

/// Around what is appended to a template.
const BEGIN: &str = "# lockc: begin, written by `lockc install containerd`";
const END: &str = "# lockc: end";

/// k3s' and RKE2's templates are filled in when they start: a block at the end, between two lines
/// that say whose it is.
pub fn install(
    file: &Path,
    text: Option<String>,
    runtimes: &Runtimes,
    before: Option<State>,
) -> Result<Plan> {
    let there = text.clone().unwrap_or_default();
    let mut state = before.unwrap_or_else(|| State::new(file, false));
    if runtimes.default {
        bail!(
            "the distribution sets the default runtime of a template; start k3s or RKE2 with \
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
    state.kept.clear();
    Ok(Plan {
        changes: vec![Change { path: file.into(), before: text, after: Some(after), mode: 0o644 }],
        state,
        warnings,
        ..Plan::default()
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

/// Whether a file is one that a distribution fills in.
pub fn is_template(file: &Path, text: &str) -> bool {
    file.extension().is_some_and(|end| end == "tmpl") || text.contains("{{")
}

/// A template without lockc's block, or with the names alone in it, which are returned too.
pub fn uninstall(
    text: &str,
    removal: &Removal,
    plan: &mut Plan,
) -> Result<(Option<String>, Vec<String>)> {
    let Some((start, block, rest)) = parts(text) else {
        return Ok((Some(text.to_owned()), Vec::new()));
    };
    let mut block: DocumentMut = block.parse().context("lockc's block cannot be parsed")?;
    let mut kept = Vec::new();
    for version in [2, 3] {
        let plugins = block.get("plugins");
        if plugins.is_some_and(|plugins| plugins.get(plugin(version)).is_some()) {
            kept.extend(without(&mut block, version, removal, plan)?);
        }
    }
    let after = if kept.is_empty() {
        format!("{}\n{}", start.trim_end(), rest.trim_start_matches('\n'))
    } else {
        format!("{start}{BEGIN}\n{}{END}{rest}", block.to_string().trim_start())
    };
    Ok((Some(after), kept))
}

/// What is before lockc's block, in it, and after it.
fn parts(text: &str) -> Option<(&str, &str, &str)> {
    let (start, rest) = text.split_once(BEGIN)?;
    let (block, rest) = rest.split_once(END).unwrap_or((rest, ""));
    Some((start, block, rest))
}

/// A template without lockc's block.
fn without_block(text: &str) -> String {
    let Some((start, _, rest)) = parts(text) else { return text.to_owned() };
    format!("{}\n{}", start.trim_end(), rest.trim_start_matches('\n'))
}
