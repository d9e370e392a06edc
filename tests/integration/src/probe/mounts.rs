//! Attempts at mounts, by the old and the new interface.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use crate::{files, sys};

const OPEN_TREE_CLONE: usize = 1;
const AT_RECURSIVE: usize = 0x8000;
const MOVE_MOUNT_F_EMPTY_PATH: usize = 4;
const FSCONFIG_SET_FLAG: usize = 0;
const FSCONFIG_CMD_CREATE: usize = 6;
const FSCONFIG_CMD_RECONFIGURE: usize = 7;
const MOUNT_ATTR_RDONLY: u64 = 1;

/// `struct mount_attr` of `mount_setattr(2)`.
#[repr(C)]
struct MountAttr {
    attr_set: u64,
    attr_clr: u64,
    propagation: u64,
    userns_fd: u64,
}

pub fn attempt(name: &str, args: &[&str]) -> Option<io::Result<String>> {
    Some(match (name, args) {
        ("mount", [kind, target]) => mount("none", target, kind, 0),
        ("bind", [source, target]) => mount(source, target, "", libc::MS_BIND),
        ("rbind", [source, target]) => mount(source, target, "", libc::MS_BIND | libc::MS_REC),
        ("remount", [target]) => {
            mount("none", target, "", libc::MS_REMOUNT | libc::MS_BIND | libc::MS_RDONLY)
        }
        ("remount-super", [target]) => {
            mount("none", target, "", libc::MS_REMOUNT | libc::MS_RDONLY)
        }
        ("propagation", [target]) => mount("none", target, "", libc::MS_SHARED),
        ("move", [source, target]) => mount(source, target, "", libc::MS_MOVE),
        ("umount", [target]) => umount(target),
        ("fsopen", [kind]) => fsopen(kind).map(|_| "context".into()),
        ("fsmount", [kind, file]) => fsmount(kind).and_then(|tree| read_in(&tree, file)),
        ("fsmount-move", [kind, target]) => fsmount(kind).and_then(|tree| move_to(&tree, target)),
        ("open-tree", [path, file]) => open_tree(path).and_then(|tree| read_in(&tree, file)),
        ("open-tree-move", [path, target]) => {
            open_tree(path).and_then(|tree| move_to(&tree, target))
        }
        ("mount-setattr", [target]) => mount_setattr(target),
        ("fspick", [target]) => fspick(target),
        ("pivot-root", [root]) => pivot_root(root),
        ("remove-subvolume", [directory, name]) => remove_subvolume(directory, name),
        ("open-tree-namespace", [path, next @ ..]) => {
            open_tree_namespace(path).and_then(|()| crate::attempt(next))
        }
        _ => return None,
    })
}

fn mount(source: &str, target: &str, kind: &str, flags: libc::c_ulong) -> io::Result<String> {
    // The place to mount on may be missing in the image.
    let _ = fs::create_dir_all(target);
    let (source, target, kind) = (sys::text(source)?, sys::text(target)?, sys::text(kind)?);
    let args = [
        source.as_ptr() as usize,
        target.as_ptr() as usize,
        kind.as_ptr() as usize,
        flags as usize,
        0,
    ];
    sys::call(libc::SYS_mount, &args).map(|_| "mounted".into())
}

fn umount(target: &str) -> io::Result<String> {
    let target = sys::text(target)?;
    sys::call(libc::SYS_umount2, &[target.as_ptr() as usize, libc::MNT_DETACH as usize])
        .map(|_| "unmounted".into())
}

fn fsopen(kind: &str) -> io::Result<OwnedFd> {
    let kind = sys::text(kind)?;
    sys::open(libc::SYS_fsopen, &[kind.as_ptr() as usize, 0])
}

fn fsmount(kind: &str) -> io::Result<OwnedFd> {
    let context = fsopen(kind)?;
    let fd = context.as_raw_fd() as usize;
    sys::call(libc::SYS_fsconfig, &[fd, FSCONFIG_CMD_CREATE, 0, 0, 0])?;
    sys::open(libc::SYS_fsmount, &[fd, 0, 0])
}

fn open_tree(path: &str) -> io::Result<OwnedFd> {
    let path = sys::text(path)?;
    let flags = OPEN_TREE_CLONE | AT_RECURSIVE | libc::O_CLOEXEC as usize;
    sys::open(libc::SYS_open_tree, &[sys::CWD, path.as_ptr() as usize, flags])
}

