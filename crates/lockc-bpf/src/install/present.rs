//! The engines of a host, and whether lockc is one of their runtimes.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use clap::ValueEnum as _;

use super::{containerd, daemon, engine::Engine, host::Host, state::State, target::Target};

/// An engine that is installed, or runs.
#[derive(Debug, PartialEq, Eq)]
pub struct Present {
    pub engine: Engine,
    /// The file that names lockc's wrapper.
    pub named_by: Option<PathBuf>,
    /// The file that would name it.
    pub config: PathBuf,
}

/// This host's.
pub fn engines() -> Vec<Present> {
    Host::new(Path::new("/")).map(|host| on(&host)).unwrap_or_default()
}

/// Engines and runtimes whose versions matter.
const PROGRAMS: [&str; 7] = ["dockerd", "containerd", "crio", "podman", "runc", "crun", "youki"];

/// What those of this host say of their versions.
pub fn versions() -> BTreeMap<&'static str, String> {
    let Ok(host) = Host::new(Path::new("/")) else { return BTreeMap::new() };
    let version = |name: &'static str| {
        let output = host.program(name)?.arg("--version").output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout);
        Some((name, text.lines().next().unwrap_or_default().to_owned()))
    };
    PROGRAMS.into_iter().filter_map(version).collect()
}

fn on(host: &Host) -> Vec<Present> {
    let is_there = |engine: &&Engine| {
        let program = engine.program();
        host.find(program).is_some() || !daemon::running(host, program).is_empty()
    };
    Engine::value_variants().iter().filter(is_there).map(|engine| present(host, *engine)).collect()
}

fn present(host: &Host, engine: Engine) -> Present {
    let state = State::read(host, engine).ok().flatten();
    let target = Target::find(host, engine, None, state.as_ref());
    let config = target.as_ref().map_or(Path::new(engine.config()), Target::file).to_path_buf();
    if let Ok(place) = target.and_then(|target| target.place().cloned())
        && let Ok((named_by, config)) = containerd::named_by(host, &place)
    {
        return Present { engine, named_by, config };
    }
    let mut places = vec![config.clone()];
    places.extend(state.and_then(|state| state.drop_in));
    places.extend(engine.places().iter().map(PathBuf::from));
    let named_by = places.iter().find_map(|place| names_wrapper(host, place));
    Present { engine, named_by, config }
}

/// The file, or that of the directory, which names the wrapper.
fn names_wrapper(host: &Host, place: &Path) -> Option<PathBuf> {
    if host.at(place).is_dir() {
        let entries = fs::read_dir(host.at(place)).ok()?.flatten();
        return entries.map(|entry| place.join(entry.file_name())).find_map(|path| {
            if host.at(&path).is_file() { names_wrapper(host, &path) } else { None }
        });
    }
    let text = host.read(place).ok()??;
    text.contains("lockc-runc-wrapper").then(|| place.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(host: &Host, path: &str, text: &str) {
        let at = host.at(Path::new(path));
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        fs::write(at, text).unwrap();
    }

    #[test]
    fn an_engine_is_there_wherever_its_program_is() {
        let folder = tempfile::tempdir().unwrap();
        let host = Host::new(folder.path()).unwrap();
        assert_eq!(on(&host), []);
        // Debian's, one of the administrator's, one of a distribution of Kubernetes that runs.
        put(&host, "/usr/sbin/dockerd", "");
        put(&host, "/usr/local/bin/podman", "");
        put(&host, "/proc/7/comm", "containerd\n");
        put(&host, "/proc/7/cmdline", "/var/lib/rancher/k3s/data/current/bin/containerd\0");
        let engines = |found: &[Present]| found.iter().map(|one| one.engine).collect::<Vec<_>>();
        let found = on(&host);
        assert_eq!(engines(&found), [Engine::Docker, Engine::Containerd, Engine::Podman]);
        assert!(found.iter().all(|one| one.named_by.is_none()));
        assert_eq!(found[0].config, Path::new("/etc/docker/daemon.json"));
    }

    #[test]
    fn the_file_that_an_engine_reads_names_lockc() {
        let folder = tempfile::tempdir().unwrap();
        let host = Host::new(folder.path()).unwrap();
        put(&host, "/usr/bin/dockerd", "");
        put(&host, "/usr/bin/podman", "");
        put(&host, "/etc/docker/daemon.json", "{}");
        let unit = "[Service]\nExecStart=/usr/bin/dockerd --config-file /opt/d.json\n";
        put(&host, "/lib/systemd/system/docker.service", unit);
        put(&host, "/opt/d.json", "/usr/bin/lockc-runc-wrapper");
        put(&host, "/etc/containers/containers.conf.d/50-lockc.conf", "lockc-runc-wrapper");
        let by: Vec<_> = on(&host).into_iter().map(|one| one.named_by.unwrap()).collect();
        let drop_in = "/etc/containers/containers.conf.d/50-lockc.conf";
        assert_eq!(by, [Path::new("/opt/d.json"), Path::new(drop_in)]);
    }
}
