//! The templates of k3s and RKE2.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use toml_edit::{DocumentMut, Item, value};

use super::{
    super::{
        host::{Change, Host},
        plan::Plan,
        removal::Removal,
        runtimes::{NAME, Runtimes},
        state::State,
    },
    document::{child, containerd_table},
    handler::Base,
    place::Place,
    without::without,
};

/// Around what is appended to a template.
const BEGIN: &str = "# lockc: begin, written by `lockc install containerd`";
const END: &str = "# lockc: end";

/// What a template of k3s begins with that only adds to the distribution's own configuration. A
/// template without it takes the whole configuration's place (k3s, docs: advanced, configuring
/// containerd).
const WHOLE: &str = "{{ template \"base\" . }}\n";

pub const DEFAULT_ELSEWHERE: &str = "the distribution sets the default runtime; start k3s or RKE2 \
                                     with --default-runtime lockc";

/// k3s' and RKE2's templates are filled in when they start: a block at the end, between two lines
/// that say whose it is.
pub fn install(
    host: &Host,
    place: &Place,
    text: Option<String>,
    runtimes: &Runtimes,
    before: Option<State>,
) -> Result<Plan> {
    let file = &place.file;
    let there = match text.as_deref() {
        Some(there) if !says_nothing(there) => there.to_owned(),
        // Nothing more would be left of the configuration.
        there => format!("{WHOLE}{}", there.unwrap_or("")),
    };
    let mut state = before.unwrap_or_else(|| State::new(file, text.is_none()));
    state.unit = place.writer.map(|writer| writer.unit(host).to_owned());
    if runtimes.default {
        bail!(DEFAULT_ELSEWHERE);
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
    let file = file.clone();
    state.kept.clear();
    Ok(Plan {
        changes: vec![Change { path: file, before: text, after: Some(after), mode: 0o644 }],
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

/// Whether a text has no line but comments: as a template it would leave containerd without any
/// configuration.
fn says_nothing(text: &str) -> bool {
    without_block(text).lines().map(str::trim).all(|line| line.is_empty() || line.starts_with('#'))
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
    let kept = without(&mut block, removal, plan);
    if kept.is_empty() && plan.state.created && without_block(text).trim() == WHOLE.trim() {
        return Ok((None, kept));
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
