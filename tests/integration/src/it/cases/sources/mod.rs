//! What a mount is decides, not what an engine calls it: directories and files of the host on every
//! kind of file system, by every engine's ways of naming them, with the verdict at two levels.
//!
//! All that is refused is asked of one container, and all that is granted of another: a refusal
//! names each mount.

pub mod containerd;
pub mod docker;
pub mod podman;

use anyhow::{Context, Result, bail};

use crate::command::{self, Run};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Baseline,
    Restricted,
}

use Level::{Baseline, Restricted};

/// Which levels grant it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Granted {
    Never,
    AtBaseline,
    Always,
}

use Granted::{Always, AtBaseline, Never};

impl Granted {
    fn at(self, level: Level) -> bool {
        self == Always || self == AtBaseline && level == Baseline
    }
}

/// A directory or file of the host.
struct Place {
    name: &'static str,
    path: &'static str,
    /// Where `allowed_mounts` has its defaults: under Kubernetes it has none.
    granted: Granted,
}

const fn at(name: &'static str, path: &'static str, granted: Granted) -> Place {
    Place { name, path, granted }
}

/// Those below /srv/table are mounted there by [`MAKE`].
const PLACES: &[Place] = &[
    // Directories that `allowed_mounts` has by default, on each file system that keeps files.
    at("plain", "/srv/table/plain", AtBaseline),
    at("below", "/srv/table/plain/sub", AtBaseline),
    at("file", "/srv/table/plain/file", AtBaseline),
    at("data", "/home/user/data", AtBaseline),
    at("tmpfs", "/srv/table/tmpfs", AtBaseline),
    at("ramfs", "/srv/table/ramfs", AtBaseline),
    at("hugetlbfs", "/srv/table/hugetlbfs", AtBaseline),
    at("btrfs", "/srv/table/btrfs", AtBaseline),
    at("subvolume", "/srv/table/btrfs/sub", AtBaseline),
    at("erofs", "/srv/table/erofs", AtBaseline),
    at("overlay", "/srv/table/overlay", AtBaseline),
    at("fuse", "/srv/table/fuse", AtBaseline),
    at("bind", "/srv/table/bind", AtBaseline),
    at("above", "/srv/table/above", AtBaseline),
    // File systems that show the host's kernel, its devices or its services.
    at("proc", "/srv/table/proc", Never),
    at("sysfs", "/srv/table/sysfs", Never),
    at("debugfs", "/srv/table/debugfs", Never),
    at("tracefs", "/srv/table/tracefs", Never),
    at("securityfs", "/srv/table/securityfs", Never),
    at("bpf", "/srv/table/bpf", Never),
    at("configfs", "/srv/table/configfs", Never),
    at("binfmt", "/srv/table/binfmt_misc", Never),
    at("cgroup2", "/srv/table/cgroup2", Never),
    at("devtmpfs", "/srv/table/devtmpfs", Never),
    at("devpts", "/srv/table/devpts", Never),
    at("mqueue", "/srv/table/mqueue", Never),
    // The host's own, by its name and by others.
    at("root", "/", Never),
    at("etc", "/etc", Never),
    at("usr", "/usr", Never),
    at("run", "/run", Never),
    at("boot", "/boot", Never),
    at("home", "/home/user", Never),
    at("ssh", "/home/user/.ssh", Never),
    at("cni", "/opt/cni/bin", Never),
    at("passwd", "/etc/passwd", Never),
    at("device", "/dev/kmsg", Never),
    at("disk", "/dev/vda", Never),
    at("socket", "/srv/lockc-it/sockets/stream.sock", Never),
    at("token", "/var/lib/kubelet/pods/1-2/volumes/kubernetes.io~secret/s", Never),
    at("bind-root", "/srv/table/bind-root", Never),
    at("bind-etc", "/srv/table/bind-etc", Never),
    at("with-root-below", "/srv/table/jail", Never),
    at("with-proc-below", "/srv/table/showing", Never),
    at("link", "/srv/table/link", Never),
    at("link-above", "/srv/table/root-link/etc", Never),
];

