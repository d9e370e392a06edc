//! The table by Docker's options: `-v`, volumes of the local driver, parts of volumes.

use anyhow::{Context, Result};

use super::{
    Always, AtBaseline, Baseline, Cells, Granted, LIST, Level, Never, Restricted, destination,
    places,
};
use crate::cases::{Row, Test, row};
use crate::command;
use crate::docker::{Background, IMAGE};
use crate::lab::Lab;
use crate::launch::Runtime;

pub const ROWS: &[Row] = &[
    row("docker/sources-refused-baseline", Test::Code(|lab, _| refused(lab, Baseline, OWN))),
    row("docker/sources-refused-restricted", Test::Code(|lab, _| refused(lab, Restricted, OWN)))
        .thorough(),
    row("docker/sources-granted-baseline", Test::Code(|lab, _| granted(lab, Baseline, OWN)))
        .thorough(),
    row("docker/sources-granted-restricted", Test::Code(|lab, _| granted(lab, Restricted, OWN)))
        .thorough(),
    row("docker/places-refused-baseline", Test::Code(|lab, _| refused(lab, Baseline, PLACES))),
    row("docker/places-refused-restricted", Test::Code(|lab, _| refused(lab, Restricted, PLACES)))
        .thorough(),
    row("docker/places-granted-baseline", Test::Code(|lab, _| granted(lab, Baseline, PLACES)))
        .thorough(),
    row("docker/files-of-a-third", Test::Code(of_a_third)),
];

/// Groups of cells that share a container: lockc keeps the first 64 reasons.
type Group = &'static [fn(&mut Lab) -> Result<Made>];

const OWN: Group = &[own];
const PLACES: Group = &[binds, volumes];

/// Cells with Docker's options for them, and the other container that some lead to.
struct Made {
    cells: Vec<(String, Granted, Vec<String>)>,
    _other: Option<Background>,
}

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

