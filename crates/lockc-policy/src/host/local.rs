//! The host that the wrapper runs on, asked by path and by descriptor.

use std::{
    cell::RefCell,
    collections::HashMap,
    fs::{self, File},
    io::{self, Read as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use nix::sys::statfs::{FsType, fstatfs};

use super::{
    mount_table::MountedAt,
    privilege::{self, Privilege},
    selinux,
    trusted::{self, TrustError},
    view::{HostView, Kind, Namespace, Opened},
};
use crate::engine::Engine;
use lockc_core::paths;

/// `AUTOFS_SUPER_MAGIC` (include/uapi/linux/magic.h, Linux 6.12).
const AUTOFS: FsType = FsType(0x0187);
/// Where cgroups are: version 2, and the hierarchies of version 1 in which every container is.
const HIERARCHIES: [&str; 4] =
    ["/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd", "/sys/fs/cgroup/pids"];
/// Bytes of the mount tables of most hosts.
const TABLE: usize = 32 << 10;
/// Larger than any of the engines' files that are read.
const READ_LIMIT: u64 = 64 << 20;

/// The host that the wrapper runs on, during one decision.
#[derive(Debug, Default)]
pub struct Host {
    /// Where paths led, and nothing for those that are not there: a decision asks for the same
    /// directories again and again.
    canonical: RefCell<HashMap<PathBuf, Option<PathBuf>>>,
    /// Who owns trusted files; root where it is not said.
    owner: Option<u32>,
}

impl Host {
    /// The host, on which trusted files belong to another user than root: for tests that do not run
    /// as root.
    pub fn owned_by(owner: u32) -> Self {
        Self { owner: Some(owner), ..Self::default() }
    }

    fn root(&self) -> u32 {
        self.owner.unwrap_or_else(privilege::root_uid)
    }

    /// A system call for the last part of a path; what links lead to is the library's affair.
    fn look_up(&self, path: &Path) -> io::Result<PathBuf> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return path.canonicalize();
        };
        if !path.is_absolute() {
            return path.canonicalize();
        }
        let beside = self.canonicalize(parent)?.join(name);
        match fs::read_link(&beside) {
            Ok(_) => path.canonicalize(),
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(beside),
            Err(error) => Err(error),
        }
    }
}

impl HostView for Host {
    fn canonicalize(&self, path: &Path) -> io::Result<PathBuf> {
        if let Some(known) = self.canonical.borrow().get(path) {
            return known.clone().ok_or_else(|| io::ErrorKind::NotFound.into());
        }
        let found = self.look_up(path);
        let known = match &found {
            Ok(path) => Some(path.clone()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(_) => return found,
        };
        self.canonical.borrow_mut().insert(path.to_owned(), known);
        found
    }

    fn has_cgroup_v2(&self) -> bool {
        nix::sys::statfs::statfs("/sys/fs/cgroup")
            .is_ok_and(|found| found.filesystem_type() == nix::sys::statfs::CGROUP2_SUPER_MAGIC)
    }

    fn open(&self, path: &Path) -> io::Result<Opened> {
        let opened = Opened::new(open_path(path)?)?;
        let is_autofs =
            |file: &File| fstatfs(file).is_ok_and(|found| found.filesystem_type() == AUTOFS);
        if opened.kind == Kind::Directory && opened.file.as_deref().is_some_and(is_autofs) {
            // A mount point of autofs: what is mounted there comes when a path leads through it.
            return Opened::new(open_path(&path.join("."))?);
        }
        Ok(opened)
    }

    fn kind(&self, path: &Path) -> io::Result<Kind> {
        Kind::at(path)
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
                        && Privilege::of_this_process() != Privilege::Root =>
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
            let keeps = metadata.is_dir() && metadata.mode() & 0o1000 != 0 && metadata.uid() == 0;
            if trusted::others_can_change(&metadata, 0) && !keeps {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn own_files(&self) -> Vec<PathBuf> {
        let mut own = vec![
            PathBuf::from(paths::CONFIG).parent().unwrap_or(Path::new("/etc/lockc")).to_owned(),
        ];
        // What is known of a cluster's namespaces.
        own.push(
            Path::new(paths::NAMESPACES).parent().unwrap_or(Path::new("/var/lib/lockc")).to_owned(),
        );
        // The program that runs, whatever its name, and the command that is installed beside it.
        if let Ok(program) = std::env::current_exe() {
            own.push(program.with_file_name("lockc"));
            own.push(program);
        }
        own
    }

    /// By what containerd itself looks at (1.7 and 2.1, pkg/apparmor); `disable_apparmor` in its
    /// configuration is unseen.
    fn containerd_uses_apparmor(&self) -> bool {
        Path::new("/sys/kernel/security/apparmor").exists()
            && Path::new("/sbin/apparmor_parser").exists()
            && fs::read("/sys/module/apparmor/parameters/enabled")
                .is_ok_and(|text| text.starts_with(b"Y"))
    }

    fn labels_containers(&self, engine: Engine) -> bool {
        selinux::labels_containers(engine)
    }

    fn cgroup_is_used(&self, path: &Path) -> bool {
        let below = path.strip_prefix("/").unwrap_or(path);
        HIERARCHIES.iter().any(|hierarchy| {
            let file = Path::new(hierarchy).join(below).join("cgroup.procs");
            fs::read(file).is_ok_and(|text| !text.is_empty())
        })
    }

    /// The line of version 2 in `/proc/self/cgroup` (cgroups(7)).
    fn own_cgroup(&self) -> PathBuf {
        let text = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        text.lines()
            .find_map(|line| line.strip_prefix("0::"))
            .map_or_else(|| "/".into(), PathBuf::from)
    }

    fn links(&self, directory: &Path) -> Vec<PathBuf> {
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        entries
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_symlink()))
            .map(|entry| entry.path())
            .collect()
    }

    fn entries(&self, directory: &Path) -> Vec<PathBuf> {
        fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        File::open(path)?.take(READ_LIMIT).read_to_end(&mut text)?;
        Ok(text)
    }

    fn trusted_text(&self, path: &Path, limit: u64) -> Result<Option<String>, TrustError> {
        trusted::text(path, self.root(), limit)
    }

    fn trusted_entries(&self, directory: &Path) -> Result<Vec<PathBuf>, TrustError> {
        trusted::entries(directory, self.root())
    }

    fn owner(&self, path: &Path) -> Option<u32> {
        Some(privilege::on_the_host(fs::metadata(path).ok()?.uid()))
    }

    fn mounts(&self) -> io::Result<Vec<MountedAt>> {
        // The kernel makes the table as it is read: at once, where there is room for it.
        let mut table = Vec::with_capacity(TABLE);
        File::open("/proc/self/mountinfo")?.read_to_end(&mut table)?;
        table
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| {
                MountedAt::parse(line).ok_or_else(|| {
                    io::Error::new(io::ErrorKind::InvalidData, "unexpected line in mountinfo")
                })
            })
            .collect()
    }
}

