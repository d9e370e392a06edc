//! What the source of a mount is: by the file system that it is on, and by every name that the host
//! has for it.
//!
//! A path says little. A directory in an engine's place may be a mount of something else, and
//! something may be mounted below it. So a source is looked up in the mount table by the mount that
//! it was opened on: an object that the host itself sees somewhere is checked by the names it has
//! there; what is seen in engines' directories alone is checked by whose they are and by its file
//! system.

use std::{cell::RefCell, path::Path};

use crate::{admission::grants::Layer, config::CONFIG_PATH, policy::Strength};
use crate::{
    admission::{
        devices::Named,
        file_systems::{self, VOLUMES},
        protected_paths::{Names, Overlap, ProtectedPaths, ResolvedPath},
    },
    engines::{Belongs, Engines, Query, assumed_root},
    host::{Kind, MountedAt},
};

/// Where a container has files that belong to its namespaces.
const SHARED: [&str; 4] = ["/dev/shm", "/etc/hostname", "/etc/hosts", "/etc/resolv.conf"];

/// What is wrong, and what would change it.
pub(super) type Refusal = (String, String);

/// What directories of the host a container may have, beyond the engine's own.
pub(super) struct Allowed<'a> {
    pub strength: Strength,
    /// Of the configuration and the policy, as they are written.
    pub paths: Vec<&'a Path>,
    /// Whether they are lockc's own defaults, which leave out home directories as wholes.
    pub are_defaults: bool,
}

/// Checks sources of one container.
pub(super) struct Sources<'a> {
    pub engines: &'a Engines,
    pub trees: &'a ProtectedPaths,
    /// Devices that the policy names.
    pub devices: Named,
    /// What the overlays that were checked are made of.
    pub layers: RefCell<Vec<Layer>>,
}