/// Makes [`PLACES`], once.
const MAKE: &str = r#"set -e
modprobe -aq loop btrfs erofs overlay fuse configfs binfmt_misc || true
mkdir -p /srv/table /home/user/data /home/user/.ssh /opt/cni/bin; cd /srv/table
on() { mkdir -p $1; mountpoint -q $1 || mount "${@:2}" $1; }
mkdir -p plain/sub above; echo x > plain/file; ln -sfn /etc link; ln -sfn / root-link
for t in tmpfs ramfs hugetlbfs proc sysfs debugfs tracefs securityfs bpf configfs binfmt_misc \
    cgroup2 devtmpfs devpts mqueue; do
    if grep -qw $t /proc/filesystems; then on $t -t $t $t; fi; done
[ -e btrfs.img ] || { truncate -s 64M btrfs.img; mkfs.btrfs -q --mixed btrfs.img; }
on btrfs -o loop btrfs.img
[ -e btrfs/sub ] || btrfs -q subvolume create btrfs/sub
[ -e erofs.img ] || mkfs.erofs --quiet erofs.img plain/sub > /dev/null
on erofs -t erofs -o loop,ro erofs.img
mkdir -p upper work fuse
on overlay -t overlay -o lowerdir=plain/sub,upperdir=upper,workdir=work overlay
mountpoint -q fuse || fuse-overlayfs -o lowerdir=/srv/table/plain/sub fuse
on bind --bind plain; on above/tmpfs -t tmpfs tmpfs; on bind-root --bind /; on bind-etc --bind /etc
for d in jail showing; do on $d --bind $d; mount --make-private $d; done
on jail/here --bind /; on showing/here -t proc proc
t=/var/lib/kubelet/pods/1-2/volumes/kubernetes.io~secret/s; mkdir -p $t
mountpoint -q $t || mount -t tmpfs tmpfs $t"#;

fn make() -> Result<()> {
    command::run(&["bash", "-c", MAKE])?
        .must()
        .map(drop)
        .context("cannot make what is to be mounted")
}

/// Of [`PLACES`], those that this kernel can have, and whether each is a directory.
fn places() -> impl Iterator<Item = (&'static Place, bool)> {
    PLACES.iter().filter_map(|place| Some((place, std::fs::metadata(place.path).ok()?.is_dir())))
}

/// Where the container has the cell's mount.
fn destination(cell: &str) -> String {
    if cell.starts_with('/') { cell.to_owned() } else { format!("/c/{cell}") }
}

/// Cells of a table: names, and what each is asked by.
struct Cells<T>(Vec<(String, T)>);

impl<T> Cells<T> {
    /// Those with this verdict.
    fn of(
        all: impl IntoIterator<Item = (String, Granted, T)>,
        level: Level,
        granted: bool,
    ) -> Self {
        let wanted = all.into_iter().filter(|(_, verdict, _)| verdict.at(level) == granted);
        Self(wanted.map(|(name, _, how)| (name, how)).collect())
    }

    /// That a container that asked for all of them was refused for each.
    fn are_refused(&self, run: &Run) -> Result<String> {
        if run.ok() || !run.stderr.contains("lockc: ") {
            bail!("{} mounts, status {}: {}", self.0.len(), run.status, run.said());
        }
        // An engine shows the first reason; lockc keeps all of them.
        let all = command::with_all_reasons(&run.stderr);
        let named = |name: &str| {
            [" ", "\"", ":", ";"]
                .iter()
                .any(|end| all.contains(&format!("at {}{end}", destination(name))))
        };
        let missing: Vec<_> =
            self.0.iter().map(|(name, _)| name.as_str()).filter(|name| !named(name)).collect();
        match missing.is_empty() {
            true => Ok(format!("{} mounts refused", self.0.len())),
            false => bail!("NOT REFUSED: {}; {}; {all}", missing.join(", "), run.stderr),
        }
    }

    /// That a container which printed [`LIST`]'s lines has them all.
    fn are_there(&self, said: &str) -> Result<String> {
        match self.0.iter().find(|(name, _)| !said.lines().any(|line| line == destination(name))) {
            None => Ok(format!("{} mounts granted", self.0.len())),
            Some((name, _)) => bail!("{name} is not there: {said}"),
        }
    }
}

/// Opens every mount of the table.
const LIST: &str = "for d in /c/*; do if [ -d $d ]; then ls $d; else head -c 1 $d; fi > /dev/null \
                    || exit 1; echo $d; done";
