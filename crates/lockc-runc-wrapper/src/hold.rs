//! What a container is granted, held by descriptors: from then on neither a rename, nor a symbolic
//! link, nor an unmount changes which objects they are, and the kernel keeps their inodes, and so
//! their tags, in memory.
//!
//! This is the part of a registration that asks file systems. One that does not answer blocks the
//! caller.

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::Arc,
};

use lockc_core::{
    abi::{
        GRANT_HOST_PROGRAMS, GRANT_IF_TOLD, GRANT_LOWER, GRANT_MOUNT, GRANT_OVERLAY,
        GRANT_PROPAGATING, GRANT_ROOT, GRANT_SOCKET, GRANT_SOCKETS, GRANT_UPPER,
    },
    maps::{Held, RegistryError},
};
use lockc_policy::{
    admission::grants::{GrantedFiles, Layer},
    host::{Opened, mount_table::Part},
    policy::sockets::NamedSockets,
};
use nix::fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, openat2};

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

const fn grant_of(layer: &Layer) -> u32 {
    let of_part = match layer.part {
        Part::Lower => GRANT_LOWER,
        Part::Upper => GRANT_UPPER,
        Part::Whole => GRANT_OVERLAY,
    };
    if layer.may_move { of_part | GRANT_IF_TOLD } else { of_part }
}

/// What was opened by `path`; with [`GRANT_SOCKETS`] the path is that of the sockets.
pub fn held(file: File, path: PathBuf, grant: u32) -> Held {
    let named = (grant == GRANT_SOCKETS).then(|| NamedSockets::new(&path).ok()).flatten();
    Held { file: Arc::new(file), path, grant, sockets: named.map(|named| named.name()) }
}

/// Opens the directory of what `allowed_sockets` names, without following a link; nothing where
/// there is no such directory: its server may not be installed.
fn open_directory(named: &Path) -> Option<Held> {
    let sockets = NamedSockets::new(named).ok()?;
    let how = OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_NO_SYMLINKS);
    let file = openat2(AT_FDCWD, &sockets.directory, how).ok()?;
    Some(held(file.into(), named.to_owned(), GRANT_SOCKETS))
}

/// All that the container is granted, by descriptors; what the runtime uses beside it is opened
/// here. `looks_at` is told each path before it is opened.
///
/// # Errors
///
/// Where a path cannot be opened.
pub fn hold(
    files: GrantedFiles,
    root: &Path,
    looks_at: &dyn Fn(&Path),
) -> Result<Vec<Held>, RegistryError> {
    let open = |path: &Path, grant: u32| {
        looks_at(path);
        Held::open(path, grant)
    };
    let mut held = Vec::new();
    let mut add = |opened: Opened, grant: u32| {
        match opened.file {
            Some(file) => held.push(Held { file, path: opened.path, grant, sockets: None }),
            // Nobody opened it: a bundle that was checked by paths alone.
            None => held.push(Held::open(&opened.path, grant)?),
        }
        Ok(())
    };
    add(files.rootfs.top, GRANT_ROOT)?;
    for below in files.rootfs.below {
        add(below, GRANT_MOUNT)?;
    }
    for mount in files.mounts {
        let hosts = if is_programs(&mount.top.path) { GRANT_HOST_PROGRAMS } else { 0 };
        let propagates = if mount.propagates { GRANT_PROPAGATING } else { 0 };
        add(mount.top, GRANT_MOUNT | propagates | hosts)?;
        for below in mount.below {
            add(below, GRANT_MOUNT | hosts)?;
        }
    }
    for layer in files.layers {
        let grant = grant_of(&layer);
        add(layer.opened, grant)?;
    }
    for socket in files.sockets {
        add(socket, GRANT_SOCKET)?;
    }
    for device in DEFAULT_DEVICES.map(Path::new).into_iter().filter(|path| path.exists()) {
        held.push(open(device, GRANT_MOUNT)?);
    }
    for named in &files.named_sockets {
        looks_at(named);
        held.extend(open_directory(named));
    }
    // crun since 1.28 hides directories behind an empty one of its own, which it makes for the
    // first container.
    held.extend(open(&root.join(".empty-directory"), GRANT_MOUNT).ok());
    Ok(held)
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