impl Sources<'_> {
    /// Why the container is not granted what is at `place` with all that is mounted below.
    pub fn refusal(
        &self,
        place: &ResolvedPath,
        allowed: &Allowed<'_>,
        query: &Query<'_>,
    ) -> Option<Refusal> {
        // Whoever names a directory exactly knows what is mounted in it.
        if self.explicitly_allowed(place, allowed, query) {
            return None;
        }
        if let Some(refusal) = self.by_itself(place, allowed, query) {
            return Some(refusal);
        }
        self.trees.below(place).find_map(|below| {
            let (what, _) = self.by_itself(&below, allowed, query)?;
            let what = format!("contains {}, another mount, which {what}", below.path().display());
            Some((what, "mount a directory that does not contain it".into()))
        })
    }

    /// The names of what is at `place`, without those that say nothing where there are others.
    fn names(&self, place: &ResolvedPath) -> Names {
        let mut names = self.trees.names(place);
        let decides = |name: &ResolvedPath| !self.engines.is_second_name(name.path());
        if !names.engines.is_empty() || names.host.iter().any(decides) {
            names.host.retain(decides);
        }
        names
    }

    pub fn by_itself(
        &self,
        place: &ResolvedPath,
        allowed: &Allowed<'_>,
        query: &Query<'_>,
    ) -> Option<Refusal> {
        let Some(mount) = self.trees.mount(place) else { return Some(unknown()) };
        let names = self.names(place);
        let belongs = |name: &ResolvedPath| self.belongs(name, query);
        let is_own =
            |belongs: Option<Belongs>| belongs.is_some_and(|belongs| belongs != Belongs::Transient);
        if names.host.iter().any(|name| is_own(belongs(name))) {
            return None;
        }
        if !names.host.is_empty() {
            // kubelet mounts directories of the host for volumes that the cluster's administrator
            // made; by their other names they are hostPath volumes of the pod's owner.
            let is_drivers = |name: &ResolvedPath| {
                self.engines.is_drivers_volume(name.path())
                    && belongs(name) == Some(Belongs::PodVolume)
            };
            let from_kubelet = belongs(place) == Some(Belongs::PodVolume)
                && names.engines.iter().any(is_drivers)
                && !file_systems::is_of_the_host(&mount.kind);
            return names.host.iter().find_map(|name| {
                let (what, remedy) = match self.trees.overlap(name).filter(|_| from_kubelet) {
                    Some(overlap) => (describe(&overlap), "use another volume".into()),
                    None if from_kubelet => return None,
                    None => self.of_the_host(name, allowed, query)?,
                };
                let what = match name.path() == place.path() {
                    true => what,
                    false => format!("leads to {}, which {what}", name.path().display()),
                };
                Some((what, remedy))
            });
        }
        let own: Vec<&Path> = names
            .engines
            .iter()
            .filter(|name| is_own(belongs(name)))
            .map(ResolvedPath::path)
            .collect();
        let shared = |name: &ResolvedPath| {
            mount.kind != "tmpfs" && self.engines.shares_volume(name.path(), &own)
        };
        if let Some(foreign) =
            names.engines.iter().find(|name| belongs(name).is_none() && !shared(name))
            && !own.is_empty()
        {
            let what = format!(
                "is also {}, which does not belong to this container",
                foreign.path().display()
            );
            return Some((what, "use a separate volume".into()));
        }
        let Some(first) = own.first() else { return self.of_the_host(place, allowed, query) };
        // Where the mount is further up, it is a disk of the engine's own.
        self.engines.belongs(&mount.point, query)?;
        self.file_system(mount, self.engines.belongs(first, query)?, allowed, query)
    }

    /// What something in an engine's directory is to the container. What belongs to a namespace
    /// that it joins is its own if the task that the namespace is taken from has it mounted too,
    /// where containers have it: a task of the host's would have every container's somewhere.
    fn belongs(&self, name: &ResolvedPath, query: &Query<'_>) -> Option<Belongs> {
        let belongs = self.engines.belongs(name.path(), query)?;
        let has = |task: &str| {
            let table = query
                .view
                .read(&Path::new("/proc").join(task).join("mountinfo"))
                .unwrap_or_default();
            let mounts = table.split(|byte| *byte == b'\n').filter_map(MountedAt::parse);
            mounts
                .filter(|mount| SHARED.iter().any(|place| mount.point == Path::new(place)))
                .any(|mount| name.is_beside(&mount))
        };
        (belongs != Belongs::Shared || query.joined_tasks(name.path()).any(has)).then_some(belongs)
    }

    /// Why the container is not granted a file system that is mounted nowhere but in an engine's
    /// directory.
    fn file_system(
        &self,
        mount: &MountedAt,
        belongs: Belongs,
        allowed: &Allowed<'_>,
        query: &Query<'_>,
    ) -> Option<Refusal> {
        let kind = mount.kind.as_str();
        let is_device = || self.devices.is(query.view.kind(&mount.source).unwrap_or(Kind::File));
        match belongs {
            _ if file_systems::is_of_the_host(kind) => {}
            Belongs::PodVolume | Belongs::Image | Belongs::Step => return None,
            _ if VOLUMES.contains(&kind) => return None,
            _ if kind == "overlay" => return self.layers(mount, allowed, query),
            _ if mount.source.starts_with("/dev") && is_device() => return None,
            _ if mount.source.starts_with("/dev") => {
                let what = format!(
                    "is a file system of type {kind} on {}, a device of the host",
                    mount.source.display()
                );
                return Some((
                    what,
                    format!("add the device to a policy's devices in {CONFIG_PATH}"),
                ));
            }
            _ => {}
        }
        let what =
            format!("is a file system of type {kind}, and lockc cannot tell whose files it shows");
        Some((
            what,
            format!(
                "use a volume on the engine's own disk, or of a type among {}",
                VOLUMES.join(", ")
            ),
        ))
    }

    /// Why the container is not granted a directory or file of the host.
    pub fn of_the_host(
        &self,
        place: &ResolvedPath,
        allowed: &Allowed<'_>,
        query: &Query<'_>,
    ) -> Option<Refusal> {
        if self.explicitly_allowed(place, allowed, query) {
            return None;
        }
        if let Some(overlap) = self.trees.overlap(place) {
            let remedy = match overlap {
                // Never the advice to allow everything.
                Overlap::Contains(ref tree) if tree == Path::new("/") => {
                    "mount the directories that the container needs".into()
                }
                Overlap::Contains(_) => "mount a directory that does not contain it".into(),
                Overlap::Inside(_) if self.trees.is_engines(place.path()) => {
                    "use a separate volume".into()
                }
                Overlap::Inside(_) if !self.trees.is_named(place.path()) => {
                    "mount another directory".into()
                }
                // What the configuration allows is for baseline.
                Overlap::Inside(_) if allowed.strength == Strength::Restricted => {
                    "use a named volume".into()
                }
                Overlap::Inside(_) => {
                    format!("add {} to allowed_mounts in {CONFIG_PATH}", place.path().display())
                }
            };
            return Some((describe(&overlap), remedy));
        }
        if let Some(mount) =
            self.trees.mount(place).filter(|mount| file_systems::is_of_the_host(&mount.kind))
        {
            return Some((
                format!("is a file system of type {}", mount.kind),
                "mount a directory that does not contain it".into(),
            ));
        }
        if self.is_allowed(place, allowed, query) {
            return match is_home(place.path()) {
                true if allowed.are_defaults => Some((
                    "is a home directory, or a hidden file in one, and may contain login \
                     credentials (.ssh)"
                        .into(),
                    format!(
                        "mount a directory below it, or add exactly this path to allowed_mounts in \
                         {CONFIG_PATH}"
                    ),
                )),
                _ => None,
            };
        }
        if let Some(root) = assumed_root(place.path(), query.request.id) {
            return Some((
                "looks like a file of an engine whose data directory lockc does not know".into(),
                format!(
                    "if {} is an engine's data directory, add it to engine_dirs in {CONFIG_PATH}",
                    root.display()
                ),
            ));
        }
        if allowed.strength == Strength::Restricted {
            return Some((
                "is neither a volume nor a file of the engine".into(),
                "use a named volume".into(),
            ));
        }
        let listed: Vec<_> = allowed.paths.iter().map(|path| path.display().to_string()).collect();
        let listed = if listed.is_empty() { "none".into() } else { listed.join(", ") };
        Some((
            format!("is in none of the allowed directories ({listed})"),
            format!("use a named volume, or add it to allowed_mounts in {CONFIG_PATH}"),
        ))
    }

    fn is_allowed(&self, place: &ResolvedPath, allowed: &Allowed<'_>, query: &Query<'_>) -> bool {
        let paths = allowed.paths.iter().flat_map(|allowed| self.trees.both(allowed, query.view));
        paths.into_iter().any(|allowed| place.is_within(&allowed))
    }

    /// The administrator named exactly this path, or a directory around it that is itself in a
    /// forbidden tree, and the path says which. What is compared is the path as the administrator
    /// wrote it: where a link leads, or what is mounted there, may be somebody else's choice.
    fn explicitly_allowed(
        &self,
        place: &ResolvedPath,
        allowed: &Allowed<'_>,
        query: &Query<'_>,
    ) -> bool {
        allowed.paths.iter().any(|&written| {
            let inside =
                matches!(self.trees.overlap(&self.trees.place(written)), Some(Overlap::Inside(_)));
            let around = || self.trees.both(written, query.view);
            self.trees.is_named(written)
                && (written == place.path()
                    || inside
                        && around().iter().any(|allowed| place.path().starts_with(allowed.path())))
        })
    }

    /// Why a directory is not the root file system of this container. `bundle` is canonical.
    pub fn root_refusal(
        &self,
        place: &ResolvedPath,
        bundle: &Path,
        allowed: &Allowed<'_>,
        query: &Query<'_>,
    ) -> Option<Refusal> {
        let Some(mount) = self.trees.mount(place) else { return Some(unknown()) };
        let in_bundle =
            |name: &ResolvedPath| name.path() != bundle && name.path().starts_with(bundle);
        let engines_bundle = self.trees.is_engines(bundle);
        let is_own = |name: &ResolvedPath| {
            engines_bundle && in_bundle(name) || self.engines.is_rootfs(name.path(), query)
        };
        let names = self.names(place);
        // A file system that an engine mounted for this container.
        let is_whole = place.is_whole() && names.engines.iter().any(is_own);
        let refused = names.host.iter().find_map(|name| {
            if is_own(name) {
                return None;
            }
            if let Some(overlap) = self.trees.overlap(name) {
                return Some((describe(&overlap), "use a separate directory".to_owned()));
            }
            // Who calls a runtime without an engine is the host's root and wrote the bundle.
            let is_callers = query.request.engine.is_none() || !engines_bundle && in_bundle(name);
            let refusal = || self.of_the_host(name, allowed, query);
            // No volume is a root file system.
            let (what, _) = (!is_whole && !is_callers).then(refusal).flatten()?;
            Some((what, format!("use a directory in one of allowed_mounts in {CONFIG_PATH}")))
        });
        if names.host.iter().any(is_own) {
            return None;
        }
        if refused.is_some() || !names.host.is_empty() {
            return refused;
        }
        if let Some(foreign) = names.engines.iter().find(|name| !is_own(name)) {
            let what =
                format!("is {}, which does not belong to this container", foreign.path().display());
            return Some((what, "use a separate directory".into()));
        }
        if file_systems::is_of_the_host(&mount.kind) {
            return Some((
                format!("is a file system of type {}", mount.kind),
                "use a separate directory".into(),
            ));
        }
        // Podman's overlay of a directory that somebody chose (`--rootfs DIR:O`).
        if mount.kind == "overlay" && place.path().ends_with("rootfs/merge") {
            return self.layers(mount, allowed, query);
        }
        None
    }
}

pub(super) fn unknown() -> Refusal {
    (
        "is on a mount that is not in the host's mount table".into(),
        "mount it by a path that the host sees".into(),
    )
}

/// Whether a path is a home directory, all of them, or something hidden in one.
fn is_home(path: &Path) -> bool {
    let Ok(rest) = path.strip_prefix("/home") else { return false };
    let mut parts = rest.components().skip(1);
    parts.next().is_none_or(|entry| entry.as_os_str().as_encoded_bytes().starts_with(b"."))
}

pub(super) fn describe(overlap: &Overlap) -> String {
    match overlap {
        Overlap::Inside(tree) => format!("is in {}, which belongs to the host", tree.display()),
        Overlap::Contains(tree) if tree == Path::new("/") => "is the host's root directory".into(),
        Overlap::Contains(tree) => {
            format!("contains {}, which belongs to the host", tree.display())
        }
    }
}
