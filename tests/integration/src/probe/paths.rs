//! Attempts at files that need no open file, or only one that somebody else left open.

use std::fs::{self, File, Permissions};
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd};
use std::os::unix::fs::{PermissionsExt, chown, symlink};

use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, UnixAddr,
    connect, recvmsg, sendmsg, socket, socketpair,
};

use crate::{number, sys};

/// An attribute that the lab gives the secret.
const ATTRIBUTE: &str = "user.lockc";

pub fn attempt(name: &str, args: &[&str]) -> Option<io::Result<String>> {
    Some(match (name, args) {
        ("readlink", [path]) => fs::read_link(path).map(|target| target.display().to_string()),
        ("fd-readlink", [path]) => open_path(path, libc::O_NOFOLLOW).and_then(|file| {
            let (empty, mut target) = (sys::text("")?, [0u8; 256]);
            let args = [
                file.as_raw_fd() as usize,
                empty.as_ptr() as usize,
                target.as_mut_ptr() as usize,
                target.len(),
            ];
            sys::call(libc::SYS_readlinkat, &args).map(bytes)
        }),
        ("fd-stat", [path]) => open_path(path, 0)
            .and_then(|file| file.metadata().map(|meta| bytes(meta.len() as usize))),
        ("mkdir", [path]) => fs::create_dir(own(path)).map(|()| "made".into()),
        ("mkfifo", [path]) => node(&own(path), libc::S_IFIFO, 0),
        ("mknod", [path, kind, major, minor]) => device(path, kind, major, minor),
        ("open-device", [path]) => File::open(path).map(|_| "opened".into()),
        ("rmdir", [path]) => each(path, fs::remove_dir),
        ("unlink", [path]) => each(path, fs::remove_file),
        ("rename", [path]) => rename(path),
        ("rename-to", [path, to]) => fs::rename(path, to).map(|()| "renamed".into()),
        ("exchange", [path, other]) => on(path, |path| {
            let other = sys::text(other)?;
            let flag = libc::RENAME_EXCHANGE as usize;
            sys::call(
                libc::SYS_renameat2,
                &[sys::CWD, path, sys::CWD, other.as_ptr() as usize, flag],
            )
        }),
        ("link", [path]) => fs::hard_link(path, own(path)).map(|()| "linked".into()),
        ("symlink", [path]) => symlink("/", own(path)).map(|()| "linked".into()),
        ("truncate", [path, length]) => {
            on(path, |path| sys::call(libc::SYS_truncate, &[path, number(length)?]))
        }
        ("chmod", [path, mode]) => chmod(path, mode),
        ("chown", [path]) => chown(path, Some(0), Some(0)).map(|()| "changed".into()),
        ("utimes", [path]) => {
            on(path, |path| sys::call(libc::SYS_utimensat, &[sys::CWD, path, 0, 0]))
        }
        ("getxattr", [path]) => xattr(path, ATTRIBUTE, libc::SYS_getxattr),
        ("setxattr", [path]) => xattr(path, ATTRIBUTE, libc::SYS_setxattr),
        ("setxattr", [path, name]) => xattr(path, name, libc::SYS_setxattr),
        ("listxattr", [path]) => {
            let mut names = [0u8; 256];
            on(path, |path| {
                sys::call(libc::SYS_listxattr, &[path, names.as_mut_ptr() as usize, names.len()])
            })
        }
        ("removexattr", [path]) => remove_attribute(path),
        ("inotify", [path]) => inotify(path),
        ("fd-list", [fd]) => fd_list(fd),
        ("fd-read", [fd]) => {
            let mut byte = [0u8; 1];
            number(fd)
                .and_then(|fd| {
                    sys::call(libc::SYS_pread64, &[fd, byte.as_mut_ptr() as usize, 1, 0])
                })
                .map(bytes)
        }
        ("fd-mmap", [fd]) => {
            const SHARED: usize = libc::MAP_SHARED as usize;
            let map =
                |fd| sys::call(libc::SYS_mmap, &[0, 4096, libc::PROT_READ as usize, SHARED, fd, 0]);
            number(fd).and_then(map).map(|_| "mapped".into())
        }
        ("fd-lock", [fd]) => {
            let lock =
                |fd| sys::call(libc::SYS_flock, &[fd, (libc::LOCK_EX | libc::LOCK_NB) as usize]);
            number(fd).and_then(lock).map(|_| "locked".into())
        }
        ("fd-flags", [fd]) => {
            let mut flags = 0u64;
            let get = |fd| {
                sys::call(
                    libc::SYS_ioctl,
                    &[fd, libc::FS_IOC_GETFLAGS as usize, (&raw mut flags) as usize],
                )
            };
            number(fd).and_then(get).map(|_| "flags".into())
        }
        ("receive", [socket]) => receive_from(socket),
        ("pass-own", [path]) => pass_own(path),
        _ => return None,
    })
}

