//! dockerd: its containers, its volumes, and BuildKit inside of it.

use std::path::{Path, PathBuf};

use super::{
    belongs::Belongs,
    layout::{Layout, ROOTFS_PARENTS, Starter, below, is_read_only},
    namespaces,
    query::Query,
};
use crate::{engine::Engine, host::HostView, spec::Spec};

/// Data roots of the packages: Docker's own, and Canonical's snap; and what is gone after a boot.
const DIRS: [&str; 3] = ["/var/lib/docker", "/var/snap/docker/common/var-lib-docker", EXEC_ROOT];

/// Where dockerd has a directory for each plugin, for the plugin's socket (`exec-root`).
const EXEC_ROOT: &str = "/run/docker";

/// Where dockerd writes its process id (`pidfile`; moby 28, daemon/config/config_linux.go).
const PID_FILES: [&str; 2] = ["/run/docker.pid", "/var/run/docker.pid"];
const CONFIG: &str = "/etc/docker/daemon.json";

pub(super) struct Docker;

impl Layout for Docker {
    fn name(&self) -> &'static str {
        "docker"
    }

    fn engines(&self) -> &'static [Engine] {
        &[Engine::Docker]
    }

    fn usual_dirs(&self) -> &'static [&'static str] {
        &DIRS
    }

    /// BuildKit keeps the bundles of a build's steps in a directory of its own, where no other
    /// container's can be.
    fn starter(&self, dirs: &[PathBuf], bundle: &Path, _spec: &Spec) -> Option<Starter> {
        let is_dockers = is_container(bundle)
            || is_plugin(bundle)
            || dirs.iter().any(|dir| is_build(dir, bundle));
        is_dockers.then(|| Engine::Docker.into())
    }

    fn belongs(&self, dir: &Path, rest: &[&str], query: &Query<'_>) -> Option<Belongs> {
        let (dir, rest) = &remapped(dir, rest);
        let own = |owner: &str| owner == query.id();
        let builds = is_build(dir, query.request.bundle);
        let files = |is: bool| is.then_some(Belongs::Files);
        match *rest {
            ["containers", owner, file @ ("resolv.conf" | "hosts" | "hostname")] => {
                namespaces::belongs(query, owner, file)
            }
            ["containers", owner, "mounts", "shm"] => namespaces::belongs(query, owner, "shm"),
            ["containers", owner, "mounts", _, ..] => files(own(owner)),
            ["volumes", _, "_data", ..] => Some(Belongs::Volume),
            // A part of a volume or an image that is mounted by itself (moby 28,
            // volume/safepath/join_linux.go).
            ["tmp", name] if name.starts_with("safe-mount") => Some(Belongs::Transient),
            ["buildkit", "executor", file] => files(is_buildkits(file, query.destination())),
            ["buildkit", "executor", owner, ..] => files(own(owner)),
            // Caches, and what a step mounts of another stage, are snapshots. Nobody but BuildKit
            // chooses which.
            [driver, _, "diff" | "merged", ..] if builds && ROOTFS_PARENTS.contains(driver) => {
                Some(Belongs::Step)
            }
            [_, _, _, ..] if builds && layer_of(rest).is_some_and(|layer| layer.depth == 3) => {
                Some(Belongs::Step)
            }
            // A managed plugin's socket, and what it mounts for others (moby 28,
            // plugin/v2/plugin_linux.go).
            ["plugins", owner] => files(own(owner) && dir == Path::new(EXEC_ROOT)),
            ["plugins", owner, "propagated-mount", ..] => {
                files(own(owner) && is_plugin(query.request.bundle))
            }
            ["tmp", name, ..] if name.starts_with("buildkit-") => builds.then_some(Belongs::Step),
            _ => {
                let Layer { driver, name, depth } = layer_of(rest)?;
                // Overlays are mounted below the layer's directory.
                let whole = depth == 3 || matches!(rest[depth..], ["merged", ..] | []);
                let image =
                    whole && is_read_only(query) && is_image_mount(dir, driver, name, query);
                image.then_some(Belongs::Image)
            }
        }
    }

    fn is_rootfs(&self, dir: &Path, rest: &[&str], query: &Query<'_>) -> bool {
        let (dir, rest) = &remapped(dir, rest);
        if let ["plugins", owner, "rootfs"] = *rest {
            return *owner == query.id() && is_plugin(query.request.bundle);
        }
        layer_of(rest).is_some_and(|layer| {
            // Which layer a container has, dockerd writes down; with containerd's snapshotters it
            // does not.
            let record = layers(dir, layer.driver).join(query.id()).join("mount-id");
            query
                .view
                .read(&record)
                .ok()
                .is_none_or(|found| found.trim_ascii() == layer.name.as_bytes())
        })
    }

    fn configured_dirs(&self, view: &dyn HostView) -> Vec<PathBuf> {
        data_roots(view)
    }

    fn is_build_agent(&self, dir: &Path, source: &Path, bundle: &Path) -> bool {
        is_build_agent(dir, source, bundle)
    }
}

