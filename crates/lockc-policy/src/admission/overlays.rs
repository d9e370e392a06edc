//! Overlays: which directories they are made of, and whether a container is granted each of them.

use std::path::{Path, PathBuf};

use crate::{admission::grants::Layer, host::mount_table::Part, spec::Mount};
use crate::{
    admission::sources::{Allowed, Refusal, Sources, unknown},
    engines::{Belongs, Query, is_infra_layer},
    host::MountedAt,
};

/// Options of overlayfs, and of any mount, that lead nowhere (mount(8);
/// Documentation/filesystems/overlayfs.rst, Linux 6.12).
const OVERLAY_OPTIONS: [&str; 22] = [
    "index",
    "metacopy",
    "nfs_export",
    "noatime",
    "nodev",
    "noexec",
    "nosuid",
    "private",
    "redirect_dir",
    "relatime",
    "ro",
    "rprivate",
    "rslave",
    "rw",
    "slave",
    "userxattr",
    "uuid",
    "verity",
    "volatile",
    "xino",
    "nodiratime",
    "context",
];

impl Sources<'_> {
    /// Why the runtime does not mount an overlay for the container, as Podman has it do for overlay
    /// volumes and images.
    pub fn overlay_refusal(
        &self,
        mount: &Mount,
        allowed: &Allowed<'_>,
        query: &Query<'_>,
    ) -> Option<Refusal> {
        let mut layers = Vec::new();
        for option in &mount.options {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            match name {
                // How the kernel reads escapes is its own affair.
                _ if option.contains(['\\', ',']) => return Some(strange(option)),
                "lowerdir" => {
                    let paths = value.split(':').filter(|layer| !layer.is_empty());
                    layers.extend(paths.map(|path| (Part::Lower, path.into())));
                }
                "upperdir" | "workdir" => layers.push((Part::Upper, value.into())),
                name if OVERLAY_OPTIONS.contains(&name) => {}
                _ => return Some(strange(option)),
            }
        }
        self.of_layers(&layers, None, allowed, query)
    }

    /// Why the container is not granted an overlay that an engine mounted for somebody.
    pub fn layers(
        &self,
        mount: &MountedAt,
        allowed: &Allowed<'_>,
        query: &Query<'_>,
    ) -> Option<Refusal> {
        self.of_layers(&mount.layers(), Some(mount), allowed, query)
    }

    /// Each directory that an overlay is made of is checked as if it were bind-mounted. The kernel
    /// side makes sure that it is made of these: where it is mounted already, `mounted`, when
    /// the container is registered; otherwise when the runtime mounts it.
    fn of_layers(
        &self,
        layers: &[(Part, PathBuf)],
        mounted: Option<&MountedAt>,
        allowed: &Allowed<'_>,
        query: &Query<'_>,
    ) -> Option<Refusal> {
        if layers.is_empty() {
            return Some((
                "is an overlay whose layers are not shown".into(),
                "use a volume of another type".into(),
            ));
        }
        let known = self.layers.borrow().len();
        // All of them, because audit mode lets refused ones pass.
        let refusals: Vec<_> = layers
            .iter()
            .map(|(part, path)| self.layer(*part, path, mounted.is_some(), allowed, query))
            .collect();
        let may_move = self.layers.borrow()[known..].iter().any(|layer| layer.may_move);
        if let Some(mount) = mounted {
            let whole = query.view.open(&mount.point).ok();
            match whole.filter(|whole| whole.mount.is_none_or(|id| id == mount.id)) {
                Some(opened) => {
                    self.layers.borrow_mut().push(Layer { opened, part: Part::Whole, may_move })
                }
                None => return Some(unknown()),
            }
        }
        layers.iter().zip(refusals).find_map(|((_, path), refusal)| {
            let (what, remedy) = refusal?;
            Some((format!("is an overlay of {}, which {what}", path.display()), remedy))
        })
    }

    fn layer(
        &self,
        part: Part,
        layer: &Path,
        is_mounted: bool,
        allowed: &Allowed<'_>,
        query: &Query<'_>,
    ) -> Option<Refusal> {
        let other = || "use a volume of another type".to_owned();
        if !layer.is_absolute() {
            return Some(("is not an absolute path".into(), other()));
        }
        let opened = match query.view.open(layer) {
            Ok(opened) => opened,
            Err(_) if is_infra_layer(layer) => return None,
            Err(error) => return Some((format!("cannot be opened: {error}"), other())),
        };
        // An overlay changes nothing below its upper directory.
        let options = if part == Part::Upper { Vec::new() } else { vec!["ro".into()] };
        let mount = Mount { options, ..query.mount.cloned().unwrap_or_default() };
        let query = &Query { mount: query.mount.map(|_| &mount), ..*query };
        // Only the engine renames what is there. In a volume a container may, and something else
        // may have been mounted on the volume's directory when the overlay was.
        let fixed = |path: &Path| {
            matches!(self.engines.belongs(path, query), Some(Belongs::Files | Belongs::Image))
        };
        let is_infra = is_infra_layer(layer);
        let may_move = !(is_infra || fixed(layer) && fixed(&opened.path));
        let place = self.trees.place_of(&opened);
        self.layers.borrow_mut().push(Layer { opened, part, may_move });
        if may_move && part == Part::Upper && !is_mounted {
            // The kernel empties the work directory before anybody could tell that it is another
            // one.
            let what = "does not belong to the engine, and mounting the overlay would change it";
            return Some((what.into(), "remove upperdir and workdir".into()));
        }
        if is_infra { None } else { self.by_itself(&place, allowed, query) }
    }
}

fn strange(option: &str) -> Refusal {
    (format!("has the option {option:?}, which lockc does not understand"), "remove it".into())
}