fn open_path(path: &str, more: i32) -> io::Result<File> {
    crate::files::open(path, libc::O_PATH | more)
}

/// A name that no other run uses.
fn own(path: &str) -> String {
    let now = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
    format!("{path}-{}", now.as_nanos())
}

fn bytes(count: usize) -> String {
    format!("{count} bytes")
}

fn on(path: &str, call: impl FnOnce(usize) -> io::Result<usize>) -> io::Result<String> {
    let path = sys::text(path)?;
    call(path.as_ptr() as usize).map(|result| result.to_string())
}

/// Whether what an earlier run has used up is the reason.
fn may_try_next(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ENODATA)
}

/// The first of nine that is still there.
fn each(path: &str, remove: fn(String) -> io::Result<()>) -> io::Result<String> {
    for n in 1..10 {
        match remove(format!("{path}-{n}")) {
            Err(error) if may_try_next(&error) => {}
            result => return result.map(|()| "removed".into()),
        }
    }
    Err(io::ErrorKind::NotFound.into())
}

fn remove_attribute(path: &str) -> io::Result<String> {
    for n in 1..10 {
        let name = sys::text(&format!("{ATTRIBUTE}-{n}"))?;
        match on(path, |path| sys::call(libc::SYS_removexattr, &[path, name.as_ptr() as usize])) {
            Err(error) if may_try_next(&error) => {}
            result => return result,
        }
    }
    Err(io::ErrorKind::NotFound.into())
}

fn rename(path: &str) -> io::Result<String> {
    let moved = own(path);
    fs::rename(path, &moved)?;
    fs::rename(&moved, path).map(|()| "renamed and back".into())
}

fn chmod(path: &str, mode: &str) -> io::Result<String> {
    let mode = u32::from_str_radix(mode, 8).map_err(io::Error::other)?;
    fs::set_permissions(path, Permissions::from_mode(mode)).map(|()| "changed".into())
}

fn node(path: &str, kind: u32, device: u64) -> io::Result<String> {
    on(path, |path| {
        sys::call(libc::SYS_mknodat, &[sys::CWD, path, (kind | 0o600) as usize, device as usize])
    })
}

fn device(path: &str, kind: &str, major: &str, minor: &str) -> io::Result<String> {
    let kind = if kind == "b" { libc::S_IFBLK } else { libc::S_IFCHR };
    node(&own(path), kind, libc::makedev(number(major)? as u32, number(minor)? as u32))
}

fn xattr(path: &str, name: &str, call: libc::c_long) -> io::Result<String> {
    let (name, mut value) = (sys::text(name)?, *b"x");
    on(path, |path| {
        sys::call(
            call,
            &[path, name.as_ptr() as usize, value.as_mut_ptr() as usize, value.len(), 0],
        )
    })
}

fn inotify(path: &str) -> io::Result<String> {
    let watch = sys::open(libc::SYS_inotify_init1, &[0])?;
    let mask = libc::IN_MODIFY as usize;
    on(path, |path| {
        sys::call(libc::SYS_inotify_add_watch, &[watch.as_raw_fd() as usize, path, mask])
    })
}

fn fd_list(fd: &str) -> io::Result<String> {
    let mut entries = [0u8; 1024];
    sys::call(libc::SYS_getdents64, &[number(fd)?, entries.as_mut_ptr() as usize, entries.len()])
        .map(bytes)
}

/// A descriptor that a process of the host sends.
fn receive_from(path: &str) -> io::Result<String> {
    let socket = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    connect(socket.as_raw_fd(), &UnixAddr::new(path)?)?;
    receive(&socket)
}

/// A descriptor of its own, sent to itself.
fn pass_own(path: &str) -> io::Result<String> {
    let (one, other) =
        socketpair(AddressFamily::Unix, SockType::Stream, None, SockFlag::SOCK_CLOEXEC)?;
    let fds = [File::open(path)?.into_raw_fd()];
    let rights = [ControlMessage::ScmRights(&fds)];
    sendmsg::<()>(one.as_raw_fd(), &[IoSlice::new(b"x")], &rights, MsgFlags::empty(), None)?;
    receive(&other)
}

/// Where the kernel lets no descriptor through, it says so by a flag only, of which nix makes
/// ENOBUFS.
fn receive(socket: &OwnedFd) -> io::Result<String> {
    let mut byte = [0u8; 1];
    let mut data = [IoSliceMut::new(&mut byte)];
    let mut room = nix::cmsg_space!(i32);
    let message = recvmsg::<()>(socket.as_raw_fd(), &mut data, Some(&mut room), MsgFlags::empty())?;
    for part in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(fds) = part
            && let [fd, ..] = fds[..]
        {
            // SAFETY: the kernel has just given this descriptor to this process.
            drop(unsafe { OwnedFd::from_raw_fd(fd) });
            return Ok("a descriptor came".into());
        }
    }
    Err(io::Error::other("no descriptor came"))
}
