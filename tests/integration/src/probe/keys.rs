//! Attempts at keyrings, and at attributes of files that only an administrator sets.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::thread;
use std::time::Duration;

use crate::{number, sys};

pub fn attempt(name: &str, args: &[&str]) -> Option<io::Result<String>> {
    Some(match (name, args) {
        ("user-keyring", []) => user_keyring(),
        ("persistent-keyring", [uid]) => persistent_keyring(uid),
        ("own-key", []) => own_key(),
        ("fill-keys", [count]) => fill(count, false),
        ("churn-keys", [count]) => fill(count, true),
        ("keep-key", [seconds]) => keep(seconds),
        ("security-attributes", [path]) => security_attributes(path),
        ("remove-capability", [path]) => {
            let path = sys::text(path);
            path.and_then(|path| {
                let name = c"security.capability".as_ptr() as usize;
                sys::call(libc::SYS_removexattr, &[path.as_ptr() as usize, name])
                    .map(|_| "removed".into())
            })
        }
        _ => return None,
    })
}

/// include/uapi/linux/keyctl.h
const SESSION_KEYRING: i32 = -3;
const USER_KEYRING: i32 = -4;
const GET_KEYRING_ID: usize = 0;
const UNLINK: usize = 9;
const READ: usize = 11;
const GET_PERSISTENT: usize = 22;

/// The keyring of the user, which root of the host has too.
fn user_keyring() -> io::Result<String> {
    sys::call(libc::SYS_keyctl, &[GET_KEYRING_ID, USER_KEYRING as usize, 1])
        .map(|id| format!("keyring {id}"))
}

/// The keyring that all sessions of a user have, the host's included.
fn persistent_keyring(uid: &str) -> io::Result<String> {
    let keyring =
        sys::call(libc::SYS_keyctl, &[GET_PERSISTENT, number(uid)?, SESSION_KEYRING as usize])?;
    add("planted", keyring).map(|key| format!("key {key} in keyring {keyring}"))
}

fn add(name: &str, keyring: usize) -> io::Result<usize> {
    let name = sys::text(name)?;
    let args = [
        c"user".as_ptr() as usize,
        name.as_ptr() as usize,
        c"secret".as_ptr() as usize,
        6,
        keyring,
    ];
    sys::call(libc::SYS_add_key, &args)
}

fn read(key: usize) -> io::Result<String> {
    let mut secret = [0u8; 6];
    sys::call(libc::SYS_keyctl, &[READ, key, secret.as_mut_ptr() as usize, secret.len()])?;
    if &secret == b"secret" {
        Ok("read back".into())
    } else {
        Err(io::Error::other("another secret"))
    }
}

/// A key in the session keyring that the runtime made for the container.
fn own_key() -> io::Result<String> {
    read(add("lockc-probe", SESSION_KEYRING as usize)?)
}

/// Many keys, all at a time or one after another; it goes on where one is refused.
fn fill(count: &str, one_at_a_time: bool) -> io::Result<String> {
    let mut refused = Ok(format!("{count} keys"));
    for n in 0..number(count)? {
        match add(&format!("lockc-probe-{n}"), SESSION_KEYRING as usize) {
            Ok(key) if one_at_a_time => {
                sys::call(libc::SYS_keyctl, &[UNLINK, key, SESSION_KEYRING as usize])?;
            }
            Ok(_) => {}
            Err(error) => refused = Err(error),
        }
    }
    refused
}

/// A key that is read again later.
fn keep(seconds: &str) -> io::Result<String> {
    let key = add("lockc-probe-kept", SESSION_KEYRING as usize)?;
    thread::sleep(Duration::from_secs(number(seconds)? as u64));
    read(key)
}

/// `struct xattr_args`, include/uapi/linux/xattr.h.
#[repr(C)]
struct XattrArgs {
    value: u64,
    size: u32,
    flags: u32,
}

/// `__NR_setxattrat` and `__NR_removexattrat`, which libc does not know yet.
const SYS_SETXATTRAT: libc::c_long = 463;
const SYS_REMOVEXATTRAT: libc::c_long = 466;

/// Every attribute that only an administrator sets, by every call; what was set or removed is the
/// answer.
fn security_attributes(path: &str) -> io::Result<String> {
    const NAMES: [&str; 8] = [
        "security.foo",
        "security.ima",
        "security.evm",
        "security.selinux",
        "security.SMACK64",
        "security.apparmor",
        "security.capability2",
        "security.a-name-that-is-longer-than-others",
    ];
    let file = File::open(path).or_else(|_| File::create(path))?;
    let path = sys::text(path)?;
    let (at, fd) = (path.as_ptr() as usize, file.as_raw_fd() as usize);
    let value = b"x".as_ptr() as usize;
    let args = XattrArgs { value: value as u64, size: 1, flags: 0 };
    let args = [(&raw const args) as usize, size_of::<XattrArgs>()];
    let mut done = Vec::new();
    let mut last = io::Error::from_raw_os_error(libc::ENOSYS);
    let mut note = |what: String, result: io::Result<usize>| match result {
        Ok(_) => done.push(what),
        // What the file system or the kernel does not know proves nothing.
        Err(error)
            if matches!(
                error.raw_os_error(),
                Some(libc::ENOSYS | libc::EOPNOTSUPP | libc::ENODATA)
            ) => {}
        Err(error) => last = error,
    };
    for name in NAMES {
        let text = sys::text(name)?;
        let name_at = text.as_ptr() as usize;
        note(
            format!("setxattr {name}"),
            sys::call(libc::SYS_setxattr, &[at, name_at, value, 1, 0]),
        );
        note(
            format!("lsetxattr {name}"),
            sys::call(libc::SYS_lsetxattr, &[at, name_at, value, 1, 0]),
        );
        note(
            format!("fsetxattr {name}"),
            sys::call(libc::SYS_fsetxattr, &[fd, name_at, value, 1, 0]),
        );
        note(
            format!("setxattrat {name}"),
            sys::call(SYS_SETXATTRAT, &[sys::CWD, at, 0, name_at, args[0], args[1]]),
        );
        note(format!("removexattr {name}"), sys::call(libc::SYS_removexattr, &[at, name_at]));
    }
    let capability = c"security.capability".as_ptr() as usize;
    note(
        "removexattr security.capability".into(),
        sys::call(libc::SYS_removexattr, &[at, capability]),
    );
    note(
        "fremovexattr security.capability".into(),
        sys::call(libc::SYS_fremovexattr, &[fd, capability]),
    );
    note(
        "removexattrat security.capability".into(),
        sys::call(SYS_REMOVEXATTRAT, &[sys::CWD, at, 0, capability]),
    );
    if done.is_empty() { Err(last) } else { Ok(done.join(", ")) }
}
