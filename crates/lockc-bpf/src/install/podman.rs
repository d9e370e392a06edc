//! Podman: lockc's own drop-in (containers.conf(5):
//! `/etc/containers/containers.conf.d/*.conf`, over `containers.conf`).

use std::path::Path;

use anyhow::Result;
use toml_edit::{Array, value};

use super::{
    drop_in::{self, Form},
    drop_ins::{self, File},
    host::{Change, Host},
    plan::Plan,
    removal::Removal,
    runtimes::{NAME, Runtimes},
    state::State,
};

/// containers.conf(5): each runtime has a list of paths.
const FORM: Form = Form {
    default: (&["engine"], "runtime"),
    runtimes: &["engine", "runtimes"],
    program: |entry| entry.as_array()?.get(0)?.as_str().map(str::to_owned),
    set: |entry, program| *entry = value(Array::from_iter([program.display().to_string()])),
};

/// containers.conf(5), "FILES".
const PLACES: [(&str, &str); 2] = [
    ("/usr/share/containers/containers.conf", "/usr/share/containers/containers.conf.d"),
    ("/etc/containers/containers.conf", "/etc/containers/containers.conf.d"),
];

/// Runtimes that work without control groups, where nothing says otherwise (containers/common,
/// pkg/config: defaultConfig).
const WITHOUT_CGROUPS: [&str; 2] = ["crun", "krun"];

pub fn install(
    host: &Host,
    file: &Path,
    runtimes: &Runtimes,
    before: Option<State>,
) -> Result<Plan> {
    let there = host.read(file)?;
    let files = drop_ins::files(host, &PLACES, file)?;
    let mut state = before.unwrap_or_else(|| State::new(file, there.is_none()));
    state.default |= runtimes.default;
    let programs = runtimes.with_earlier(&mut state);
    let warnings = if state.default {
        drop_ins::default(host, &files, file, &FORM)?.into_iter().collect()
    } else {
        Vec::new()
    };
    let mut text = String::from(
        "# Written by `lockc install podman`; `lockc uninstall podman` removes it.\n[engine]\n",
    );
    if state.default {
        text.push_str(&format!("runtime = \"{NAME}\"\n"));
    }
    // The list replaces the one before it.
    let mut names = without_cgroups(&files);
    names.extend(programs.iter().map(|(name, _)| name.clone()));
    names.dedup();
    let names: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
    text.push_str(&format!(
        "runtime_supports_nocgroup = [{}]\n\n[engine.runtimes]\n",
        names.join(", ")
    ));
    for (name, program) in programs {
        text.push_str(&format!("{name} = [\"{}\"]\n", program.display()));
    }
    state.kept.clear();
    let changes = vec![Change { path: file.into(), before: there, after: Some(text), mode: 0o644 }];
    Ok(Plan { changes, state, warnings, ..Plan::default() })
}

pub fn uninstall(
    host: &Host,
    file: &Path,
    before: Option<State>,
    removal: &Removal,
) -> Result<Plan> {
    drop_in::uninstall(host, file, before, removal, &FORM)
}

/// What the other files say, the last of them first.
fn without_cgroups(files: &[File]) -> Vec<String> {
    let list = |file: &File| {
        let list = drop_ins::get(&file.document, &["engine", "runtime_supports_nocgroup"])?;
        Some(list.as_array()?.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect())
    };
    let found = files.iter().rev().find_map(list);
    found.unwrap_or_else(|| WITHOUT_CGROUPS.map(str::to_owned).to_vec())
}
