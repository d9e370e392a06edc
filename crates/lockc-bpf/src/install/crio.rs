//! CRI-O: lockc's own drop-in.
//!
//! Drop-ins are read in the order of their names, each later one over the earlier (CRI-O,
//! crio.conf.d(5)): 99 sorts after the drop-ins of distributions.

use std::path::Path;

use anyhow::Result;

use super::host::{Change, Host};
use super::runtimes::{NAME, Runtimes};
use super::{plan::Plan, state::State};

pub fn install(
    host: &Host,
    file: &Path,
    runtimes: &Runtimes,
    before: Option<State>,
) -> Result<Plan> {
    let there = host.read(file)?;
    let mut state = before.unwrap_or_else(|| State::new(file, there.is_none()));
    state.default |= runtimes.default;
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
    let changes = vec![Change { path: file.into(), before: there, after: Some(text), mode: 0o644 }];
    Ok(Plan { changes, state, warnings: Vec::new() })
}
