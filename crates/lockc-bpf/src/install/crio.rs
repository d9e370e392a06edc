//! CRI-O: lockc's own drop-in.
//!
//! Drop-ins are read in the order of their names, each later one over the earlier (CRI-O,
//! crio.conf.d(5)): 99 sorts after the drop-ins of distributions.

use std::path::Path;

use anyhow::Result;

use super::{
    drop_in::{self, Form},
    drop_ins,
    host::{Change, Host},
    plan::Plan,
    removal::Removal,
    runtimes::{NAME, Runtimes},
    state::State,
};

/// crio(8): the configuration and its drop-ins.
const PLACES: [(&str, &str); 1] = [("/etc/crio/crio.conf", "/etc/crio/crio.conf.d")];

/// crio.conf(5).
const FORM: Form = Form {
    default: (&["crio", "runtime"], "default_runtime"),
    runtimes: &["crio", "runtime", "runtimes"],
    program: |entry| drop_in::text(entry, "runtime_path"),
    set: |entry, program| entry["runtime_path"] = drop_in::value(program),
};

pub fn install(
    host: &Host,
    file: &Path,
    runtimes: &Runtimes,
    before: Option<State>,
) -> Result<Plan> {
    let there = host.read(file)?;
    let mut state = before.unwrap_or_else(|| State::new(file, there.is_none()));
    state.default |= runtimes.default;
    let warnings = if state.default {
        let files = drop_ins::files(host, &PLACES, file)?;
        drop_ins::default(host, &files, file, &FORM)?.into_iter().collect()
    } else {
        Vec::new()
    };
    let mut text =
        String::from("# Written by `lockc install crio`; `lockc uninstall crio` removes it.\n");
    if state.default {
        text.push_str(&format!("[crio.runtime]\ndefault_runtime = \"{NAME}\"\n\n"));
    }
    let programs = runtimes.with_earlier(&mut state);
    for (name, program) in programs {
        text.push_str(&format!(
            "[crio.runtime.runtimes.{name}]\nruntime_path = \"{}\"\nruntime_type = \"oci\"\n",
            program.display()
        ));
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
