//! What a container is granted, held by descriptors: from then on neither a rename, nor a symbolic link, nor an unmount
//! changes which objects they are, and the kernel keeps their inodes, and so their tags, in memory.
//!
//! This is the part of a registration that asks file systems. One that does not answer blocks the caller.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use nix::fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, openat2};

use super::{error::RegistryError, register::NewContainer, sockets::NamedSockets};
use crate::abi::{GRANT_HOST_PROGRAMS, GRANT_MOUNT, GRANT_PROPAGATING, GRANT_ROOT, GRANT_SOCKET, GRANT_SOCKETS};

/// Device nodes of the host that runtimes bind into containers that may not create their own
/// (runtime-spec, config-linux.md, "Default Devices").
const DEFAULT_DEVICES: [&str; 6] = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"];

/// Directories with programs and libraries that the host's root executes (hier(7)).
const PROGRAMS: [&str; 9] =
    ["/usr/bin", "/usr/sbin", "/usr/lib", "/usr/lib64", "/usr/libexec", "/bin", "/sbin", "/lib", "/lib64"];

/// An object of the kernel's that is to be granted.
#[derive(Debug)]
pub struct Held {
    /// Opened with `O_PATH`.
    pub file: File,
    /// What it was opened by, for messages; with [`GRANT_SOCKETS`] what names the sockets in the
    /// directory.
    pub path: PathBuf,
    /// `GRANT_*` of [`abi`](crate::abi).
    pub grant: u32,
}

/// Opens a path without asking more of the file system than it takes to find it.
pub(super) fn open(path: &Path, grant: u32) -> Result<Held, RegistryError> {
    match OpenOptions::new().read(true).custom_flags(nix::libc::O_PATH).open(path) {
        Ok(file) => Ok(Held { file, path: path.to_owned(), grant }),
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
    Some(Held { file: file.into(), path: named.to_owned(), grant: GRANT_SOCKETS })
}

impl NewContainer {
    /// Opens all that the container is granted. `looks_at` is told each path before it is opened.
    ///
    /// # Errors
    ///
    /// Where a path cannot be opened; what is mounted below a volume is left out then.
    pub fn hold(&self, looks_at: &dyn Fn(&Path)) -> Result<Vec<Held>, RegistryError> {
        let open = |path: &Path, grant: u32| {
            looks_at(path);
            self::open(path, grant)
        };
        let table = MountTable::read()?;
        let mut held = vec![open(&self.rootfs, GRANT_ROOT)?];
        for path in table.below(&self.rootfs, looks_at) {
            held.push(open(&path, GRANT_MOUNT)?);
        }
        for source in &self.mounts {
            let hosts = if is_programs(source) { GRANT_HOST_PROGRAMS } else { 0 };
            let propagates = if self.propagating.contains(source) { GRANT_PROPAGATING } else { 0 };
            held.push(open(source, GRANT_MOUNT | propagates | hosts)?);
            // A file system that went away, or one whose mount point root may not enter (FUSE), is not granted.
            held.extend(table.below(source, looks_at).iter().filter_map(|path| open(path, GRANT_MOUNT | hosts).ok()));
        }
        for device in DEFAULT_DEVICES.map(Path::new).into_iter().filter(|path| path.exists()) {
            held.push(open(device, GRANT_MOUNT)?);
        }
        for socket in &self.sockets {
            held.push(open(socket, GRANT_SOCKET)?);
        }
        for named in &self.named_sockets {
            looks_at(named);
            held.extend(open_directory(named));
        }
        // crun since 1.28 hides directories behind an empty one of its own, which it makes for the first container.
        held.extend(open(&self.root.join(".empty-directory"), GRANT_MOUNT).ok());
        Ok(held)
    }
}

/// Whether a directory has programs of the host's in it, or is one of theirs.
fn is_programs(source: &Path) -> bool {
    PROGRAMS.iter().any(|programs| source.starts_with(programs) || Path::new(programs).starts_with(source))
}

/// The mounts of this process' namespace.
struct MountTable(Vec<PathBuf>);

impl MountTable {
    fn read() -> Result<Self, RegistryError> {
        let mounts = procfs::process::Process::myself().and_then(|own| own.mountinfo()).map_err(|error| {
            RegistryError::Io { path: "/proc/self/mountinfo".into(), source: io::Error::other(error) }
        })?;
        Ok(Self(mounts.into_iter().map(|mount| mount.mount_point).collect()))
    }

    /// Mount points below a directory, which a recursive bind mount brings along.
    fn below(&self, path: &Path, looks_at: &dyn Fn(&Path)) -> Vec<PathBuf> {
        looks_at(path);
        let Ok(path) = path.canonicalize() else {
            return Vec::new();
        };
        self.0.iter().filter(|point| point.starts_with(&path) && **point != path).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_below_are_found_by_component() {
        let table = MountTable(["/", "/tmp", "/tmp/a", "/tmpfs"].map(PathBuf::from).to_vec());
        assert_eq!(table.below(Path::new("/tmp"), &|_| {}), [PathBuf::from("/tmp/a")]);
    }

    #[test]
    fn programs_of_the_host_are_told_from_volumes() {
        for path in ["/usr", "/usr/lib/x86_64-linux-gnu", "/bin", "/"] {
            assert!(is_programs(Path::new(path)), "{path}");
        }
        for path in ["/usr/local/share", "/opt", "/home/user", "/var/lib/docker/volumes/v/_data", "/libs"] {
            assert!(!is_programs(Path::new(path)), "{path}");
        }
    }
}
