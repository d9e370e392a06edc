//! buildkitd as a daemon of its own, with its OCI worker (buildkit 0.19, worker/runc/runc.go).

use std::path::{Path, PathBuf};

use super::{
    belongs::Belongs,
    layout::{Layout, Starter, below},
    query::Query,
};
use crate::{engine::Engine, spec::Spec};

const DIRS: [&str; 1] = ["/var/lib/buildkit"];

pub(super) struct BuildKit;

impl Layout for BuildKit {
    fn name(&self) -> &'static str {
        "buildkit"
    }

    fn engines(&self) -> &'static [Engine] {
        &[Engine::BuildKit]
    }

    fn usual_dirs(&self) -> &'static [&'static str] {
        &DIRS
    }

    /// `runc-SNAPSHOTTER/executor/ID`.
    fn starter(&self, dirs: &[PathBuf], bundle: &Path, _spec: &Spec) -> Option<Starter> {
        let is_step = |dir: &PathBuf| {
            matches!(
                below(bundle, dir).as_deref(),
                Some([worker, "executor", _]) if worker.starts_with("runc-")
            )
        };
        dirs.iter().any(is_step).then(|| Engine::BuildKit.into())
    }

    fn belongs(&self, _dir: &Path, rest: &[&str], query: &Query<'_>) -> Option<Belongs> {
        match rest {
            [_, "executor", "resolv.conf" | "hosts"] => Some(Belongs::Files),
            [_, "executor", owner, ..] => (*owner == query.id()).then_some(Belongs::Files),
            [_, "snapshots", "snapshots", _, "fs", ..] => Some(Belongs::Step),
            _ => None,
        }
    }

    fn is_rootfs(&self, _dir: &Path, rest: &[&str], query: &Query<'_>) -> bool {
        matches!(rest, [_, "executor", owner, "rootfs"] if *owner == query.id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_known_by_its_bundle() {
        let dirs = DIRS.map(PathBuf::from);
        let of = |bundle: &str| BuildKit.starter(&dirs, Path::new(bundle), &Spec::default());
        let step = of("/var/lib/buildkit/runc-overlayfs/executor/s1");
        assert_eq!(step, Some(Engine::BuildKit.into()));
        for other in ["/var/lib/buildkit/executor/s1", "/srv/runc-overlayfs/executor/s1"] {
            assert_eq!(of(other), None, "{other}");
        }
    }
}
