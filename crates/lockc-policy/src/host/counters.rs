//! Counters in a file of lockc's own, which any number of processes add to.

use std::{
    collections::BTreeMap,
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Read as _, Seek as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::Path,
    thread,
    time::Duration,
};

/// Counts by name.
pub type Counters = BTreeMap<String, u64>;

/// How often a lock is asked for, and how long a process waits in between. Another holds it for the
/// time of a write; a process that is stopped with it must not stop a container's start.
const ATTEMPTS: u32 = 50;
const PAUSE: Duration = Duration::from_millis(2);

/// Bytes of the file, at most: names are lockc's own and few.
const LIMIT: u64 = 1 << 16;

/// Adds 1 to a counter. A damaged file begins again at 0.
///
/// # Errors
///
/// Where the file cannot be written, or another process has its lock for too long.
pub fn add(file: &Path, name: &str) -> io::Result<()> {
    if let Some(directory) = file.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    }
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(file)?;
    lock(&file)?;
    let mut counters = from_reader(&mut file)?;
    *counters.entry(name.to_owned()).or_default() += 1;
    let text = serde_json::to_vec(&counters)?;
    file.rewind()?;
    file.write_all(&text)?;
    file.set_len(text.len() as u64)
}

/// Every counter; none where there is no file.
///
/// # Errors
///
/// Where the file cannot be read, or another process has its lock for too long.
pub fn read(file: &Path) -> io::Result<Counters> {
    let mut file = match fs::File::open(file) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Counters::new()),
        Err(error) => return Err(error),
    };
    lock(&file)?;
    from_reader(&mut file)
}

fn from_reader(file: &mut File) -> io::Result<Counters> {
    let mut text = Vec::new();
    file.take(LIMIT).read_to_end(&mut text)?;
    Ok(serde_json::from_slice(&text).unwrap_or_default())
}

fn lock(file: &File) -> io::Result<()> {
    for _ in 0..ATTEMPTS {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) => thread::sleep(PAUSE),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Err(io::ErrorKind::WouldBlock.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_lost_when_many_add() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("lockc/counts");
        assert!(read(&file).unwrap().is_empty());
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..25 {
                        while add(&file, "one").is_err() {}
                    }
                });
            }
        });
        add(&file, "two").unwrap();
        assert_eq!(read(&file).unwrap(), Counters::from([("one".into(), 100), ("two".into(), 1)]));
    }

    #[test]
    fn a_damaged_file_begins_again() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("counts");
        for text in ["{\"one\": 12345678901234567890123}", "x".repeat(1 << 17).as_str(), ""] {
            fs::write(&file, text).unwrap();
            assert!(read(&file).unwrap().is_empty());
            add(&file, "one").unwrap();
            assert_eq!(read(&file).unwrap(), Counters::from([("one".into(), 1)]));
        }
    }

    #[test]
    fn a_lock_that_is_never_given_back_stops_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("counts");
        add(&file, "one").unwrap();
        let held = File::open(&file).unwrap();
        held.lock().unwrap();
        assert_eq!(add(&file, "one").unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }
}
