//! The templates of k3s and RKE2.

use std::path::Path;

use anyhow::{Result, bail};
use toml_edit::{DocumentMut, Item, value};

use super::{
    super::{
        host::Change,
        plan::Plan,
        runtimes::{NAME, Runtimes},
        state::State,
    },
    document::{child, containerd_table},
    handler::Base,
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

/// A template without lockc's block.
pub fn without_block(text: &str) -> String {
    let Some((start, rest)) = text.split_once(BEGIN) else { return text.to_owned() };
    let rest = rest.split_once(END).map_or("", |(_, rest)| rest);
    format!("{}\n{}", start.trim_end(), rest.trim_start_matches('\n'))
}
