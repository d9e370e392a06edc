//! What a container is granted, held by descriptors: from then on neither a rename, nor a symbolic
//! link, nor an unmount changes which objects they are, and the kernel keeps their inodes, and so
//! their tags, in memory.
//!
//! This is the part of a registration that asks file systems. One that does not answer blocks the
//! caller.

use std::{
    fs::{File, OpenOptions},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use nix::fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, openat2};

use super::{admission::Opened, error::RegistryError, sockets::NamedSockets};
use crate::abi::{
    GRANT_HOST_PROGRAMS, GRANT_IF_TOLD, GRANT_LOWER, GRANT_MOUNT, GRANT_OVERLAY, GRANT_PROPAGATING,
    GRANT_ROOT, GRANT_SOCKET, GRANT_SOCKETS, GRANT_UPPER,
};

/// Device nodes of the host that runtimes bind into containers that may not create their own
/// (runtime-spec, config-linux.md, "Default Devices").
const DEFAULT_DEVICES: [&str; 6] =
    ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"];

/// Directories with programs and libraries that the host's root executes (hier(7)).
const PROGRAMS: [&str; 9] = [
    "/usr/bin",
    "/usr/sbin",
    "/usr/lib",
    "/usr/lib64",
    "/usr/libexec",
    "/bin",
    "/sbin",
    "/lib",
    "/lib64",
];

/// An object of the host's, and what is mounted below it, which a recursive bind mount brings
/// along.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    /// The object.
    pub top: Opened,
    /// The roots of what is mounted below.
    pub below: Vec<Opened>,
    /// Whether the host may mount more into it while the container runs (`rslave`, `rshared` and
    /// their like).
    pub propagates: bool,
}

/// What an overlay of the container's has to do with a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// It is shown, and not changed.
    Lower,
    /// It is changed: an upper or a work directory.
    Upper,
    /// It is the overlay itself, which an engine mounted, and is made of the others alone.
    Whole,
}

/// A directory that an overlay is made of, or an overlay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// The directory.
    pub opened: Opened,
    /// What it is.
    pub part: Part,
    /// Whether its path may lead elsewhere when somebody mounts the overlay, or did so when it was
    /// mounted: then the kernel side has to tell.
    pub may_move: bool,
}

impl Layer {
    const fn grant(&self) -> u32 {
        let of_part = match self.part {
            Part::Lower => GRANT_LOWER,
            Part::Upper => GRANT_UPPER,
            Part::Whole => GRANT_OVERLAY,
        };
        if self.may_move { of_part | GRANT_IF_TOLD } else { of_part }
    }
}

/// An object of the kernel's that is to be granted.
#[derive(Debug)]
pub struct Held {
    /// Opened with `O_PATH`.
    pub file: Arc<File>,
    /// What it was opened by, for messages; with [`GRANT_SOCKETS`] what names the sockets in the
    /// directory.
    pub path: PathBuf,
    /// `GRANT_*` of [`abi`](crate::abi).
    pub grant: u32,
}

/// Opens a path without asking more of the file system than it takes to find it.
pub(super) fn open(path: &Path, grant: u32) -> Result<Held, RegistryError> {
    match OpenOptions::new().read(true).custom_flags(nix::libc::O_PATH).open(path) {
        Ok(file) => Ok(Held { file: Arc::new(file), path: path.to_owned(), grant }),
        Err(source) => Err(RegistryError::Identity { path: path.to_owned(), source }),
    }
}

/// Opens the directory of what `allowed_sockets` names, without following a link; nothing where
/// there is no such directory: its server may not be installed.
fn open_directory(named: &Path) -> Option<Held> {
    let directory = NamedSockets::new(named).ok()?.directory;
    let how = OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_NO_SYMLINKS);
    let file = openat2(AT_FDCWD, &directory, how).ok()?;
    Some(Held { file: Arc::new(file.into()), path: named.to_owned(), grant: GRANT_SOCKETS })
}

/// What a container is granted of the host's file systems, as admission opened it.
#[derive(Clone, Debug, Default)]
pub struct GrantedFiles {
    /// Its root file system.
    pub rootfs: Tree,
    /// Sources of its bind mounts.
    pub mounts: Vec<Tree>,
    /// Unix sockets of the host that it may connect to.
    pub sockets: Vec<Opened>,
    /// What `allowed_sockets` names in directories that it is granted.
    pub named_sockets: Vec<PathBuf>,
    /// What its overlays are made of; an overlay itself comes after its layers.
    pub layers: Vec<Layer>,
}

impl GrantedFiles {
    /// All that the container is granted, by descriptors; what the runtime uses beside it is opened
    /// here. `looks_at` is told each path before it is opened.
    ///
    /// # Errors
    ///
    /// Where a path cannot be opened.
    pub fn hold(self, root: &Path, looks_at: &dyn Fn(&Path)) -> Result<Vec<Held>, RegistryError> {
        let open = |path: &Path, grant: u32| {
            looks_at(path);
            self::open(path, grant)
        };
        let mut held = Vec::new();
        let mut add = |opened: Opened, grant: u32| {
            match opened.file {
                Some(file) => held.push(Held { file, path: opened.path, grant }),
                // Nobody opened it: a bundle that was checked by paths alone.
                None => held.push(self::open(&opened.path, grant)?),
            }
            Ok(())
        };
        add(self.rootfs.top, GRANT_ROOT)?;
        for below in self.rootfs.below {
            add(below, GRANT_MOUNT)?;
        }
        for mount in self.mounts {
            let hosts = if is_programs(&mount.top.path) { GRANT_HOST_PROGRAMS } else { 0 };
            let propagates = if mount.propagates { GRANT_PROPAGATING } else { 0 };
            add(mount.top, GRANT_MOUNT | propagates | hosts)?;
            for below in mount.below {
                add(below, GRANT_MOUNT | hosts)?;
            }
        }
        for layer in self.layers {
            let grant = layer.grant();
            add(layer.opened, grant)?;
        }
        for socket in self.sockets {
            add(socket, GRANT_SOCKET)?;
        }
        for device in DEFAULT_DEVICES.map(Path::new).into_iter().filter(|path| path.exists()) {
            held.push(open(device, GRANT_MOUNT)?);
        }
        for named in &self.named_sockets {
            looks_at(named);
            held.extend(open_directory(named));
        }
        // crun since 1.28 hides directories behind an empty one of its own, which it makes for the
        // first container.
        held.extend(open(&root.join(".empty-directory"), GRANT_MOUNT).ok());
        Ok(held)
    }
}

/// Whether a directory has programs of the host's in it, or is one of theirs.
fn is_programs(source: &Path) -> bool {
    PROGRAMS
        .iter()
        .any(|programs| source.starts_with(programs) || Path::new(programs).starts_with(source))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_of_the_host_are_told_from_volumes() {
        for path in ["/usr", "/usr/lib/x86_64-linux-gnu", "/bin", "/"] {
            assert!(is_programs(Path::new(path)), "{path}");
        }
        for path in
            ["/usr/local/share", "/opt", "/home/user", "/var/lib/docker/volumes/v/_data", "/libs"]
        {
            assert!(!is_programs(Path::new(path)), "{path}");
        }
    }
}
