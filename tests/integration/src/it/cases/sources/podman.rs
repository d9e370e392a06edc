//! The table by Podman's options: `-v`, `-v SOURCE:DEST:O`, volumes of the local driver. And what
//! is Podman's only: images, builds, root file systems.

use anyhow::{Context, Result, bail};

use super::{Always, AtBaseline, Baseline, Cells, Granted, LIST, Level, Never, Restricted, places};
use crate::cases::{Row, Test, row};
use crate::command;
use crate::lab::Lab;
use crate::podman::IMAGE;

pub const ROWS: &[Row] = &[
    row("podman/places-baseline", Test::Code(|lab, _| table(lab, Baseline, binds, 100))).thorough(),
    row("podman/places-restricted", Test::Code(|lab, _| table(lab, Restricted, binds, 100)))
        .thorough(),
    row("podman/overlays-baseline", Test::Code(|lab, _| table(lab, Baseline, overlays, 100))),
    row("podman/overlays-restricted", Test::Code(|lab, _| table(lab, Restricted, overlays, 100)))
        .thorough(),
    row("podman/volumes-baseline", Test::Code(|lab, _| table(lab, Baseline, volumes, 1)))
        .thorough(),
    row("podman/volumes-restricted", Test::Code(|lab, _| table(lab, Restricted, volumes, 1)))
        .thorough(),
    row("podman/files-of-a-third", Test::Code(of_a_third)),
    row("podman/transient-store", Test::Code(transient)).thorough(),
    row("podman/rootfs-of-the-host", Test::Code(rootfs)),
    row("podman/overlay-of-a-volume", Test::Code(overlay)).thorough(),
    row("podman/image-mount", Test::Code(image)).thorough(),
    row("podman/build", Test::Code(build)),
];

/// Cells with the value of `-v`.
type Made = Vec<(String, Granted, String)>;

/// `-v` of each place, every other one writable.
fn binds() -> Result<Made> {
    let cell = |(n, (place, _)): (usize, (&super::Place, bool))| {
        let options = if n % 2 == 0 { "ro" } else { "rw" };
        (
            place.name.to_owned(),
            place.granted,
            format!("{}:/c/{}:{options}", place.path, place.name),
        )
    };
    Ok(places().enumerate().map(cell).collect())
}

/// `:O` of each directory: what is mounted in it does not come along, and some file systems cannot
/// be below an overlay.
fn overlays() -> Result<Made> {
    let upper = ["cgroup2", "mqueue", "devpts", "hugetlbfs", "bpf", "proc", "binfmt"];
    let cell = |(place, _): (&super::Place, bool)| {
        let granted = if place.name.ends_with("-below") { AtBaseline } else { place.granted };
        (place.name.to_owned(), granted, format!("{}:/c/{}:O", place.path, place.name))
    };
    let can = |(place, is_directory): &(&super::Place, bool)| {
        *is_directory && !upper.contains(&place.name)
    };
    Ok(places().filter(can).map(cell).collect())
}

/// Volumes of the local driver: type, device, options. Each in a container of its own: Podman does
/// not always mount all of a dozen of them (5.4, 5.8; with every runtime).
const VOLUMES: &[(&str, &str, &str, &str, Granted)] = &[
    ("tmpfs", "tmpfs", "tmpfs", "size=1m", Always),
    ("ramfs", "ramfs", "ramfs", "", Always),
    ("overlay", "overlay", "overlay", "lowerdir=/srv/table/plain/sub:/home/user/data", AtBaseline),
    ("overlay-etc", "overlay", "overlay", "lowerdir=/etc:/root", Never),
    ("overlay-link", "overlay", "overlay", "lowerdir=/srv/table/link:/srv/table/plain", Never),
    ("disk", "btrfs", "/srv/table/loop", "", Never),
    ("proc", "proc", "proc", "", Never),
    ("sysfs", "sysfs", "sysfs", "", Never),
    ("debugfs", "debugfs", "debugfs", "", Never),
    ("tracefs", "tracefs", "tracefs", "", Never),
    ("securityfs", "securityfs", "securityfs", "", Never),
    ("cgroup2", "cgroup2", "cgroup2", "", Never),
    ("devtmpfs", "devtmpfs", "devtmpfs", "", Never),
    ("mqueue", "mqueue", "mqueue", "", Never),
    ("bind-plain", "none", "/srv/table/plain", "bind", AtBaseline),
    ("bind-tmpfs", "none", "/srv/table/tmpfs", "bind", AtBaseline),
    ("bind-etc", "none", "/etc", "bind", Never),
    ("bind-proc", "none", "/srv/table/proc", "bind", Never),
    ("bind-jail", "none", "/srv/table/jail", "rbind", Never),
];