/// `OTHER` is another container's directory of mounts, `MERGED` its root, `VOLUMES` where volumes
/// are, `DISK` a loop device with a file system that is mounted nowhere.
const CELLS: &[(&str, How, Granted)] = &[
    // Volumes on file systems that are mounted nowhere else.
    ("tmpfs", Volume("tmpfs", "tmpfs", "size=1m"), Always),
    ("ramfs", Volume("ramfs", "ramfs", ""), Always),
    (
        "overlay-of-volumes",
        Volume("overlay", "overlay", "lowerdir=VOLUMES/va/_data:VOLUMES/vb/_data"),
        Always,
    ),
    (
        "overlay-of-granted",
        Volume("overlay", "overlay", "lowerdir=/srv/table/plain/sub:/home/user/data"),
        AtBaseline,
    ),
    ("overlay-etc", Volume("overlay", "overlay", "lowerdir=/etc:/root"), Never),
    (
        "overlay-upper-etc",
        Volume(
            "overlay",
            "overlay",
            "lowerdir=/boot,upperdir=/srv/sources/upper,workdir=/srv/sources/work",
        ),
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
    ("bind-volume", Volume("none", "VOLUMES/va/_data", "bind"), Always),
    ("bind-others-root", Volume("none", "MERGED", "bind"), Never),
    ("bind-others-shm", Volume("none", "OTHER/shm", "bind"), Never),
    ("rbind-of-more", Volume("none", "/srv/sources/jail", "rbind"), Never),
    // Bind mounts.
    ("/sbin/docker-init", Bind("/usr/bin/docker-init", "rw"), Never),
    ("others-root", Bind("MERGED", "ro"), Never),
    ("others-hosts", Bind("OTHER/../hosts", "ro"), Never),
    ("volume-by-path", Bind("VOLUMES/va/_data", "rw"), Always),
    // A part of a volume.
    ("subpath", Subpath("va", "in"), Always),
];

/// [`CELLS`], with what they name made once.
fn own(lab: &mut Lab) -> Result<Made> {
    super::make()?;
    let docker = lab.docker()?;
    let other = docker.background("", &["--ipc", "shareable", IMAGE, "sleep", "1000"])?;
    let merged = other.inspect("{{.GraphDriver.Data.MergedDir}}")?;
    let files = other.inspect("{{.HostsPath}}")?;
    let script = "set -e; cd /srv; mkdir -p sources/jail/h sources/upper sources/work; ln -sfn \
                  /etc sources/link; mountpoint -q sources/jail || { mount --bind sources/jail \
                  sources/jail; mount --make-private sources/jail; mount --bind / sources/jail/h; \
                  }; [ -e disk ] || { truncate -s 64M disk; mkfs.btrfs -q --mixed disk; losetup \
                  -f --show disk > disk.loop; }; docker volume create va > /dev/null; docker \
                  volume create vb > /dev/null; mkdir -p $(docker volume inspect -f \
                  '{{.Mountpoint}}' va)/in; cat disk.loop; dirname $(dirname $(docker volume \
                  inspect -f '{{.Mountpoint}}' va))";
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
    for (name, how, granted) in CELLS {
        let mounts = match how {
            // Some kernels of the machines lack a few.
            Volume(kind, ..)
                if *kind != "none"
                    && !known.lines().any(|line| line.ends_with(&format!("\t{kind}"))) =>
            {
                continue;
            }
            Volume(kind, device, options) => local(name, kind, &place(device), &place(options)),
            Bind(source, options) => bind(&place(source), &destination(name), options),
            Subpath(volume, path) => {
                vec![
                    "--mount".into(),
                    format!("type=volume,source={volume},target=/c/{name},volume-subpath={path}"),
                ]
            }
        };
        cells.push(((*name).to_owned(), *granted, mounts));
    }
    Ok(Made { cells, _other: Some(other) })
}

/// `-v` of each place, every other one writable.
fn binds(_: &mut Lab) -> Result<Made> {
    super::make()?;
    let cell = |(n, (place, _)): (usize, (&super::Place, bool))| {
        let options = if n % 2 == 0 { "ro" } else { "rw" };
        (
            place.name.to_owned(),
            place.granted,
            bind(place.path, &format!("/c/{}", place.name), options),
        )
    };
    Ok(Made { cells: places().enumerate().map(cell).collect(), _other: None })
}

/// A volume of the local driver of each directory, with what is mounted below where that is what
/// the cell is about: taking a copy of the whole root away again would take the host's mounts with
/// it.
fn volumes(_: &mut Lab) -> Result<Made> {
    super::make()?;
    let cell = |(place, _): (&super::Place, bool)| {
        let options = if place.name.ends_with("-below") { "rbind" } else { "bind" };
        (place.name.to_owned(), place.granted, local(place.name, "none", place.path, options))
    };
    Ok(Made {
        cells: places().filter(|(_, is_directory)| *is_directory).map(cell).collect(),
        _other: None,
    })
}

fn bind(source: &str, at: &str, options: &str) -> Vec<String> {
    vec!["-v".into(), format!("{source}:{at}:{options}")]
}

/// Made with the container: a client of its own for each volume takes a second.
fn local(name: &str, kind: &str, device: &str, options: &str) -> Vec<String> {
    let mut mount = format!("type=volume,source=v-{name},target=/c/{name},volume-opt=type={kind}");
    mount += &format!(",volume-opt=device={device}");
    if !options.is_empty() {
        mount += &format!(",\"volume-opt=o={options}\"");
    }
    vec!["--mount".into(), mount]
}

fn words<'a>(
    level: Level,
    cells: &'a Cells<Vec<String>>,
    last: &[&'a str],
) -> (&'static str, Vec<&'a str>) {
    let user: &[&str] = match level {
        Baseline => &[],
        Restricted => &["--user", "1000", "--cap-drop", "ALL"],
    };
    let mounts = cells.0.iter().flat_map(|(_, mounts)| mounts.iter().map(String::as_str));
    let words = user
        .iter()
        .copied()
        .chain(mounts)
        .chain(std::iter::once(IMAGE))
        .chain(last.iter().copied())
        .collect();
    (if level == Baseline { "lockc" } else { "lockc-restricted" }, words)
}

/// The cells of a group; volumes of the case before lead to a container that is gone.
fn fresh(lab: &mut Lab, make: fn(&mut Lab) -> Result<Made>) -> Result<Made> {
    lab.docker()?;
    command::sh("docker volume ls -q --filter name=v- | xargs -r docker volume rm")?;
    make(lab)
}

fn refused(lab: &mut Lab, level: Level, group: Group) -> Result<String> {
    let mut said = Vec::new();
    for made in group {
        let made = fresh(lab, *made)?;
        let plain = lab.plain;
        let docker = lab.docker()?;
        let cells = Cells::of(made.cells, level, false);
        let (runtime, words) = words(level, &cells, &["true"]);
        docker.run("", &words)?.must().context("proves nothing: it fails without lockc too")?;
        if !plain {
            said.push(cells.are_refused(&docker.run(runtime, &words)?)?);
        }
    }
    Ok(said.join(", "))
}

fn granted(lab: &mut Lab, level: Level, group: Group) -> Result<String> {
    let mut said = Vec::new();
    for made in group {
        let made = fresh(lab, *made)?;
        let plain = lab.plain;
        let docker = lab.docker()?;
        let cells = Cells::of(made.cells, level, true);
        let (runtime, words) = words(level, &cells, &["sh", "-c", LIST]);
        said.push(cells.are_there(&docker.run(if plain { "" } else { runtime }, &words)?.must()?)?);
    }
    Ok(said.join(", "))
}

/// A container that joins another's namespaces gets the files that belong to them, and not those of
/// a third at the same places.
fn of_a_third(lab: &mut Lab, _: Runtime) -> Result<String> {
    let plain = lab.plain;
    let docker = lab.docker()?;
    let runtime = if plain { "" } else { "lockc" };
    let mine = docker.background(runtime, &["--ipc", "shareable", IMAGE, "sleep", "1000"])?;
    let third = docker.background(runtime, &["--ipc", "shareable", IMAGE, "sleep", "1000"])?;
    for c in [&mine, &third] {
        c.exec(&["sh", "-c", &format!("echo {} > /dev/shm/whose", c.name)])?.must()?;
    }
    let joined = format!("container:{}", mine.name);
    let hosts = third.inspect("{{.HostsPath}}")?;
    let run = |runtime: &str, more: &[&str]| {
        let join = ["--ipc", joined.as_str(), "--network", joined.as_str()];
        docker.run_in(
            runtime,
            &[&join, more, &[IMAGE, "sh", "-c", "cat /dev/shm/whose /etc/hosts"]].concat(),
        )
    };
    let own = run(runtime, &[])?.must().context("joins the namespaces")?;
    anyhow::ensure!(own.contains(&mine.name), "{own}");
    let mut said = String::new();
    for (source, destination) in
        [(hosts.replace("/hosts", "/mounts/shm"), "/dev/shm"), (hosts.clone(), "/etc/hosts")]
    {
        let volume = format!("{source}:{destination}");
        run("", &["-v", &volume])?.must().with_context(|| format!("proves nothing: {volume}"))?;
        if !plain {
            said =
                command::shows(&run(runtime, &["-v", &volume])?, &["host-mounts: ", destination])?;
        }
    }
    Ok(said)
}