/// A layer in the directory of a storage driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Layer<'a> {
    driver: &'a str,
    name: &'a str,
    /// How many parts of a path lead to it.
    depth: usize,
}

/// The layer that a path is in, below the data root (moby 28, daemon/graphdriver: `Get` of each
/// driver).
fn layer_of<'a>(rest: &[&'a str]) -> Option<Layer<'a>> {
    match *rest {
        [driver @ "btrfs", "subvolumes", name, ..]
        | [driver @ "vfs", "dir", name, ..]
        | [driver @ "zfs", "graph", name, ..]
        | [driver @ ("devicemapper" | "aufs"), "mnt", name, ..] => {
            Some(Layer { driver, name, depth: 3 })
        }
        ["btrfs" | "vfs" | "zfs" | "devicemapper" | "aufs", ..] => None,
        [driver, name, ..] if ROOTFS_PARENTS.contains(&driver) => {
            Some(Layer { driver, name, depth: 2 })
        }
        _ => None,
    }
}

/// With `userns-remap` everything is one directory further down, which is named by the numbers of
/// the user and the group that are root in the containers.
fn remapped<'a, 'b>(dir: &Path, rest: &'a [&'b str]) -> (PathBuf, &'a [&'b str]) {
    match rest {
        [first, tail @ ..] if are_numbers(first) => (dir.join(first), tail),
        _ => (dir.into(), rest),
    }
}

/// Where dockerd keeps which container has which layer (moby 28, layer/filestore.go).
fn layers(dir: &Path, driver: &str) -> PathBuf {
    dir.join("image").join(driver).join("layerdb/mounts")
}

/// Whether `layer` is one that dockerd made to mount an image into this container: it is named by
/// the container's id and the image (moby 28, daemon/volumes.go).
fn is_image_mount(dir: &Path, driver: &str, layer: &str, query: &Query<'_>) -> bool {
    let prefix = format!("{}-", query.id());
    let named = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(prefix.as_bytes()))
    };
    let mut open: Vec<(PathBuf, u32)> = query
        .view
        .entries(&layers(dir, driver))
        .into_iter()
        .filter(named)
        .map(|path| (path, 0))
        .collect();
    // An image's name may have slashes, and so be several directories.
    while let Some((path, depth)) = open.pop() {
        if query
            .view
            .read(&path.join("mount-id"))
            .ok()
            .is_some_and(|found| found.trim_ascii() == layer.as_bytes())
        {
            return true;
        }
        if depth < 8 {
            open.extend(query.view.entries(&path).into_iter().map(|path| (path, depth + 1)));
        }
    }
    false
}

/// Whether a bundle is a container's of dockerd's, in its namespace of containerd's.
fn is_container(bundle: &Path) -> bool {
    is_in_namespace(bundle, "moby")
}

