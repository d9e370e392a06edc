//! Attempts at files: through names, descriptors, devices and memory; and at the kernel log.

use std::ffi::CString;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;

use crate::{number, sys, usage};

pub fn attempt(name: &str, args: &[&str]) -> Option<io::Result<String>> {
    Some(match (name, args) {
        ("read", [path]) => read(open(path, libc::O_RDONLY | libc::O_NONBLOCK)),
        ("write", [path, text]) => open(path, libc::O_WRONLY)
            .and_then(|mut file| file.write(text.as_bytes()))
            .map(|n| n.to_string()),
        ("create", [path]) => open(path, libc::O_WRONLY | libc::O_CREAT).map(|_| "created".into()),
        ("open-path", [path]) => open(path, libc::O_PATH).map(|_| "opened".into()),
        ("list", [path]) => list(path),
        ("stat", [path]) => fs::metadata(path).map(|meta| meta.len().to_string()),
        ("exec", [path, args @ ..]) => exec(path, args),
        ("syslog", [action]) => syslog(action),
        ("mknod-read", [path, major, minor]) => mknod(path, major, minor)
            .and_then(|()| read(open(path, libc::O_RDONLY | libc::O_NONBLOCK))),
        ("memfd-reopen", []) => memfd_reopen(),
        ("deep", [depth, path]) => deep(depth, path),
        ("read-each", [path, count]) => read_each(path, count),
        ("handle", [mount, inode]) => by_handle(mount, inode),
        _ => return None,
    })
}

/// Opens a path; `fd:N/PATH` is relative to an inherited descriptor.
pub fn open(path: &str, flags: i32) -> io::Result<File> {
    let (base, path) = match path.strip_prefix("fd:") {
        Some(rest) => {
            let (fd, path) = rest.split_once('/').unwrap_or((rest, "."));
            (number(fd)?, path)
        }
        None => (sys::CWD, path),
    };
    let path = sys::text(path)?;
    let args = [base, path.as_ptr() as usize, (flags | libc::O_CLOEXEC) as usize, 0o600];
    sys::open(libc::SYS_openat, &args).map(File::from)
}

/// Opens files that are called by numbers, and counts those that it may.
fn read_each(path: &str, count: &str) -> io::Result<String> {
    let opened = (0..number(count)?)
        .filter(|number| open(&format!("{path}{number}"), libc::O_RDONLY).is_ok())
        .count();
    Ok(opened.to_string())
}

fn read(file: io::Result<File>) -> io::Result<String> {
    // /dev/kmsg refuses to cut a record.
    let mut start = vec![0; 8192];
    let mut file = file?;
    let length = match file.read(&mut start) {
        // Opened, and nothing to read yet: that counts.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
        other => other?,
    };
    Ok(String::from_utf8_lossy(&start[..length.min(100)]).into_owned())
}

fn list(path: &str) -> io::Result<String> {
    let names = fs::read_dir(path)?;
    let names: io::Result<Vec<String>> = names
        .map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()))
        .collect();
    Ok(names?.into_iter().take(10).collect::<Vec<_>>().join(" "))
}

/// Replaces the probe: only a failure comes back.
fn exec(path: &str, args: &[&str]) -> io::Result<String> {
    use std::os::unix::process::CommandExt;
    let output = std::process::Command::new(path).arg0(path).args(args).output()?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    } else {
        Err(io::Error::other(format!(
            "{}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        )))
    }
}

/// `syslog(2)`: 3 reads all, 10 asks for the size.
fn syslog(action: &str) -> io::Result<String> {
    let mut log = vec![0u8; 4096];
    let length =
        sys::call(libc::SYS_syslog, &[number(action)?, log.as_mut_ptr() as usize, log.len()])?;
    Ok(format!("{length} bytes"))
}

fn mknod(path: &str, major: &str, minor: &str) -> io::Result<()> {
    let device = libc::makedev(number(major)? as u32, number(minor)? as u32);
    let name = sys::text(path)?;
    match sys::call(
        libc::SYS_mknodat,
        &[sys::CWD, name.as_ptr() as usize, (libc::S_IFCHR | 0o666) as usize, device as usize],
    ) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// What runtimes and programs do with themselves: must work in every container.
fn memfd_reopen() -> io::Result<String> {
    let name = CString::default();
    let mut memory = File::from(sys::open(libc::SYS_memfd_create, &[name.as_ptr() as usize, 0])?);
    memory.write_all(b"memory")?;
    fs::read_to_string(format!("/proc/self/fd/{}", memory.as_raw_fd()))
}

/// Reads `path` through a name that is thousands of bytes long.
fn deep(depth: &str, path: &str) -> io::Result<String> {
    let detour = "./".repeat(number(depth)?);
    let path = path.strip_prefix('/').ok_or_else(|| usage("deep wants an absolute path"))?;
    let full = format!("/{detour}{path}");
    if fs::metadata(&full)?.is_dir() { list(&full) } else { read(open(&full, libc::O_RDONLY)) }
}

/// `open_by_handle_at(2)` of an inode number of the ext4 that `mount` is on ("shocker"); on btrfs
/// of the root of the top-level subvolume.
fn by_handle(mount: &str, inode: &str) -> io::Result<String> {
    let is_btrfs =
        nix::sys::statfs::statfs(mount)?.filesystem_type() == nix::sys::statfs::BTRFS_SUPER_MAGIC;
    let handle: [u32; 7] = if is_btrfs {
        // struct btrfs_fid (fs/btrfs/export.h, Linux 6.12): BTRFS_FIRST_FREE_OBJECTID in
        // BTRFS_FS_TREE_OBJECTID; generation 0 matches any.
        [20, 0x4d, 256, 0, 5, 0, 0]
    } else {
        // struct file_handle { bytes, type FILEID_INO32_GEN, { ino, generation } }; generation 0:
        // of the root directory
        [8, 1, number(inode)? as u32, 0, 0, 0, 0]
    };
    let mount = open(mount, libc::O_RDONLY)?;
    let flags = (libc::O_RDONLY | libc::O_DIRECTORY) as usize;
    let root = sys::open(
        libc::SYS_open_by_handle_at,
        &[mount.as_raw_fd() as usize, handle.as_ptr() as usize, flags],
    )?;
    list(&format!("/proc/self/fd/{}", root.as_raw_fd()))
}
