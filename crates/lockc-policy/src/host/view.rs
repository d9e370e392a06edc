//! What admission has to know of the host; a trait, so that tests check recorded containers without
//! their host.

use std::{
    fs::{self, File},
    io,
    os::fd::AsRawFd as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::fs::{AtFlags, CWD, FileType, Statx, StatxFlags, statx};

use super::{mount_table::MountedAt, trusted::TrustError};
use crate::engine::Engine;

/// What a path of the host is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A regular file or a pipe.
    File,
    /// A unix socket.
    Socket,
    /// A character device with its numbers.
    Char(u32, u32),
    /// A block device with its numbers.
    Block(u32, u32),
}

impl Kind {
    fn of(found: &Statx) -> Self {
        let numbers = (found.stx_rdev_major, found.stx_rdev_minor);
        match FileType::from_raw_mode(found.stx_mode.into()) {
            FileType::Directory => Self::Directory,
            FileType::Socket => Self::Socket,
            FileType::CharacterDevice => Self::Char(numbers.0, numbers.1),
            FileType::BlockDevice => Self::Block(numbers.0, numbers.1),
            _ => Self::File,
        }
    }

    /// What a path leads to.
    ///
    /// # Errors
    ///
    /// Where it leads nowhere.
    pub(super) fn at(path: &Path) -> io::Result<Self> {
        Ok(Self::of(&statx(CWD, path, AtFlags::empty(), StatxFlags::BASIC_STATS)?))
    }
}

/// A kind of namespace, by its name in `/proc/PID/ns`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Namespace {
    Cgroup,
    Ipc,
    Net,
    Pid,
    Time,
    User,
    Uts,
}

impl Namespace {
    /// The kind's name in `/proc/PID/ns`.
    pub const fn file(self) -> &'static str {
        match self {
            Self::Cgroup => "cgroup",
            Self::Ipc => "ipc",
            Self::Net => "net",
            Self::Pid => "pid",
            Self::Time => "time",
            Self::User => "user",
            Self::Uts => "uts",
        }
    }
}

/// An object of the host's, opened once: what is checked is what the kernel is told of, whatever
/// its path leads to later.
#[derive(Clone, Debug)]
pub struct Opened {
    /// Its path, as the kernel tells it of the descriptor; without links.
    pub path: PathBuf,
    /// What it is.
    pub kind: Kind,
    /// The id of the mount that it was reached by; the descriptor keeps it from being used again.
    pub mount: Option<u64>,
    /// Opened with `O_PATH`; nothing where no host is asked, as in tests.
    pub file: Option<Arc<File>>,
}

impl Opened {
    /// Something that is known by its path alone.
    pub fn named(path: PathBuf, kind: Kind) -> Self {
        Self { path, kind, mount: None, file: None }
    }

    /// What a descriptor is.
    ///
    /// # Errors
    ///
    /// Where procfs does not tell.
    pub fn new(file: File) -> io::Result<Self> {
        let wanted = StatxFlags::BASIC_STATS | StatxFlags::MNT_ID;
        let found = statx(&file, "", AtFlags::EMPTY_PATH, wanted)?;
        let path = fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
        let has_mount = StatxFlags::from_bits_retain(found.stx_mask).contains(StatxFlags::MNT_ID);
        let mount = has_mount.then_some(found.stx_mnt_id);
        Ok(Self { path, kind: Kind::of(&found), mount, file: Some(Arc::new(file)) })
    }
}

impl Default for Opened {
    fn default() -> Self {
        Self::named(PathBuf::new(), Kind::Directory)
    }
}

/// The same object by its path; a descriptor says no more.
impl PartialEq for Opened {
    fn eq(&self, other: &Self) -> bool {
        (&self.path, self.kind) == (&other.path, other.kind)
    }
}

impl Eq for Opened {}

/// What admission asks of the host.
pub trait HostView {
    /// The path without symbolic links, `.` and `..`.
    fn canonicalize(&self, path: &Path) -> io::Result<PathBuf>;
    /// Opens what is there, for good.
    fn open(&self, path: &Path) -> io::Result<Opened> {
        let path = self.canonicalize(path)?;
        Ok(Opened::named(path.clone(), self.kind(&path)?))
    }
    /// What is there.
    fn kind(&self, path: &Path) -> io::Result<Kind>;
    /// Whether `path` is the host's own namespace of that kind.
    fn is_host_namespace(&self, path: &Path, kind: Namespace) -> io::Result<bool>;
    /// Whether the host has its cgroups in version 2 alone.
    fn has_cgroup_v2(&self) -> bool {
        false
    }
    /// The host's number of uid 0 in a user namespace; nothing if it has none there, or no process
    /// is in it.
    fn root_uid(&self, user_namespace: &Path) -> io::Result<Option<u32>>;
    /// Whether somebody else than root may change the file, or put another in its place.
    fn others_may_change(&self, path: &Path) -> io::Result<bool>;
    /// What lockc itself consists of: its configuration and its programs.
    fn own_files(&self) -> Vec<PathBuf>;
    /// The symbolic links directly in a directory; none where it cannot be read.
    fn links(&self, _directory: &Path) -> Vec<PathBuf> {
        Vec::new()
    }
    /// What is directly in a directory; nothing where it cannot be read.
    fn entries(&self, _directory: &Path) -> Vec<PathBuf> {
        Vec::new()
    }
    /// A small file of an engine's.
    ///
    /// # Errors
    ///
    /// Where it cannot be read.
    fn read(&self, _path: &Path) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::NotFound.into())
    }
    /// The text of a file that nobody but root can change; nothing if there is none.
    ///
    /// # Errors
    ///
    /// Where it cannot be read, has more than `limit` bytes, or others can change it.
    fn trusted_text(&self, path: &Path, limit: u64) -> Result<Option<String>, TrustError>;
    /// The files of a directory that nobody but root can change, sorted; none if there is no such
    /// directory.
    ///
    /// # Errors
    ///
    /// Where it cannot be read, or others can change it.
    fn trusted_entries(&self, directory: &Path) -> Result<Vec<PathBuf>, TrustError>;
    /// The user that a file belongs to, by the host's number.
    fn owner(&self, _path: &Path) -> Option<u32> {
        None
    }
    /// The mount table.
    fn mounts(&self) -> io::Result<Vec<MountedAt>>;
    /// Whether containerd gives an AppArmor profile to every container that asks for nothing else.
    fn containerd_uses_apparmor(&self) -> bool {
        false
    }
    /// Whether SELinux is enforcing, and the engine labels every container by default.
    fn labels_containers(&self, _engine: Engine) -> bool {
        false
    }
    /// Whether processes are in a cgroup itself.
    fn cgroup_is_used(&self, _path: &Path) -> bool {
        false
    }
    /// The cgroup of this process; `/` where it is not known.
    fn own_cgroup(&self) -> PathBuf {
        "/".into()
    }
}
