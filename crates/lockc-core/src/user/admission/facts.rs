//! What admission has to know of the host; a trait, so that tests judge recorded containers without their host.

use super::host;
use crate::user::{
    config::{CONFIG_PATH, Engine},
    paths,
    userns::Standing,
};
use std::{
    fs, io,
    os::unix::{ffi::OsStringExt as _, fs::FileTypeExt as _, fs::MetadataExt as _},
    path::{Path, PathBuf},
};

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

/// A line of `/proc/self/mountinfo`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountedAt {
    /// `major:minor` of the superblock.
    pub device: String,
    /// The part of that file system that is mounted.
    pub root: PathBuf,
    /// Where.
    pub point: PathBuf,
}

/// What admission asks of the host.
pub trait Facts {
    /// The path without symbolic links, `.` and `..`.
    fn canonicalize(&self, path: &Path) -> io::Result<PathBuf>;
    /// What is there.
    fn kind(&self, path: &Path) -> io::Result<Kind>;
    /// Whether `path` is the host's own namespace of that kind.
    fn is_host_namespace(&self, path: &Path, kind: Namespace) -> io::Result<bool>;
    /// Whether the host has its cgroups in version 2 alone.
    fn has_cgroup_v2(&self) -> bool {
        false
    }
    /// The host's number of uid 0 in a user namespace; nothing if it has none there, or no process is in it.
    fn root_uid(&self, user_namespace: &Path) -> io::Result<Option<u32>>;
    /// Whether somebody else than root may change the file, or put another in its place.
    fn others_may_change(&self, path: &Path) -> io::Result<bool>;
    /// What lockc itself consists of: its configuration and its programs.
    fn own_files(&self) -> Vec<PathBuf>;
    /// The symbolic links directly in a directory; none where it cannot be read.
    fn links(&self, _directory: &Path) -> Vec<PathBuf> {
        Vec::new()
    }
    /// The lower directories of an overlayfs that is mounted there; none where it is not known.
    fn lower_directories(&self, _point: &Path) -> Vec<PathBuf> {
        Vec::new()
    }
    /// The mount table.
    fn mounts(&self) -> io::Result<Vec<MountedAt>>;
    /// Whether containerd gives an AppArmor profile to every container that asks for nothing else.
    fn containerd_uses_apparmor(&self) -> bool {
        false
    }
    /// Whether SELinux is enforcing, and the engine labels every container that asks for nothing else.
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

/// The host that the wrapper runs on.
#[derive(Clone, Copy, Debug, Default)]
pub struct Host;

impl Facts for Host {
    fn canonicalize(&self, path: &Path) -> io::Result<PathBuf> {
        path.canonicalize()
    }

    fn has_cgroup_v2(&self) -> bool {
        nix::sys::statfs::statfs("/sys/fs/cgroup")
            .is_ok_and(|found| found.filesystem_type() == nix::sys::statfs::CGROUP2_SUPER_MAGIC)
    }

    fn kind(&self, path: &Path) -> io::Result<Kind> {
        let metadata = fs::metadata(path)?;
        let kind = metadata.file_type();
        let numbers = || (nix::sys::stat::major(metadata.rdev()) as u32, nix::sys::stat::minor(metadata.rdev()) as u32);
        Ok(if kind.is_dir() {
            Kind::Directory
        } else if kind.is_socket() {
            Kind::Socket
        } else if kind.is_char_device() {
            let (major, minor) = numbers();
            Kind::Char(major, minor)
        } else if kind.is_block_device() {
            let (major, minor) = numbers();
            Kind::Block(major, minor)
        } else {
            Kind::File
        })
    }

