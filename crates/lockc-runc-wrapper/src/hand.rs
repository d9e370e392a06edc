//! Files that the wrapper checks and the runtime reads: `exec --process`, crun's `--config`. The
//! wrapper reads each once and passes the text on in a sealed memfd, so a pipe is not consumed, and
//! later changes have no effect.
//!
//! The descriptor has a high number, as that of [`check::keep`](crate::check::keep): runc, crun and
//! youki set close-on-exec on what they do not pass on, before the container's first program is
//! executed. Where one is left open after all, the kernel side lets it pass: a memfd is nothing of
//! the host's, and this one tells the container about itself alone.

use std::{
    ffi::OsString,
    fs::File,
    io::{self, Read as _, Seek as _, Write as _},
    os::fd::OwnedFd,
    path::{Component, Path},
};

use lockc_policy::spec::SIZE_LIMIT;
use nix::{
    errno::Errno,
    fcntl::{FcntlArg, SealFlag, fcntl},
    sys::memfd::{MFdFlags, memfd_create},
};

use crate::sys::{self, LEFT_OPEN_FROM};

/// A file in memory that nobody can change.
///
/// # Errors
///
/// Where the kernel has no memory.
pub fn sealed(text: &[u8]) -> io::Result<OwnedFd> {
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    // Since 6.3 the kernel wants to be told that nobody will execute it, or says so in its log
    // (mm/memfd.c, `check_sysctl_memfd_noexec`). It implies sealing.
    let memory = match memfd_create(
        c"lockc",
        flags | MFdFlags::from_bits_retain(nix::libc::MFD_NOEXEC_SEAL),
    ) {
        Err(Errno::EINVAL) => memfd_create(c"lockc", flags)?,
        made => made?,
    };
    let mut file = File::from(memory);
    file.write_all(text)?;
    file.rewind()?;
    let seals = SealFlag::F_SEAL_SEAL
        | SealFlag::F_SEAL_SHRINK
        | SealFlag::F_SEAL_GROW
        | SealFlag::F_SEAL_WRITE;
    fcntl(&file, FcntlArg::F_ADD_SEALS(seals))?;
    Ok(file.into())
}

/// Leaves a file open for the runtime; its name.
///
/// # Errors
///
/// Where no descriptor is free.
pub fn leave(file: &OwnedFd) -> io::Result<OsString> {
    Ok(format!("/proc/self/fd/{}", sys::leave_open(file, LEFT_OPEN_FROM)?).into())
}

/// What a descriptor of this process holds, if the path names one: in another process the same path
/// is another file.
///
/// # Errors
///
/// Where it cannot be read, or is larger than any file of its kind.
pub fn read_own(path: &Path) -> io::Result<Option<Vec<u8>>> {
    if !is_own(path) {
        return Ok(None);
    }
    let mut text = Vec::new();
    File::open(path)?.take(SIZE_LIMIT + 1).read_to_end(&mut text)?;
    if text.len() as u64 > SIZE_LIMIT {
        return Err(io::Error::other("larger than 10 MiB"));
    }
    Ok(Some(text))
}

/// `/dev/stdin`, `/dev/fd/N`, `/proc/self/fd/N`, `/proc/thread-self/fd/N`, and the same by this
/// process' number.
fn is_own(path: &Path) -> bool {
    let parts: Vec<_> = path
        .components()
        .filter_map(|part| match part {
            Component::RootDir => Some("/"),
            Component::Normal(part) => part.to_str(),
            _ => Some(".."),
        })
        .collect();
    let own = |process: &str| {
        process == "self" || process == "thread-self" || process.parse() == Ok(std::process::id())
    };
    match parts.as_slice() {
        ["/", "dev", "stdin"] | ["/", "dev", "fd", _] => true,
        ["/", "proc", process, "fd", _] => own(process),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;
    use crate::invocation::At;

    #[test]
    fn a_value_is_replaced_where_it_stands() {
        let mut args: Vec<OsString> =
            ["exec", "-tp/a", "--process=/a", "-p", "/a"].map(Into::into).to_vec();
        for (index, start) in [(1, 3), (2, 10), (4, 0)] {
            At { index, start }.put(&mut args, OsStr::new("/new"));
        }
        assert_eq!(args, ["exec", "-tp/new", "--process=/new", "-p", "/new"]);
        At { index: 9, start: 0 }.put(&mut args, OsStr::new("x"));
    }

    #[test]
    fn what_is_handed_on_cannot_be_changed_and_is_read_from_its_beginning() {
        let memory = sealed(b"{\"a\": 1}").unwrap();
        let name = leave(&memory).unwrap();
        assert_eq!(std::fs::read(&name).unwrap(), b"{\"a\": 1}");
        assert_eq!(std::fs::read(&name).unwrap(), b"{\"a\": 1}", "a second time");
        let again = File::options().write(true).open(&name);
        assert!(again.and_then(|mut file| file.write_all(b"x")).is_err());
        assert!(File::from(memory).set_len(0).is_err());
    }

    #[test]
    fn descriptors_of_this_process_are_known() {
        let own = format!("/proc/{}/fd/0", std::process::id());
        for path in [
            "/dev/stdin",
            "/dev/fd/63",
            "//dev//fd/3",
            "/proc/self/fd/3",
            "/proc/thread-self/fd/4",
            &own,
        ] {
            assert!(is_own(Path::new(path)), "{path}");
        }
        for path in [
            "/dev/fd",
            "dev/fd/3",
            "/proc/1/fd/3",
            "/dev/../dev/fd/3",
            "/srv/p.json",
            "/proc/self/fdinfo/1",
        ] {
            assert!(!is_own(Path::new(path)), "{path}");
        }
        let (read, mut write) = io::pipe().unwrap();
        write.write_all(b"text").unwrap();
        drop(write);
        use std::os::fd::AsRawFd as _;
        let path = format!("/dev/fd/{}", read.as_raw_fd());
        assert_eq!(read_own(Path::new(&path)).unwrap().unwrap(), b"text");
        assert!(read_own(Path::new("/etc/passwd")).unwrap().is_none());
    }
}