fn open_path(path: &Path) -> io::Result<File> {
    File::options().read(true).custom_flags(nix::libc::O_PATH).open(path)
}

/// The host's number of uid 0 in a `uid_map` (user_namespaces(7)), as a process of the initial user
/// namespace reads it.
fn root_of(map: &str) -> Option<u32> {
    privilege::lines(map)
        .find(|[inside, _, size]| (*inside, *size > 0) == (0, true))
        .map(|[_, host, _]| host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_of_a_user_namespace_is_read_from_its_map() {
        assert_eq!(root_of("         0     100000      65536\n"), Some(100_000));
        assert_eq!(root_of("1 1000 1\n0 7 1\n"), Some(7));
        assert_eq!(root_of("1 1000 1\n"), None);
        assert_eq!(root_of("0 0 0\n"), None);
        assert_eq!(root_of(""), None);
        assert!(Host::default().root_uid(Path::new("/proc/self/ns/user")).unwrap().is_some());
        assert!(Host::default().root_uid(Path::new("/nonexistent")).is_err());
    }

    #[test]
    fn who_may_change_a_program() {
        assert!(
            !Host::default()
                .others_may_change(Path::new("/bin/true").canonicalize().unwrap().as_path())
                .unwrap()
        );
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("hook");
        fs::write(&program, "").unwrap();
        fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o757)).unwrap();
        assert!(Host::default().others_may_change(&program).unwrap());
        assert!(Host::default().others_may_change(Path::new("/nonexistent/hook")).is_err());
    }

    #[test]
    fn paths_are_resolved_as_the_library_does() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("a/b")).unwrap();
        fs::write(at("a/file"), "").unwrap();
        for (link, target) in [
            ("to-a", "a"),
            ("a/up", ".."),
            ("dangling", "none"),
            ("loop", "loop"),
            ("far", "/usr/bin"),
        ] {
            std::os::unix::fs::symlink(target, at(link)).unwrap();
        }
        let names = [
            "a/b",
            "to-a/b",
            "to-a/up/a/b",
            "a/../to-a/b/..",
            "a/./b",
            "a/file",
            "a/file/x",
            "a/none",
            "a/none/x",
            "dangling",
            "dangling/x",
            "loop",
            "loop/x",
            "far",
            "far/none",
        ];
        let host = Host::default();
        for _ in 0..2 {
            for path in names
                .map(at)
                .into_iter()
                .chain(["/", "/etc/..", "relative", "/nonexistent/x"].map(PathBuf::from))
            {
                let kind = |result: io::Result<PathBuf>| result.map_err(|error| error.kind());
                assert_eq!(
                    kind(host.canonicalize(&path)),
                    kind(path.canonicalize()),
                    "{}",
                    path.display()
                );
            }
        }
    }

    #[test]
    fn the_host_answers_for_itself() {
        assert!(
            Host::default().mounts().unwrap().iter().any(|mount| mount.point == Path::new("/"))
        );
        assert_eq!(Host::default().kind(Path::new("/dev/null")).unwrap(), Kind::Char(1, 3));
        assert_eq!(Host::default().kind(Path::new("/")).unwrap(), Kind::Directory);
        let own = Host::default().open(Path::new("/proc/self/../self/ns")).unwrap();
        let mounts = Host::default().mounts().unwrap();
        let mount = mounts.iter().find(|mount| Some(mount.id) == own.mount).unwrap();
        assert_eq!(mount.kind, "proc");
        assert!(
            own.path.starts_with(&mount.point) && own.kind == Kind::Directory && own.file.is_some()
        );
        assert!(Host::default().open(Path::new("/nonexistent")).is_err());
        let listener = tempfile::tempdir().unwrap();
        let socket = listener.path().join("s");
        let _bound = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        assert_eq!(Host::default().kind(&socket).unwrap(), Kind::Socket);
        assert!(
            Host::default()
                .is_host_namespace(Path::new("/proc/self/ns/net"), Namespace::Net)
                .unwrap()
        );
        assert!(
            Host::default().is_host_namespace(Path::new("/nonexistent"), Namespace::Net).is_err()
        );
    }

    #[test]
    fn the_own_cgroup_is_used() {
        assert!(Host::default().own_cgroup().is_absolute());
        assert!(!Host::default().cgroup_is_used(Path::new("/lockc-none-such")));
    }
}
