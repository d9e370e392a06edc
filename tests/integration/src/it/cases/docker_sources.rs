//! What a mount is decides, not what Docker calls it: kinds of mounts on kinds of file systems,
//! with the verdict at two levels. All that is refused is asked of one container, and all that is
//! granted of another: a refusal names each mount.

use anyhow::{Context, Result, bail};

use super::{Row, Test, row};
use crate::command;
use crate::docker::{Background, IMAGE};
use crate::lab::Lab;

pub const ROWS: &[Row] = &[
    row("docker/sources-refused-baseline", Test::Code(|lab, _| refused(lab, Level::Baseline))),
    row("docker/sources-refused-restricted", Test::Code(|lab, _| refused(lab, Level::Restricted))),
    row("docker/sources-granted-baseline", Test::Code(|lab, _| granted(lab, Level::Baseline))),
    row("docker/sources-granted-restricted", Test::Code(|lab, _| granted(lab, Level::Restricted))),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Baseline,
    Restricted,
}

/// Which levels grant it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Granted {
    Never,
    Baseline,
    Always,
}

use Granted::{Always, Baseline, Never};

/// A mount, by the name of its cell.
enum How {
    /// A volume of the local driver: type, device, options.
    Volume(&'static str, &'static str, &'static str),
    /// `-v SOURCE`, with options.
    Bind(&'static str, &'static str),
    /// A part of a named volume.
    Subpath(&'static str, &'static str),
}

use How::{Bind, Subpath, Volume};

/// `OTHER` is another container's directory of mounts, `MERGED` its root, `VOLUMES` where volumes are,
/// `DISK` a loop device with a file system that is mounted nowhere.
const CELLS: &[(&str, How, Granted)] = &[
    // Volumes on file systems that are mounted nowhere else.
    ("tmpfs", Volume("tmpfs", "tmpfs", "size=1m"), Always),
    ("ramfs", Volume("ramfs", "ramfs", ""), Always),
    ("overlay-of-volumes", Volume("overlay", "overlay", "lowerdir=VOLUMES/va/_data:VOLUMES/vb/_data"), Always),
    ("overlay-etc", Volume("overlay", "overlay", "lowerdir=/etc:/root"), Never),
    (
        "overlay-upper-etc",
        Volume("overlay", "overlay", "lowerdir=/boot,upperdir=/srv/sources/upper,workdir=/srv/sources/work"),
        Never,
    ),
    ("overlay-of-other", Volume("overlay", "overlay", "lowerdir=MERGED:/boot"), Never),
    ("overlay-of-link", Volume("overlay", "overlay", "lowerdir=/srv/sources/link:/boot"), Never),
    ("disk", Volume("btrfs", "DISK", ""), Never),
    ("proc", Volume("proc", "proc", ""), Never),
    ("sysfs", Volume("sysfs", "sysfs", ""), Never),
    ("debugfs", Volume("debugfs", "debugfs", ""), Never),
    ("tracefs", Volume("tracefs", "tracefs", ""), Never),
    ("securityfs", Volume("securityfs", "securityfs", ""), Never),
    ("bpf", Volume("bpf", "bpf", ""), Never),
    ("configfs", Volume("configfs", "configfs", ""), Never),
    ("binfmt", Volume("binfmt_misc", "binfmt_misc", ""), Never),
    ("cgroup2", Volume("cgroup2", "cgroup2", ""), Never),
    ("devtmpfs", Volume("devtmpfs", "devtmpfs", ""), Never),
    ("devpts", Volume("devpts", "devpts", ""), Never),
    ("mqueue", Volume("mqueue", "mqueue", ""), Never),
    ("hugetlbfs", Volume("hugetlbfs", "hugetlbfs", ""), Never),
    // Volumes that are bind mounts.
    ("bind-etc", Volume("none", "/etc", "bind"), Never),
    ("bind-root", Volume("none", "/", "bind"), Never),
    ("bind-usr", Volume("none", "/usr", "bind"), Never),
    ("bind-home", Volume("none", "/home/user", "bind"), Never),
    ("bind-ssh", Volume("none", "/home/user/.ssh", "bind"), Never),
    ("bind-data", Volume("none", "/home/user/data", "bind"), Baseline),
    ("bind-srv", Volume("none", "/srv/sources/ok", "bind"), Baseline),
    ("bind-volume", Volume("none", "VOLUMES/va/_data", "bind"), Always),
    ("bind-others-root", Volume("none", "MERGED", "bind"), Never),
    ("bind-others-shm", Volume("none", "OTHER/shm", "bind"), Never),
    ("bind-a-pods-token", Volume("none", "/var/lib/kubelet/pods/1-2/volumes/kubernetes.io~secret/s", "bind"), Never),
    ("rbind-of-more", Volume("none", "/srv/sources/jail", "rbind"), Never),
    // Bind mounts.
    ("etc", Bind("/etc", "ro"), Never),
    ("usr", Bind("/usr", "ro"), Never),
    ("cni", Bind("/opt/cni/bin", "rw"), Never),
    ("home", Bind("/home/user", "ro"), Never),
    ("ssh", Bind("/home/user/.ssh", "ro"), Never),
    ("data", Bind("/home/user/data", "rw"), Baseline),
    ("srv", Bind("/srv/sources/ok", "rw"), Baseline),
    ("jail", Bind("/srv/sources/jail", "rw"), Never),
    ("link", Bind("/srv/sources/link", "ro"), Never),
    ("init", Bind("/usr/bin/docker-init", "rw"), Never),
    ("others-root", Bind("MERGED", "ro"), Never),
    ("others-hosts", Bind("OTHER/../hosts", "ro"), Never),
    ("token", Bind("/var/lib/kubelet/pods/1-2/volumes/kubernetes.io~secret/s", "ro"), Never),
    ("volume-by-path", Bind("VOLUMES/va/_data", "rw"), Always),
    // A part of a volume.
    ("subpath", Subpath("va", "in"), Always),
];

/// The arguments of cells, with their names, and the other container that some lead to.
struct Cells {
    cells: Vec<(&'static str, Vec<String>)>,
    _other: Background,
}

/// Makes what the cells name, once.
fn arguments(lab: &mut Lab, wanted: impl Fn(Granted) -> bool) -> Result<Cells> {
    let docker = lab.docker()?;
    // Those of the case before lead to a container that is gone.
    command::sh("docker volume ls -q --filter name=v- | xargs -r docker volume rm")?;
    let other = docker.background("", &["--ipc", "shareable", IMAGE, "sleep", "1000"])?;
    let merged = other.inspect("{{.GraphDriver.Data.MergedDir}}")?;
    let files = other.inspect("{{.HostsPath}}")?;
    let script = "set -e; cd /srv; mkdir -p sources/ok sources/jail/h sources/upper sources/work /home/user/data \
                  /home/user/.ssh /opt/cni/bin; ln -sfn /etc sources/link; \
                  mountpoint -q sources/jail || { mount --bind sources/jail sources/jail; \
                  mount --make-private sources/jail; mount --bind / sources/jail/h; }; \
                  t=/var/lib/kubelet/pods/1-2/volumes/kubernetes.io~secret/s; mkdir -p $t; \
                  mountpoint -q $t || mount -t tmpfs tmpfs $t; modprobe -a loop btrfs configfs binfmt_misc 2> /dev/null || true; \
                  [ -e disk ] || { truncate -s 64M disk; mkfs.btrfs -q --mixed disk; losetup -f --show disk > disk.loop; }; \
                  docker volume create va > /dev/null; docker volume create vb > /dev/null; \
                  mkdir -p $(docker volume inspect -f '{{.Mountpoint}}' va)/in; cat disk.loop; \
                  dirname $(dirname $(docker volume inspect -f '{{.Mountpoint}}' va))";
    let said = command::sh(script).context("cannot make what is to be mounted")?;
    let (disk, volumes) = said.split_once('\n').context("no loop device")?;
    let place = |text: &str| {
        let (merged, mounts) = (merged.trim(), files.trim().replace("/hosts", "/mounts"));
        text.replace("MERGED", merged)
            .replace("OTHER", &mounts)
            .replace("VOLUMES", volumes.trim())
            .replace("DISK", disk)
    };
    let known = std::fs::read_to_string("/proc/filesystems")?;
    let mut cells = Vec::new();
    for (name, how, _) in CELLS.iter().filter(|(_, _, granted)| wanted(*granted)) {
        let at = format!("/c/{name}");
        let mounts = match how {
            // Some kernels of the machines lack a few.
            Volume(kind, ..) if *kind != "none" && !known.lines().any(|line| line.ends_with(&format!("\t{kind}"))) => {
                continue;
            }
            Volume(kind, device, options) => {
                // Made with the container: a client of its own for each volume takes a second.
                let mut mount = format!("type=volume,source=v-{name},target={at},volume-opt=type={kind}");
                mount += &format!(",volume-opt=device={}", place(device));
                if !options.is_empty() {
                    mount += &format!(",\"volume-opt=o={}\"", place(options));
                }
                vec!["--mount".into(), mount]
            }
            Bind(source, options) if *name == "init" => {
                vec!["-v".into(), format!("{}:/sbin/docker-init:{options}", place(source))]
            }
            Bind(source, options) => vec!["-v".into(), format!("{}:{at}:{options}", place(source))],
            Subpath(volume, path) => {
                vec!["--mount".into(), format!("type=volume,source={volume},target={at},volume-subpath={path}")]
            }
        };
        cells.push((*name, mounts));
    }
    Ok(Cells { cells, _other: other })
}

fn words<'a>(level: Level, cells: &'a [(&'static str, Vec<String>)], last: &[&'a str]) -> (&'static str, Vec<&'a str>) {
    let user: &[&str] = match level {
        Level::Baseline => &[],
        Level::Restricted => &["--user", "1000", "--cap-drop", "ALL"],
    };
    let mounts = cells.iter().flat_map(|(_, mounts)| mounts.iter().map(String::as_str));
    let words = user.iter().copied().chain(mounts).chain(std::iter::once(IMAGE)).chain(last.iter().copied()).collect();
    (if level == Level::Baseline { "lockc" } else { "lockc-restricted" }, words)
}

fn refused(lab: &mut Lab, level: Level) -> Result<String> {
    let made = arguments(lab, |granted| match level {
        Level::Baseline => granted == Never,
        Level::Restricted => granted != Always,
    })?;
    let cells = &made.cells;
    let plain = lab.plain;
    let docker = lab.docker()?;
    let (runtime, words) = words(level, cells, &["true"]);
    docker.run("", &words)?.must().context("proves nothing: it fails without lockc too")?;
    if plain {
        return Ok("starts without lockc".into());
    }
    let run = docker.run(runtime, &words)?;
    if run.ok() {
        bail!("STARTED with all of {} mounts", cells.len());
    }
    // Docker shows the first reason; lockc keeps all of them.
    let all = command::with_all_reasons(&run.stderr);
    let at = |name: &str| if name == "init" { "/sbin/docker-init".to_owned() } else { format!("/c/{name}") };
    let missing: Vec<_> = cells
        .iter()
        .filter(|(name, _)| ![" ", "\"", ":", ";"].iter().any(|end| all.contains(&format!("at {}{end}", at(name)))))
        .map(|(name, _)| *name)
        .collect();
    if missing.is_empty() {
        Ok(format!("{} mounts refused", cells.len()))
    } else {
        bail!("NOT REFUSED: {}; {}; {all}", missing.join(", "), run.stderr)
    }
}

fn granted(lab: &mut Lab, level: Level) -> Result<String> {
    let made = arguments(lab, |granted| match level {
        Level::Baseline => granted != Never,
        Level::Restricted => granted == Always,
    })?;
    let cells = &made.cells;
    let plain = lab.plain;
    let docker = lab.docker()?;
    let list = "for d in /c/*; do ls $d > /dev/null || exit 1; echo $d; done";
    let (runtime, words) = words(level, cells, &["sh", "-c", list]);
    let said = docker.run(if plain { "" } else { runtime }, &words)?.must()?;
    match cells.iter().find(|(name, _)| !said.lines().any(|line| line == format!("/c/{name}"))) {
        None => Ok(format!("{} mounts granted", cells.len())),
        Some((name, _)) => bail!("{name} is not there: {said}"),
    }
}