/// The detached mount is usable without ever being attached: that is what is tried.
fn read_in(tree: &OwnedFd, file: &str) -> io::Result<String> {
    files::open(&format!("fd:{}/{file}", tree.as_raw_fd()), libc::O_RDONLY).map(|_| "opened".into())
}

fn move_to(tree: &OwnedFd, target: &str) -> io::Result<String> {
    let _ = fs::create_dir_all(target);
    let (empty, target) = (sys::text("")?, sys::text(target)?);
    let args = [
        tree.as_raw_fd() as usize,
        empty.as_ptr() as usize,
        sys::CWD,
        target.as_ptr() as usize,
        MOVE_MOUNT_F_EMPTY_PATH,
    ];
    sys::call(libc::SYS_move_mount, &args).map(|_| "moved".into())
}

fn mount_setattr(target: &str) -> io::Result<String> {
    let target = sys::text(target)?;
    let attr = MountAttr { attr_set: MOUNT_ATTR_RDONLY, attr_clr: 0, propagation: 0, userns_fd: 0 };
    let args =
        [sys::CWD, target.as_ptr() as usize, 0, (&raw const attr) as usize, size_of::<MountAttr>()];
    sys::call(libc::SYS_mount_setattr, &args).map(|_| "changed".into())
}

fn fspick(target: &str) -> io::Result<String> {
    let (target, flag) = (sys::text(target)?, sys::text("ro")?);
    let context = sys::open(libc::SYS_fspick, &[sys::CWD, target.as_ptr() as usize, 0])?;
    let fd = context.as_raw_fd() as usize;
    sys::call(libc::SYS_fsconfig, &[fd, FSCONFIG_SET_FLAG, flag.as_ptr() as usize, 0, 0])?;
    sys::call(libc::SYS_fsconfig, &[fd, FSCONFIG_CMD_RECONFIGURE, 0, 0, 0])
        .map(|_| "reconfigured".into())
}

fn pivot_root(root: &str) -> io::Result<String> {
    let old = format!("{root}/old");
    fs::create_dir_all(&old)?;
    let (root, old) = (sys::text(root)?, sys::text(&old)?);
    sys::call(libc::SYS_pivot_root, &[root.as_ptr() as usize, old.as_ptr() as usize])
        .map(|_| "pivoted".into())
}

/// A new mount namespace of a tree, without a mount (`OPEN_TREE_NAMESPACE`,
/// include/uapi/linux/mount.h, 7.0).
fn open_tree_namespace(path: &str) -> io::Result<()> {
    const NAMESPACE: usize = 1 << 1;
    let path = sys::text(path)?;
    let namespace = sys::open(libc::SYS_open_tree, &[sys::CWD, path.as_ptr() as usize, NAMESPACE])?;
    sys::call(libc::SYS_setns, &[namespace.as_raw_fd() as usize, libc::CLONE_NEWNS as usize])
        .map(|_| ())
}

/// Deletes a btrfs subvolume, by its number in the file system or by its name in the directory
/// (`BTRFS_IOC_SNAP_DESTROY_V2` with `BTRFS_SUBVOL_SPEC_BY_ID`, `BTRFS_IOC_SNAP_DESTROY`,
/// include/uapi/linux/btrfs.h).
fn remove_subvolume(directory: &str, name: &str) -> io::Result<String> {
    const BY_NUMBER: usize = 0x5000_943f;
    const BY_NAME: usize = 0x5000_940f;
    let directory = files::open(directory, libc::O_RDONLY)?;
    // Both structures have 4096 bytes and begin with a descriptor.
    let mut args = [0u64; 512];
    let command = if let Ok(number) = name.parse() {
        args[2] = 1 << 4;
        args[7] = number;
        BY_NUMBER
    } else {
        for (index, byte) in name.bytes().enumerate() {
            args[1 + index / 8] |= u64::from(byte) << (index % 8 * 8);
        }
        BY_NAME
    };
    sys::call(libc::SYS_ioctl, &[directory.as_raw_fd() as usize, command, args.as_ptr() as usize])
        .map(|_| "deleted".into())
}
