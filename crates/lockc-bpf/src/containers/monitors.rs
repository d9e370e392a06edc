//! The containers that engines run, whether lockc knows of them or not. Engines leave a monitor
//! with each: conmon (Podman, CRI-O) or a shim of containerd's (Docker, nerdctl, Kubernetes). A
//! monitor tells where the bundle is, and the container's first process is its child.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use lockc_policy::{
    config::Settings,
    container_names::ContainerNames,
    engines::Engines,
    host::{Host, bundle},
    selection::metadata::ContainerMetadata,
};
use procfs::process::{self, Process};

/// A container that an engine runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Running {
    /// Its id.
    pub id: String,
    /// What people call it.
    pub names: ContainerNames,
    /// Its first process, where the host can see it.
    pub pid: Option<i32>,
    /// The runtime that started it, as its engine names it.
    pub runtime: Option<String>,
    /// Who the monitor belongs to; 0 unless the engine is rootless.
    pub uid: u32,
}

/// What a monitor says of one container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Monitored {
    id: String,
    bundle: PathBuf,
    pid_file: PathBuf,
    runtime: Option<String>,
    name: Option<String>,
}

/// How long the files of one monitor, or of one container, may take.
const DEADLINE: Duration = Duration::from_secs(2);

/// What was found.
#[derive(Debug, Default)]
pub struct Found {
    /// Every container that runs.
    pub running: Vec<Running>,
    /// Monitors and containers whose files could not be read in time.
    pub unread: usize,
}

/// Every container that runs. What is gone meanwhile is left out: processes come and go.
pub fn running(settings: &Settings) -> Found {
    let mut found = Found::default();
    let mut containers = BTreeMap::new();
    let mut parents = Vec::new();
    for process in process::all_processes().into_iter().flatten().flatten() {
        let Some((program, args)) = monitor(&process) else { continue };
        let pid = process.pid();
        match within(move || monitored(&process, &program, &args)) {
            None => found.unread += 1,
            Some(None) => {}
            Some(Some((uid, of_monitor))) => {
                parents.push(pid);
                for container in of_monitor {
                    containers.entry(container.bundle.clone()).or_insert((pid, uid, container));
                }
            }
        }
    }
    let parents: Arc<[i32]> = parents.into();
    for (monitor, uid, container) in containers.into_values() {
        let (parents, dirs) = (Arc::clone(&parents), settings.engine_dirs.clone());
        match within(move || describe(&root_of(monitor), uid, container, &parents, &dirs)) {
            None => found.unread += 1,
            Some(running) => found.running.extend(running),
        }
    }
    found
}

/// Runs `work`, unless it takes too long. A process of a container may call itself a monitor, and
/// name files that are never read to their end.
fn within<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || sender.send(work()));
    receiver.recv_timeout(DEADLINE).ok()
}

fn describe(
    root: &Path,
    uid: u32,
    container: Monitored,
    parents: &[i32],
    dirs: &[PathBuf],
) -> Option<Running> {
    let pid = first_process(root, &container, parents);
    // A shim for another kind of runtime writes no pid of this host's.
    if pid.is_none() && is_runcs(&container) {
        return None;
    }
    let mut names = names(root, &container, dirs);
    names.name = names.name.or(container.name);
    Some(Running { id: container.id, names, pid, runtime: container.runtime, uid })
}

/// Whether its monitor writes down the first process.
fn is_runcs(container: &Monitored) -> bool {
    container.runtime.as_ref().is_none_or(|runtime| !runtime.starts_with("containerd-shim-"))
}

/// The program and the arguments of a process that is called like a monitor.
fn monitor(process: &Process) -> Option<(String, Vec<String>)> {
    let args = process.cmdline().ok()?;
    let program = Path::new(args.first()?).file_name()?.to_str()?.to_owned();
    let is_one = program == "conmon" || program.starts_with("containerd-shim");
    is_one.then_some((program, args))
}

/// Whose monitor it is, and what it says of its containers.
fn monitored(process: &Process, program: &str, args: &[String]) -> Option<(u32, Vec<Monitored>)> {
    let containers = match program {
        "conmon" => vec![by_conmon(args)?],
        _ => by_shim(&root_of(process.pid()), &process.cwd().ok()?, program),
    };
    Some((process.uid().ok()?, containers))
}

/// What a process' paths begin with, seen from here.
fn root_of(pid: i32) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/root"))
}

/// conmon's command line (conmon 2.1, src/cli.c). One that monitors an exec is not a container's.
fn by_conmon(args: &[String]) -> Option<Monitored> {
    let value = |names: [&str; 2]| {
        args.iter().enumerate().find_map(|(index, arg)| match arg.split_once('=') {
            Some((name, value)) if names.contains(&name) => Some(value.to_owned()),
            _ if names.contains(&arg.as_str()) => args.get(index + 1).cloned(),
            _ => None,
        })
    };
    if args.iter().any(|arg| ["-e", "--exec"].contains(&arg.as_str())) {
        return None;
    }
    Some(Monitored {
        id: value(["-c", "--cid"])?,
        bundle: value(["-b", "--bundle"])?.into(),
        pid_file: value(["-p", "--container-pidfile"])?.into(),
        runtime: value(["-r", "--runtime"]),
        name: value(["-n", "--name"]),
    })
}

