//! The table by containerd: `hostPath` and kubelet's volumes of a pod by its CRI, mounts of ctr's.

use anyhow::{Context, Result};

use super::{Always, Baseline, Cells, Granted, LIST, Level, Never, Place, Restricted, at, places};
use crate::cases::cri::refusal;
use crate::cases::ctr::HARDENED;
use crate::cases::{Row, Test, row};
use crate::command::{self, Run};
use crate::containerd::{IMAGE, TOLD};
use crate::cri::Pod;
use crate::cri::describe::{container, pod};
use crate::cri::proto::ContainerConfig;
use crate::lab::Lab;
use crate::launch::{Runtime, WRAPPER, fresh_id};

pub const ROWS: &[Row] = &[
    case("cri/places-baseline", |lab, _| pods(lab, Baseline, host_paths)).thorough(),
    case("cri/places-restricted", |lab, _| pods(lab, Restricted, host_paths)).thorough(),
    case("cri/volumes-baseline", |lab, _| pods(lab, Baseline, volumes)),
    case("cri/volumes-restricted", |lab, _| pods(lab, Restricted, volumes)).thorough(),
    case("cri/files-of-another-pod", |lab, _| of_another_pod(lab)),
    case("ctr/places-baseline", |lab, _| by_ctr(lab, Baseline)).thorough(),
    case("ctr/places-restricted", |lab, _| by_ctr(lab, Restricted)).thorough(),
];

const fn case(name: &'static str, code: fn(&mut Lab, Runtime) -> Result<String>) -> Row {
    row(name, Test::Code(code))
}

/// Cells with the path that kubelet names.
type Made = Vec<(String, Granted, String)>;

/// `hostPath` of each place: `allowed_mounts` is empty here.
fn host_paths(_: &Pod) -> Result<Made> {
    Ok(places().map(|(place, _)| (place.name.to_owned(), Never, place.path.to_owned())).collect())
}

/// Volumes by kubelet's plugin, and what makes one at `$v`; `on` mounts there.
const VOLUMES: &[(Place, &str)] = &[
    // Of kubelet's own, and what drivers mount.
    (at("empty-dir", "empty-dir", Always), ""),
    (at("memory", "empty-dir", Always), "on -t tmpfs tmpfs"),
    (at("secret", "secret", Always), "on -t tmpfs tmpfs"),
    (at("config-map", "configmap", Always), ""),
    (
        at("csi-btrfs", "csi", Always),
        "truncate -s 64M $v.img; mkfs.btrfs -q --mixed $v.img; on -o loop $v.img",
    ),
    (
        at("csi-erofs", "csi", Always),
        "mkfs.erofs --quiet $v.img /srv/table/plain/sub > /dev/null; on -t erofs -o loop,ro $v.img",
    ),
    (
        at("csi-fuse", "csi", Always),
        "fuse-overlayfs -o allow_other,lowerdir=/srv/table/plain/sub $v",
    ),
    (
        at("csi-overlay", "csi", Always),
        "on -t overlay -o lowerdir=/srv/table/plain/sub:/home/user/data overlay",
    ),
    (at("csi-ramfs", "csi", Always), "on -t ramfs ramfs"),
    (at("csi-directory", "csi", Always), "on --bind /srv/table/plain/sub"),
    (at("csi-tmpfs-below", "csi", Always), "mkdir -p $v/d; mount -t tmpfs tmpfs $v/d"),
    (at("local", "local-volume", Always), "on --bind /srv/table/plain"),
    (at("local-disk", "local-volume", Always), "on --bind /srv/table/btrfs"),
    // Directories of the host that no driver mounted.
    (at("empty-dir-of-the-host", "empty-dir", Never), "on --bind /home/user/data"),
    (at("secret-of-the-host", "secret", Never), "on --bind /srv/table/above"),
    // What belongs to the host, and what shows its kernel, whoever mounted it.
    (at("local-etc", "local-volume", Never), "on --bind /etc"),
    (at("local-run", "local-volume", Never), "on --bind /run"),
    (at("csi-usr", "csi", Never), "on --bind /usr"),
    (at("csi-proc", "csi", Never), "on -t proc proc"),
    (at("csi-sysfs", "csi", Never), "on -t sysfs sysfs"),
    (at("csi-cgroup2", "csi", Never), "on -t cgroup2 cgroup2"),
    (at("csi-devtmpfs", "csi", Never), "on -t devtmpfs devtmpfs"),
    (at("csi-mqueue", "csi", Never), "on -t mqueue mqueue"),
    (at("csi-proc-below", "csi", Never), "mkdir -p $v/d; mount -t proc proc $v/d"),
    (at("csi-etc-below", "csi", Never), "mkdir -p $v/d; mount --bind /etc $v/d"),
    (at("csi-link", "csi", Never), "rmdir $v; ln -s /etc $v"),
];

fn volumes(pod: &Pod) -> Result<Made> {
    let folder = pod.config.folder();
    let mut script = "set -e; on() { mount \"$@\" $v; }; ".to_owned();
    let mut made = Vec::new();
    for (volume, make) in VOLUMES {
        let path = format!("{folder}/volumes/kubernetes.io~{}/{}", volume.path, volume.name);
        script += &format!("v={path}; if ! [ -e $v ]; then mkdir -p $v; {make}\nfi; ");
        made.push((volume.name.to_owned(), volume.granted, path));
    }
    command::sh(&script)?;
    Ok(made)
}