    fn is_host_namespace(&self, path: &Path, kind: Namespace) -> io::Result<bool> {
        let wanted = fs::metadata(path)?;
        // The engine's own namespace counts as the host's as well as that of PID 1.
        for process in ["self", "1"] {
            let host = match fs::metadata(format!("/proc/{process}/ns/{}", kind.file())) {
                Ok(host) => host,
                // A user of the host's is not shown where PID 1 is.
                Err(error)
                    if error.kind() == io::ErrorKind::PermissionDenied
                        && Standing::of_this_process() != Standing::Root =>
                {
                    continue;
                }
                Err(error) => return Err(error),
            };
            if (host.dev(), host.ino()) == (wanted.dev(), wanted.ino()) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn root_uid(&self, user_namespace: &Path) -> io::Result<Option<u32>> {
        let wanted = fs::metadata(user_namespace)?;
        for process in fs::read_dir("/proc")?.flatten() {
            // Most entries are no processes, and some end meanwhile.
            let Ok(namespace) = fs::metadata(process.path().join("ns/user")) else { continue };
            if (namespace.dev(), namespace.ino()) == (wanted.dev(), wanted.ino())
                && let Ok(map) = fs::read_to_string(process.path().join("uid_map"))
            {
                return Ok(root_of(&map));
            }
        }
        Ok(None)
    }

    fn others_may_change(&self, path: &Path) -> io::Result<bool> {
        for part in path.ancestors() {
            let metadata = fs::symlink_metadata(part)?;
            // In a sticky directory nobody replaces a file of root's.
            let sticky = metadata.is_dir() && metadata.mode() & 0o1000 != 0;
            if metadata.uid() != 0 || metadata.mode() & 0o022 != 0 && !sticky {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn own_files(&self) -> Vec<PathBuf> {
        let mut own = vec![PathBuf::from(CONFIG_PATH).parent().unwrap_or(Path::new("/etc/lockc")).to_owned()];
        // What is known of a cluster's namespaces.
        own.push(Path::new(paths::NAMESPACES).parent().unwrap_or(Path::new("/var/lib/lockc")).to_owned());
        // The program that runs, whatever its name, and the command that is installed beside it.
        if let Ok(program) = std::env::current_exe() {
            own.push(program.with_file_name("lockc"));
            own.push(program);
        }
        own
    }

    /// By what containerd itself looks at (1.7 and 2.1, pkg/apparmor); `disable_apparmor` in its configuration is unseen.
    fn containerd_uses_apparmor(&self) -> bool {
        Path::new("/sys/kernel/security/apparmor").exists()
            && Path::new("/sbin/apparmor_parser").exists()
            && fs::read("/sys/module/apparmor/parameters/enabled").is_ok_and(|text| text.starts_with(b"Y"))
    }

    fn labels_containers(&self, engine: Engine) -> bool {
        host::labels_containers(engine)
    }

    fn cgroup_is_used(&self, path: &Path) -> bool {
        host::cgroup_is_used(path)
    }

    fn own_cgroup(&self) -> PathBuf {
        host::own_cgroup()
    }

    fn links(&self, directory: &Path) -> Vec<PathBuf> {
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        entries
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_symlink()))
            .map(|entry| entry.path())
            .collect()
    }

    fn lower_directories(&self, point: &Path) -> Vec<PathBuf> {
        let table = procfs::process::Process::myself().and_then(|own| own.mountinfo());
        let mount = table.into_iter().flatten().rfind(|mount| mount.mount_point == point);
        let options = mount.filter(|mount| mount.fs_type == "overlay").map(|mount| mount.super_options);
        let lower = options.and_then(|mut options| options.remove("lowerdir").flatten()).unwrap_or_default();
        lower.split(':').filter(|path| !path.is_empty()).map(PathBuf::from).collect()
    }

    fn mounts(&self) -> io::Result<Vec<MountedAt>> {
        let table = fs::read("/proc/self/mountinfo")?;
        table
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| {
                parse(line).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "unexpected line in mountinfo"))
            })
            .collect()
    }
}

/// The host's number of uid 0 in a `uid_map` (user_namespaces(7)), as a process of the initial user namespace reads it.
fn root_of(map: &str) -> Option<u32> {
    map.lines().find_map(|line| {
        let mut numbers = line.split_whitespace().map(str::parse::<u32>);
        match (numbers.next()?, numbers.next()?, numbers.next()?) {
            (Ok(0), Ok(host), Ok(1..)) => Some(host),
            _ => None,
        }
    })
}

fn parse(line: &[u8]) -> Option<MountedAt> {
    let mut fields = line.split(|byte| *byte == b' ').skip(2);
    Some(MountedAt {
        device: String::from_utf8(fields.next()?.to_vec()).ok()?,
        root: unescape(fields.next()?),
        point: unescape(fields.next()?),
    })
}

/// The kernel writes space, tab, newline and backslash as `\ooo`.
fn unescape(field: &[u8]) -> PathBuf {
    let mut path = Vec::with_capacity(field.len());
    let mut rest = field;
    while let [first, tail @ ..] = rest {
        rest = tail;
        match (first, tail) {
            (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', tail @ ..]) => {
                path.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                rest = tail;
            }
            _ => path.push(*first),
        }
    }
    PathBuf::from(std::ffi::OsString::from_vec(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_mount_table_is_read() {
        let line = br"36 35 98:0 /mnt1/a\040b /mnt2\134 rw,noatime master:1 - ext3 /dev/root rw,errors=continue";
        let mount = parse(line).unwrap();
        assert_eq!(mount, MountedAt { device: "98:0".into(), root: "/mnt1/a b".into(), point: r"/mnt2\".into() });
        assert_eq!(parse(b"36 35 98:0"), None);
    }

    #[test]
    fn the_root_of_a_user_namespace_is_read_from_its_map() {
        assert_eq!(root_of("         0     100000      65536\n"), Some(100_000));
        assert_eq!(root_of("1 1000 1\n0 7 1\n"), Some(7));
        assert_eq!(root_of("1 1000 1\n"), None);
        assert_eq!(root_of("0 0 0\n"), None);
        assert_eq!(root_of(""), None);
        assert!(Host.root_uid(Path::new("/proc/self/ns/user")).unwrap().is_some());
        assert!(Host.root_uid(Path::new("/nonexistent")).is_err());
    }

    #[test]
    fn who_may_change_a_program() {
        assert!(!Host.others_may_change(Path::new("/bin/true").canonicalize().unwrap().as_path()).unwrap());
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("hook");
        fs::write(&program, "").unwrap();
        fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o757)).unwrap();
        assert!(Host.others_may_change(&program).unwrap());
        assert!(Host.others_may_change(Path::new("/nonexistent/hook")).is_err());
    }

    #[test]
    fn the_host_answers_for_itself() {
        assert!(Host.mounts().unwrap().iter().any(|mount| mount.point == Path::new("/")));
        assert_eq!(Host.kind(Path::new("/dev/null")).unwrap(), Kind::Char(1, 3));
        assert_eq!(Host.kind(Path::new("/")).unwrap(), Kind::Directory);
        let listener = tempfile::tempdir().unwrap();
        let socket = listener.path().join("s");
        let _bound = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        assert_eq!(Host.kind(&socket).unwrap(), Kind::Socket);
        assert!(Host.is_host_namespace(Path::new("/proc/self/ns/net"), Namespace::Net).unwrap());
        assert!(Host.is_host_namespace(Path::new("/nonexistent"), Namespace::Net).is_err());
    }
}