fn volumes() -> Result<Made> {
    let loop_device = "cd /srv/table; [ -e loop ] || { truncate -s 64M l.img; mkfs.btrfs -q \
                       --mixed l.img; ln -s $(losetup -f --show l.img) loop; }; ";
    let make = VOLUMES.iter().map(|(name, kind, device, options, _)| {
        let options = if options.is_empty() { String::new() } else { format!("-o o={options}") };
        format!(
            "podman volume exists t-{name} || podman volume create -o type={kind} -o \
             device={device} {options} t-{name}; "
        )
    });
    command::sh(&std::iter::once(loop_device.to_owned()).chain(make).collect::<String>())?;
    let known = std::fs::read_to_string("/proc/filesystems")?;
    let is_known = |kind: &str| {
        kind == "none" || known.lines().any(|line| line.ends_with(&format!("\t{kind}")))
    };
    let cells = VOLUMES.iter().filter(|(_, kind, ..)| is_known(kind));
    Ok(cells
        .map(|(name, .., granted)| ((*name).to_owned(), *granted, format!("t-{name}:/c/{name}")))
        .collect())
}

/// What is refused of one container, and what is granted of another, with so many mounts at once.
fn table(
    lab: &mut Lab,
    level: Level,
    made: fn() -> Result<Made>,
    at_once: usize,
) -> Result<String> {
    let plain = lab.plain;
    let podman = lab.podman()?;
    super::make()?;
    let user: &[&str] = match level {
        Baseline => &[],
        Restricted => &["--user", "1000", "--cap-drop", "ALL"],
    };
    let runtime = if level == Baseline { "lockc-baseline" } else { "lockc-restricted" };
    let words = |cells: &Cells<String>, last: &[&str]| -> Vec<String> {
        let mounts = cells.0.iter().flat_map(|(_, volume)| ["-v", volume.as_str()]);
        user.iter()
            .copied()
            .chain(mounts)
            .chain([IMAGE])
            .chain(last.iter().copied())
            .map(str::to_owned)
            .collect()
    };
    let run = |runtime: &str, words: &[String]| {
        let run = podman.run(runtime, &words.iter().map(String::as_str).collect::<Vec<_>>());
        // conmon has Podman clean up once more: the next container's volumes would be taken away.
        let over = "! pgrep -f 'podman.* container [c]leanup' > /dev/null && ! grep -q \
                    storage/volumes /proc/mounts";
        command::patiently(
            "Podman's cleaning up",
            || Ok(command::run(&["bash", "-c", over])?.ok()),
        )
        .with_context(|| {
            command::sh("pgrep -af podman; grep storage/volumes /proc/mounts").unwrap_or_default()
        })?;
        run
    };
    let made = made()?;
    let mut counts = [0, 0];
    for cells in made.chunks(at_once) {
        let refused = Cells::of(cells.to_vec(), level, false);
        if !refused.0.is_empty() {
            let asked = words(&refused, &["true"]);
            run("crun", &asked)?.must().context("proves nothing: it fails without lockc too")?;
            if !plain {
                refused.are_refused(&run(runtime, &asked)?)?;
            }
        }
        let granted = Cells::of(cells.to_vec(), level, true);
        if !granted.0.is_empty() {
            let list = words(&granted, &["sh", "-c", LIST]);
            granted.are_there(&run(if plain { "crun" } else { runtime }, &list)?.must()?)?;
        }
        counts = [counts[0] + refused.0.len(), counts[1] + granted.0.len()];
    }
    Ok(format!("{} mounts refused, {} mounts granted", counts[0], counts[1]))
}

