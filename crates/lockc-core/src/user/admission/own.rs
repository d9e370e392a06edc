//! What stands between a container and lockc itself, whatever else a policy admits: its configuration and its programs.
//!
//! The pins need nothing here: the kernel side lets no container into a bpffs.

use std::path::{Path, PathBuf};

use super::{
    facts::Facts,
    trees::{Place, Trees},
};
use crate::user::spec::Mount;

/// lockc's own files, located.
pub(super) struct Own {
    files: Vec<(PathBuf, Place)>,
    /// Whether the kernel side denies a remount: a read-only mount stays so.
    sealed: bool,
}

impl Own {
    pub(super) fn new(trees: &Trees, facts: &dyn Facts, sealed: bool) -> Self {
        let locate = |path: PathBuf| trees.both(&path, facts).into_iter().map(move |place| (path.clone(), place));
        Self { files: facts.own_files().into_iter().flat_map(locate).collect(), sealed }
    }

    /// Which of them a bind mount of `source` lets the container change.
    pub(super) fn changed_by(&self, mount: &Mount, source: &Place) -> Option<&Path> {
        let has = |option: &str| mount.options.iter().any(|given| given == option);
        let all_read_only = self.sealed && has("rro");
        let read_only = all_read_only || self.sealed && has("ro");
        let changed = self.files.iter().find(|(_, own)| {
            if own.is_located_in(source) || source.is_within(own) {
                !read_only
            } else {
                // On a file system of its own below the source.
                own.is_within(source) && brings_submounts(mount) && !all_read_only
            }
        });
        changed.map(|(path, _)| path.as_path())
    }
}

/// Whether what is mounted below the source comes along: for the runtimes a bind mount is recursive unless it says `bind`.
pub(super) fn brings_submounts(mount: &Mount) -> bool {
    mount.options.iter().any(|option| option == "rbind") || mount.options.iter().all(|option| option != "bind")
}
