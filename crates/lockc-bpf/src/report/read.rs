//! Reads a file that may be anything.

use std::{fs::OpenOptions, io::Read as _, os::unix::fs::OpenOptionsExt as _, path::Path};

/// The largest file that is read.
const LARGEST: u64 = 1 << 20;

/// The text of a regular file.
///
/// # Errors
///
/// Why there is none, in words without the path.
pub fn read(path: &Path) -> Result<String, String> {
    let reason = |error: std::io::Error| error.kind().to_string();
    // A FIFO must not hold up the report.
    let flags = nix::libc::O_NONBLOCK | nix::libc::O_CLOEXEC;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(reason)?;
    if !file.metadata().map_err(reason)?.is_file() {
        return Err("not a regular file".into());
    }
    let mut text = String::new();
    let length = file.take(LARGEST + 1).read_to_string(&mut text).map_err(reason)?;
    if length as u64 > LARGEST {
        return Err("too large".into());
    }
    Ok(text)
}
