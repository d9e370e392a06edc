//! `lockc-probe hang OPERATION DIRECTORY`: a FUSE file system that answers everything but one
//! operation, as an NFS server that is gone. Run by the host, not inside of a container; it ends
//! when the file system is unmounted or its daemon killed.
//!
//! Requests and replies are those of include/uapi/linux/fuse.h, protocol 7.31.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsRawFd as _;

use nix::mount::{MsFlags, mount};

const GETATTR: u32 = 3;
const STATFS: u32 = 17;
const INIT: u32 = 26;
const OPENDIR: u32 = 27;
const FORGET: u32 = 2;
const INTERRUPT: u32 = 36;
const BATCH_FORGET: u32 = 42;
const ENOSYS: i32 = 38;

/// Serves until the kernel says that it is over.
pub fn run(args: &[&str]) -> io::Result<()> {
    let &[operation, directory] = args else {
        return Err(io::Error::other("usage: hang statfs|getattr|open DIRECTORY"));
    };
    let mut device = File::options().read(true).write(true).open("/dev/fuse")?;
    let options =
        format!("fd={},rootmode=40000,user_id=0,group_id=0,allow_other", device.as_raw_fd());
    mount(Some("hang"), directory, Some("fuse"), MsFlags::empty(), Some(options.as_str()))?;
    let mut request = vec![0u8; 1 << 20];
    loop {
        let length = match device.read(&mut request) {
            Ok(length) if length >= 40 => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            _ => return Ok(()),
        };
        let word = |at: usize| {
            u32::from_ne_bytes([request[at], request[at + 1], request[at + 2], request[at + 3]])
        };
        let (code, unique) = (word(4), request[8..16].to_vec());
        let hangs = match operation {
            "statfs" => code == STATFS,
            "getattr" => code == GETATTR,
            _ => code == OPENDIR,
        };
        if hangs || matches!(code, FORGET | INTERRUPT | BATCH_FORGET) || length == 0 {
            continue;
        }
        let (error, body) = match code {
            INIT => (0, init()),
            GETATTR => (0, attributes()),
            _ => (-ENOSYS, Vec::new()),
        };
        let mut reply = Vec::new();
        reply.extend(((16 + body.len()) as u32).to_ne_bytes());
        reply.extend(error.to_ne_bytes());
        reply.extend(unique);
        reply.extend(body);
        // The request may be gone.
        let _ = device.write(&reply);
    }
}

/// `struct fuse_init_out`.
fn init() -> Vec<u8> {
    let mut body = vec![0; 64];
    body[0..4].copy_from_slice(&7u32.to_ne_bytes());
    body[4..8].copy_from_slice(&31u32.to_ne_bytes());
    body[20..24].copy_from_slice(&4096u32.to_ne_bytes());
    body
}

/// `struct fuse_attr_out` of a directory; valid for no time, so that it is asked for each time.
fn attributes() -> Vec<u8> {
    let mut body = vec![0; 104];
    body[16..24].copy_from_slice(&1u64.to_ne_bytes());
    body[76..80].copy_from_slice(&0o040_755u32.to_ne_bytes());
    body[80..84].copy_from_slice(&2u32.to_ne_bytes());
    body
}