/// Whether a bundle is a managed plugin's: dockerd has them in a namespace of containerd's of
/// their own (`containerd-plugin-namespace`; moby 28, daemon/config/config_linux.go).
pub(crate) fn is_plugin(bundle: &Path) -> bool {
    is_in_namespace(bundle, "plugins.moby")
}

/// With `userns-remap` a namespace's name ends with the numbers of who is root in the containers
/// (moby 28, cmd/dockerd/daemon.go).
fn is_in_namespace(bundle: &Path, namespace: &str) -> bool {
    let Some(folder) = bundle.parent() else { return false };
    let name = folder
        .file_name()
        .and_then(|name| name.to_str())
        .and_then(|name| name.strip_prefix(namespace));
    let is_tasks =
        folder.parent().is_some_and(|tasks| tasks.ends_with("io.containerd.runtime.v2.task"));
    is_tasks
        && name
            .is_some_and(|rest| rest.is_empty() || rest.strip_prefix('-').is_some_and(are_numbers))
}

/// `UID.GID`.
fn are_numbers(text: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.split_once('.').is_some_and(|(uid, gid)| is_number(uid) && is_number(gid))
}

/// Whether a bundle is a step's of a build, in whatever data root.
pub(super) fn is_step(bundle: &Path) -> bool {
    bundle.parent().is_some_and(|parent| parent.ends_with("buildkit/executor"))
}

/// Whether BuildKit in dockerd keeps its steps' bundles there.
fn is_build(dir: &Path, bundle: &Path) -> bool {
    below(bundle, dir)
        .is_some_and(|rest| matches!(remapped(dir, &rest).1, ["buildkit", "executor", _]))
}

fn is_build_agent(dir: &Path, source: &Path, bundle: &Path) -> bool {
    let is_agent = |rest: Vec<&str>| {
        matches!(remapped(dir, &rest).1, ["tmp", folder,
        "ssh_auth_sock"] if folder.starts_with(".buildkit-ssh-sock"))
    };
    is_build(dir, bundle) && below(source, dir).is_some_and(is_agent)
}

/// Whether BuildKit made `file` for the steps of a build: its resolver configuration is shared by
/// all of them, the hosts are too unless the step has hosts or a name of its own (`hosts.` and a
/// random word; moby 26, buildkit/executor/oci).
fn is_buildkits(file: &str, destination: &Path) -> bool {
    match file {
        "resolv.conf" | "resolv-host.conf" => destination == Path::new("/etc/resolv.conf"),
        _ => {
            (file == "hosts" || file.starts_with("hosts."))
                && destination == Path::new("/etc/hosts")
        }
    }
}

/// The data roots that dockerd is told: by the arguments of the one that runs, and by its
/// configuration.
fn data_roots(view: &dyn HostView) -> Vec<PathBuf> {
    let pid = |file: &&str| {
        let text = String::from_utf8(view.read(Path::new(file)).ok()?).ok()?;
        text.trim().parse::<u32>().ok()
    };
    let arguments = PID_FILES
        .iter()
        .find_map(pid)
        .map(|pid| view.read(&PathBuf::from(format!("/proc/{pid}/cmdline"))).unwrap_or_default());
    let (mut roots, config) = arguments.as_deref().map(told).unwrap_or_default();
    roots.extend(data_root(config.as_deref().unwrap_or(Path::new(CONFIG)), view));
    roots
}

/// The data roots and the configuration file that a dockerd's arguments name.
fn told(arguments: &[u8]) -> (Vec<PathBuf>, Option<PathBuf>) {
    let arguments: Vec<&str> = arguments
        .split(|byte| *byte == 0)
        .map(|argument| str::from_utf8(argument).unwrap_or(""))
        .collect();
    let (mut roots, mut config) = (Vec::new(), None);
    let is_dockerd =
        arguments.first().is_some_and(|program| Path::new(program).ends_with("dockerd"));
    for (at, argument) in arguments.iter().enumerate().filter(|_| is_dockerd) {
        let (option, value) =
            argument.split_once('=').unwrap_or((argument, arguments.get(at + 1).unwrap_or(&"")));
        let path = Path::new(value);
        match option {
            "--data-root" | "--graph" | "-g" if is_root(path) => roots.push(path.to_owned()),
            "--config-file" if path.is_absolute() => config = Some(path.to_owned()),
            _ => {}
        }
    }
    (roots, config)
}