/// A container with a directory of the host's, or with another container's root, as its root file
/// system: `--rootfs DIR`, `--rootfs DIR:O`.
fn rootfs(lab: &mut Lab, _: crate::launch::Runtime) -> Result<String> {
    let plain = lab.plain;
    let podman = lab.podman()?;
    let other = podman.background("crun", &[IMAGE, "sleep", "1000"])?;
    let others = other.inspect("{{.GraphDriver.Data.MergedDir}}")?;
    let mut said = String::new();
    for root in ["/usr", &others] {
        for root in [root.to_owned(), format!("{root}:O")] {
            let options = ["--rootfs", &root, "/bin/true"];
            podman
                .run("crun", &options)?
                .must()
                .with_context(|| format!("proves nothing: {root}"))?;
            for runtime in if plain { &[][..] } else { &["lockc-baseline", "lockc-restricted"] } {
                said = command::shows(&podman.run(runtime, &options)?, &["rootfs: "])
                    .with_context(|| root.clone())?;
            }
        }
    }
    // A root file system in an allowed directory, as buildroot's and debootstrap's users have it.
    let unpack = "mkdir -p /srv/sources/root/bin; cp /bin/busybox /srv/sources/root/bin/true";
    command::sh(unpack).context("cannot make a root file system")?;
    let runtime = if plain { "crun" } else { "lockc-baseline" };
    podman.run(runtime, &["--rootfs", "/srv/sources/root", "/bin/true"])?.must()?;
    Ok(said)
}

fn overlay(lab: &mut Lab, _: crate::launch::Runtime) -> Result<String> {
    let plain = lab.plain;
    let podman = lab.podman()?;
    command::sh("podman volume exists ov || podman volume create ov")?;
    for (runtime, options) in [
        ("lockc-baseline", &[][..]),
        ("lockc-restricted", &["--user", "1000", "--cap-drop", "ALL"]),
    ] {
        let runtime = if plain { "crun" } else { runtime };
        let words = [
            options,
            &["-v", "ov:/d:O", "--tmpfs", "/t", IMAGE, "sh", "-c", "ls /d; echo x > /t/f"],
        ]
        .concat();
        podman.run(runtime, &words)?.must().with_context(|| runtime.to_owned())?;
    }
    Ok("changes go to the container's own directory".into())
}

fn image(lab: &mut Lab, _: crate::launch::Runtime) -> Result<String> {
    let runtime = if lab.plain { "crun" } else { "lockc-baseline" };
    let podman = lab.podman()?;
    let mut said = String::new();
    for more in ["", ",rw=true"] {
        let mount = format!("type=image,source={IMAGE},destination=/img{more}");
        said =
            podman.run(runtime, &["--mount", &mount, IMAGE, "ls", "/img/bin/busybox"])?.must()?;
    }
    Ok(said)
}

