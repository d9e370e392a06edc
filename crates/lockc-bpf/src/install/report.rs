//! What `install` and `uninstall` say.

use std::path::PathBuf;

use serde::Serialize;

use super::{containers::Container, engine::Engine};

/// How many containers are listed for people.
const SHOWN: usize = 30;

/// What was, or would be, done.
#[derive(Debug, Serialize)]
pub struct Report {
    pub(super) engine: Engine,
    /// Whether anything differs from what is there.
    pub(super) changed: bool,
    /// Files, with unified diffs.
    pub(super) files: Vec<FileReport>,
    /// Who checked the result; nobody where the engine's program is not on the machine.
    pub(super) validated_by: Option<String>,
    /// What makes the engine read it.
    pub(super) restart: Option<String>,
    /// Whether that was done.
    pub(super) restarted: bool,
    /// `uninstall`: nothing was done, because of the containers in `depend`.
    pub(super) stopped: bool,
    /// `uninstall`: containers whose runtime starts the wrapper.
    pub(super) depend: Vec<Container>,
    /// `uninstall`: names of runtimes that lead to another runtime from now on.
    pub(super) kept: Vec<String>,
    /// `install`: existing containers that have another runtime.
    pub(super) others: Vec<Container>,
    /// `install`: whether lockc is the default runtime.
    pub(super) default: bool,
    pub(super) warnings: Vec<String>,
}

#[derive(Debug, Serialize)]
pub struct FileReport {
    pub path: PathBuf,
    pub diff: String,
}

impl Report {
    pub(super) fn new(engine: Engine) -> Self {
        Self {
            engine,
            changed: false,
            files: Vec::new(),
            validated_by: None,
            restart: None,
            restarted: false,
            stopped: false,
            depend: Vec::new(),
            kept: Vec::new(),
            others: Vec::new(),
            default: false,
            warnings: Vec::new(),
        }
    }

    /// Whether nothing was done, because containers depend on lockc.
    pub fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// Prints it.
    pub fn print(&self, dry_run: bool) {
        let engine = self.engine.name();
        if self.stopped {
            println!(
                "lockc: {engine}: nothing was changed: containers depend on lockc, and would not \
                 start again"
            );
            list(&self.depend);
            println!(
                "lockc: move them to another runtime first, or keep the runtime's name for them \
                 (--keep-name: they start again, unconfined), or remove it anyway (--force)"
            );
            return;
        }
        for file in &self.files {
            println!("{}", file.diff.trim_end());
        }
        for warning in &self.warnings {
            eprintln!("lockc: warning: {}", crate::out::printable(warning));
        }
        self.what_is_left();
        if !self.changed {
            println!("lockc: {engine}: nothing to change");
        } else if dry_run {
            println!("lockc: {engine}: nothing was changed: --dry-run");
        }
        if let Some(by) = &self.validated_by {
            println!("lockc: {engine}: checked by {by}");
        }
        self.who_is_not_confined();
        match &self.restart {
            Some(_) if self.restarted => println!("lockc: {engine} has loaded it"),
            Some(command) if !dry_run => {
                println!("lockc: to make {engine} load it, run: {command}")
            }
            _ => {}
        }
    }

    fn what_is_left(&self) {
        let engine = self.engine.name();
        if !self.kept.is_empty() {
            println!(
                "lockc: {engine}: the name {} leads to another runtime; its containers start, and \
                 lockc does not confine them",
                self.kept.join(", ")
            );
        } else if !self.depend.is_empty() {
            println!("lockc: {engine}: these containers do not start again");
        }
        list(&self.depend);
    }

    /// A container keeps the runtime that it was created with, whatever the default becomes.
    fn who_is_not_confined(&self) {
        let count = self.others.len();
        if count == 0 {
            return;
        }
        let engine = self.engine.name();
        if self.default {
            println!(
                "lockc: {engine}: lockc does not confine existing containers ({count}) until they \
                 are created again:"
            );
        } else {
            println!(
                "lockc: {engine}: lockc does not confine existing containers ({count}), and new \
                 ones only with {}; to move them, create them again so:",
                self.engine.choice()
            );
        }
        list(&self.others);
    }
}

fn list(containers: &[Container]) {
    for container in containers.iter().take(SHOWN) {
        println!("  {}", crate::out::printable(&container.line()));
    }
    if containers.len() > SHOWN {
        println!("  and {} more; --json lists all", containers.len() - SHOWN);
    }
}