/// What is refused of one container, and what is granted of another.
fn pods(lab: &mut Lab, level: Level, made: fn(&Pod) -> Result<Made>) -> Result<String> {
    super::make()?;
    let config = |words: &[&str], cells: &Cells<String>| {
        let config = container(words);
        let config = if level == Restricted { config.hardened() } else { config };
        cells.0.iter().fold(config, |config, (name, path)| {
            config.volume(path, &super::destination(name), false)
        })
    };
    let mut said = String::new();
    let namespace = if level == Restricted { "tight" } else { "default" };
    for handler in if lab.plain { &["runc"][..] } else { &["runc", "lockc"] } {
        let pod = lab.containerd()?.shared(handler, namespace)?;
        let made = made(&pod)?;
        let refused = Cells::of(made.clone(), level, false);
        let started = pod.start(&config(&["sleep", "1000"], &refused));
        if *handler == "runc" {
            started.context("proves nothing: it fails without lockc too")?;
        } else {
            let message = refusal(started, &["host-mounts: "])?;
            said =
                refused.are_refused(&Run { status: 1, stdout: String::new(), stderr: message })?;
        }
        let granted = Cells::of(made, level, true);
        if !granted.0.is_empty() {
            let run = pod.finish(&config(&["sh", "-c", LIST], &granted))?;
            said += &format!(", {}", granted.are_there(&run.must()?)?);
        }
    }
    Ok(said)
}

fn by_ctr(lab: &mut Lab, level: Level) -> Result<String> {
    lab.containerd()?;
    super::make()?;
    let binary = match level {
        Baseline => WRAPPER,
        Restricted => TOLD,
    };
    let run = |binary: &str, cells: &Cells<String>, last: &[&str]| {
        let id = fresh_id();
        let mut words = vec!["ctr", "run", "--rm", "--runc-binary", binary];
        words.extend(if level == Restricted { HARDENED } else { &[] });
        words.extend(cells.0.iter().flat_map(|(_, mount)| ["--mount", mount.as_str()]));
        words.extend([IMAGE, id.as_str()]);
        words.extend(last);
        let run = command::run(&words)?;
        if !run.ok() {
            // It may have been made, and not started.
            let _ = command::run(&["ctr", "container", "rm", &id]);
        }
        anyhow::Ok(run)
    };
    let cell = |(n, (place, _)): (usize, (&Place, bool))| {
        let options = if n % 2 == 0 { "rbind:ro" } else { "rbind:rw" };
        let mount = format!("type=bind,src={},dst=/c/{},options={options}", place.path, place.name);
        (place.name.to_owned(), place.granted, mount)
    };
    let made: Made = places().enumerate().map(cell).collect();
    let refused = Cells::of(made.clone(), level, false);
    run("/usr/sbin/runc", &refused, &["true"])?
        .must()
        .context("proves nothing: it fails without lockc too")?;
    if lab.plain {
        return Ok("starts without lockc".into());
    }
    let mut said = refused.are_refused(&run(binary, &refused, &["true"])?)?;
    let granted = Cells::of(made, level, true);
    if !granted.0.is_empty() {
        said += &format!(
            ", {}",
            granted.are_there(&run(binary, &granted, &["sh", "-c", LIST])?.must()?)?
        );
    }
    Ok(said)
}

/// `/dev/shm` of another pod's sandbox, by a pod whose owner calls that sandbox its own in every
/// annotation. The handler passes on whatever is written there.
fn of_another_pod(lab: &mut Lab) -> Result<String> {
    let cri = lab.containerd()?.cri.clone();
    let handler = if lab.plain { "runc" } else { "lockc-all" };
    let other = Pod::run(&cri, handler, pod("default"))?;
    let shm = command::sh(&format!("ls -d /run/containerd/*/sandboxes/{}/shm", other.id))?;
    command::sh(&format!("echo of-another > {shm}/f"))?;
    let config = container(&["sh", "-c", "cat /dev/shm/f"]);
    let claims =
        |config: ContainerConfig| config.annotation("io.kubernetes.cri.sandbox-id", &other.id);
    let asks = claims(config.clone()).volume(&shm, "/dev/shm", false);
    let plain = Pod::run(&cri, "runc", pod("default"))?.finish(&asks)?.must()?;
    anyhow::ensure!(plain.contains("of-another"), "proves nothing: {plain}");
    if lab.plain {
        return Ok(plain);
    }
    let mine = Pod::run(
        &cri,
        handler,
        pod("default").annotation("io.kubernetes.cri.sandbox-id", &other.id),
    )?;
    let said = refusal(mine.start(&asks), &["host-mounts: ", "at /dev/shm"])?;
    // Its own sandbox's is mounted all the same.
    mine.finish(&claims(container(&["sh", "-c", "echo x > /dev/shm/g && ! cat /dev/shm/f"])))?
        .must()?;
    Ok(said)
}