/// `podman build`, whose steps buildah runs by the runtime that it is told.
fn build(lab: &mut Lab, _: crate::launch::Runtime) -> Result<String> {
    let runtime = if lab.plain { "/usr/bin/crun" } else { crate::launch::WRAPPER };
    lab.podman()?;
    let file = format!(
        "FROM {IMAGE}\nCOPY f /f\nRUN cat /f && id -u && touch /made\nRUN \
         --mount=type=cache,target=/c touch /c/x\nRUN --mount=type=secret,id=s cat \
         /run/secrets/s\nRUN --mount=type=tmpfs,target=/t touch /t/x\nUSER 1000\nRUN id -u\n"
    );
    command::sh(
        "mkdir -p /srv/sources/ctx && echo hi > /srv/sources/ctx/f && echo s3 > \
         /srv/sources/secret",
    )?;
    std::fs::write("/srv/sources/ctx/Dockerfile", file)?;
    let build = || {
        let line = format!(
            "cd /srv/sources && podman build --runtime {runtime} -q --network none --no-cache \
             --secret id=s,src=/srv/sources/secret -t lockc-built ctx"
        );
        // Seven steps, each in a container of its own.
        command::run_for(400, &["bash", "-c", &line], "")?.must()
    };
    build().context("podman build")?;
    std::fs::write("/srv/sources/ctx/Dockerfile", format!("FROM {IMAGE}\nRUN ls /sys/fs/ext4\n"))?;
    match build() {
        Ok(said) if lab.plain => Ok(said),
        Ok(said) => bail!("a step is NOT CONFINED: {said}"),
        Err(error) => Ok(format!("{error:#}")),
    }
}

/// A container that joins another's namespaces gets the files that belong to them, and not those of
/// a third at the same places.
fn of_a_third(lab: &mut Lab, _: crate::launch::Runtime) -> Result<String> {
    let plain = lab.plain;
    let podman = lab.podman()?;
    let runtime = if plain { "crun" } else { "lockc-baseline" };
    let mine = podman.background(runtime, &["--ipc", "shareable", IMAGE, "sleep", "1000"])?;
    let third = podman.background(runtime, &["--ipc", "shareable", IMAGE, "sleep", "1000"])?;
    for c in [&mine, &third] {
        c.exec(&["sh", "-c", &format!("echo {} > /dev/shm/whose", c.name)])?.must()?;
    }
    let joined = format!("container:{}", mine.name);
    let run = |runtime: &str, more: &[&str]| {
        let join = ["--ipc", joined.as_str(), "--network", joined.as_str()];
        podman.run(
            runtime,
            &[&join, more, &[IMAGE, "sh", "-c", "cat /dev/shm/whose /etc/hosts"]].concat(),
        )
    };
    let own = run(runtime, &[])?.must().context("joins the namespaces")?;
    anyhow::ensure!(own.contains(&mine.name), "{own}");
    let mut said = String::new();
    for (path, destination) in [("shm", "/dev/shm"), ("hosts", "/etc/hosts")] {
        let find = "for d in /var/lib/containers/storage /run/containers/storage; do ls -d \
                    $d/overlay-containers/$0/userdata/$1 2> /dev/null; done | head -n 1";
        let source =
            command::run(&["bash", "-c", find, &third.inspect("{{.Id}}")?, path])?.must()?;
        let volume = format!("{source}:{destination}");
        run("crun", &["-v", &volume])?
            .must()
            .with_context(|| format!("proves nothing: {volume}"))?;
        if !plain {
            said =
                command::shows(&run(runtime, &["-v", &volume])?, &["host-mounts: ", destination])?;
        }
    }
    Ok(said)
}

/// Containers of which nothing outlives a reboot: what Podman writes down of them, and their
/// bundles, are below `/run`, where CRI-O's are.
fn transient(lab: &mut Lab, _: crate::launch::Runtime) -> Result<String> {
    let runtime = if lab.plain { "crun" } else { "lockc-baseline" };
    lab.podman()?;
    let podman = format!("podman --transient-store --runtime {runtime}");
    let script = format!(
        "set -e; trap '{podman} rm -f -t 0 tr > /dev/null' EXIT; {podman} run -d --network none \
         --ipc shareable --name tr {IMAGE} sleep 1000 > /dev/null; {podman} exec tr sh -c 'echo \
         shared > /dev/shm/f'; {podman} run --rm --network container:tr --ipc container:tr \
         {IMAGE} sh -c 'cat /dev/shm/f; wc -l < /etc/hosts'"
    );
    let said = command::sh(&script)?;
    anyhow::ensure!(said.contains("shared"), "{said}");
    Ok(said)
}