/// `data-root` of dockerd's configuration; its older name was `graph`.
fn data_root(path: &Path, view: &dyn HostView) -> Option<PathBuf> {
    let text = view.read(path).ok()?;
    let value: serde_json::Value = serde_json::from_slice(&text).ok()?;
    let root = PathBuf::from(value.get("data-root").or_else(|| value.get("graph"))?.as_str()?);
    is_root(&root).then_some(root)
}

fn is_root(path: &Path) -> bool {
    path.is_absolute() && path.components().count() > 1
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::host::Host;

    #[test]
    fn a_layer_is_where_its_driver_mounts_it() {
        let of = |path: &str| {
            layer_of(&path.split('/').collect::<Vec<_>>())
                .map(|layer| (layer.name.to_owned(), layer.depth))
        };
        for path in
            ["btrfs/subvolumes/l1", "vfs/dir/l1/bin", "zfs/graph/l1", "devicemapper/mnt/l1/rootfs"]
        {
            assert_eq!(of(path), Some(("l1".into(), 3)), "{path}");
        }
        assert_eq!(of("overlay2/l1/merged"), Some(("l1".into(), 2)));
        assert_eq!(of("volumes/l1/_data"), None);
        assert_eq!(of("btrfs"), None);
        assert_eq!(of("btrfs/subvolumes"), None, "every container's");
    }

    #[test]
    fn dockerds_arguments_name_its_data_root() {
        let of = |arguments: &[&str]| told(arguments.join("\0").as_bytes());
        let (roots, config) =
            of(&["/usr/bin/dockerd", "--data-root", "/data/docker", "--config-file=/opt/d.json"]);
        assert_eq!(roots, [Path::new("/data/docker")]);
        assert_eq!(config.as_deref(), Some(Path::new("/opt/d.json")));
        assert_eq!(
            of(&["dockerd", "--data-root=/a", "-g", "/b"]).0,
            [Path::new("/a"), Path::new("/b")]
        );
        for other in [
            &["sh", "--data-root=/a"][..],
            &["dockerd", "--data-root"],
            &["dockerd", "--data-root=/"],
            &[],
        ] {
            assert_eq!(of(other), (Vec::new(), None), "{other:?}");
        }
    }

    #[test]
    fn a_remapped_data_root_is_one_directory_further_down() {
        let dir = Path::new("/d");
        let found = remapped(dir, &["100000.100000", "volumes", "v"]);
        assert_eq!(found, (PathBuf::from("/d/100000.100000"), &["volumes", "v"][..]));
        for rest in [&["volumes", "v"][..], &["1.x", "v"], &[".1", "v"], &[]] {
            assert_eq!(remapped(dir, rest), (dir.into(), rest));
        }
    }

    #[test]
    fn dockerds_data_root_is_read_from_its_configuration() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("daemon.json");
        assert_eq!(data_root(&path, &Host::default()), None);
        for (text, root) in [
            (r#"{"data-root":"/data/docker"}"#, Some("/data/docker")),
            (r#"{"graph":"/old"}"#, Some("/old")),
            (r#"{"runtimes":{}}"#, None),
            (r#"{"data-root":"relative"}"#, None),
            (r#"{"data-root":"/"}"#, None),
            ("{", None),
        ] {
            fs::write(&path, text).unwrap();
            assert_eq!(
                data_root(&path, &Host::default()).as_deref(),
                root.map(Path::new),
                "{text}"
            );
        }
    }
}