/// A shim's working directory is the bundle of its first container; those beside it are of the same
/// namespace (containerd 2.1, core/runtime/v2/binary.go, and cmd/containerd-shim-runc-v2).
fn by_shim(root: &Path, bundle: &Path, program: &str) -> Vec<Monitored> {
    let Some(namespace) = bundle.parent() else { return Vec::new() };
    let own = program != "containerd-shim-runc-v2";
    let bundles = match own {
        true => vec![bundle.to_owned()],
        false => children(root, namespace),
    };
    let container = |bundle: PathBuf| {
        let runtime = fs::read_to_string(inside(root, &bundle.join("runtime"))).ok();
        let runtime = runtime.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        Some(Monitored {
            id: bundle.file_name()?.to_str()?.to_owned(),
            pid_file: bundle.join("init.pid"),
            runtime: if own { Some(program.to_owned()) } else { runtime },
            name: None,
            bundle,
        })
    };
    bundles.into_iter().filter_map(container).collect()
}

fn children(root: &Path, directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(inside(root, directory)).into_iter().flatten().flatten();
    entries.map(|entry| directory.join(entry.file_name())).collect()
}

/// A path of a process whose root is there.
fn inside(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

/// A container's first process is a child of a monitor: a number in a file alone may be another
/// process' by now.
fn first_process(root: &Path, container: &Monitored, monitors: &[i32]) -> Option<i32> {
    let text = fs::read_to_string(inside(root, &container.pid_file)).ok()?;
    let process = Process::new(text.trim().parse().ok()?).ok()?;
    let stat = process.stat().ok()?;
    (monitors.contains(&stat.ppid) && stat.state != 'Z').then_some(process.pid())
}

fn names(root: &Path, container: &Monitored, dirs: &[PathBuf]) -> ContainerNames {
    let view = Host::default();
    let Ok(spec) = bundle::spec(&inside(root, &container.bundle.join("config.json"))) else {
        return ContainerNames::default();
    };
    let engines = Engines::detect(&container.bundle, dirs, &view);
    ContainerMetadata::of(&container.id, &container.bundle, &spec, &engines, &view)
        .map(|metadata| metadata.names)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn conmon_says_which_container_it_monitors() {
        let args = "/usr/bin/conmon --api-version 1 -c 0ab1 -u 0ab1 -r /usr/bin/crun -b \
                    /var/lib/s/0ab1/userdata -p /run/s/0ab1/userdata/pidfile -n web --exit-dir /x";
        let found = by_conmon(&words(args)).unwrap();
        assert_eq!(found.id, "0ab1");
        assert_eq!(found.bundle, Path::new("/var/lib/s/0ab1/userdata"));
        assert_eq!(found.runtime.as_deref(), Some("/usr/bin/crun"));
        assert_eq!(found.name.as_deref(), Some("web"));
        let long = "conmon --cid=a --bundle=/b --container-pidfile=/p --runtime=/usr/bin/runc";
        assert_eq!(by_conmon(&words(long)).unwrap().pid_file, Path::new("/p"));
        assert_eq!(by_conmon(&words(&format!("{args} -e"))), None);
        assert_eq!(by_conmon(&words("conmon --version")), None);
    }

    #[test]
    fn a_shim_has_its_containers_beside_its_own() {
        let host = tempfile::tempdir().unwrap();
        let namespace = host.path().join("run/task/moby");
        for id in ["a", "b"] {
            fs::create_dir_all(namespace.join(id)).unwrap();
            fs::write(namespace.join(id).join("runtime"), "/usr/bin/runc").unwrap();
        }
        let mut found =
            by_shim(host.path(), Path::new("/run/task/moby/a"), "containerd-shim-runc-v2");
        found.sort_by(|a, b| a.id.cmp(&b.id));
        let ids: Vec<_> = found.iter().map(|it| it.id.as_str()).collect();
        assert_eq!(ids, ["a", "b"]);
        assert_eq!(found[0].runtime.as_deref(), Some("/usr/bin/runc"));
        assert_eq!(found[0].pid_file, Path::new("/run/task/moby/a/init.pid"));
        let kata = by_shim(host.path(), Path::new("/run/task/moby/a"), "containerd-shim-kata-v2");
        assert_eq!(kata.len(), 1);
        assert!(!is_runcs(&kata[0]) && is_runcs(&found[0]));
    }

    #[test]
    fn a_file_that_is_never_read_to_its_end_stops_nobody() {
        let host = tempfile::tempdir().unwrap();
        let pipe = host.path().join("pid");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRUSR).unwrap();
        let container = Monitored { pid_file: "/pid".into(), ..Monitored::default() };
        let root = host.path().to_owned();
        assert!(within(move || describe(&root, 0, container, &[], &[])).is_none());
        assert_eq!(within(|| 1), Some(1));
    }

    #[test]
    fn a_number_alone_is_no_process_of_a_container() {
        let host = tempfile::tempdir().unwrap();
        let container = Monitored { pid_file: "/pid".into(), ..Monitored::default() };
        fs::write(host.path().join("pid"), format!("{}\n", std::process::id())).unwrap();
        let parent = Process::myself().unwrap().stat().unwrap().ppid;
        let own = std::process::id().cast_signed();
        assert_eq!(first_process(host.path(), &container, &[parent]), Some(own));
        assert_eq!(first_process(host.path(), &container, &[own]), None);
    }
}
