//! What dockerd was told on its command line: its configuration file, its data root, and options
//! that do not go with the file.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::install::{
    daemon::{self, Daemon},
    host::Host,
};

/// Data roots of the packages: Docker's own, and the snap's.
const DATA: &str = "/var/lib/docker";
const DATA_OF_SNAP: &str = "/var/snap/docker/common/var-lib-docker";

fn daemons(host: &Host) -> Vec<Daemon> {
    daemon::all(host, "dockerd", "docker.service")
}

/// The file that dockerd is told to read.
pub fn config(host: &Host) -> Option<PathBuf> {
    daemons(host).iter().find_map(|daemon| daemon.path(&["config-file"]).map(Path::to_path_buf))
}

/// Where dockerd keeps its containers.
pub fn data_roots(host: &Host, config: &Path) -> Vec<PathBuf> {
    let mut roots: Vec<PathBuf> = [DATA, DATA_OF_SNAP].map(PathBuf::from).to_vec();
    for daemon in daemons(host) {
        roots.extend(daemon.path(&["data-root", "graph", "g"]).map(Path::to_path_buf));
    }
    let text = host.read(config).ok().flatten().unwrap_or_default();
    let value: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    // Its older name was `graph`.
    let root = value.get("data-root").or_else(|| value.get("graph"));
    roots.extend(root.and_then(|root| root.as_str()).map(PathBuf::from));
    roots.retain(|root| root.is_absolute());
    let mut seen = Vec::new();
    // One may be a link to another.
    roots.retain(|root| {
        let real = host.at(root).canonicalize().unwrap_or_else(|_| root.clone());
        let is_new = !seen.contains(&real);
        seen.push(real);
        is_new
    });
    roots
}

/// # Errors
///
/// Where dockerd reads another file, or would not start with the changed one.
pub fn without_conflict(host: &Host, file: &Path) -> Result<()> {
    match daemons(host).iter().find_map(|daemon| conflict(daemon, file)) {
        Some(conflict) => bail!(conflict),
        None => Ok(()),
    }
}

/// What is wrong with changing `file` for this dockerd. It does not start where a flag and the file
/// both say something (moby 28, daemon/config: findConfigurationConflicts).
fn conflict(daemon: &Daemon, file: &Path) -> Option<String> {
    let program = daemon.words.first().map_or("", String::as_str);
    if program.starts_with("/snap/") || program.contains("/snap/docker/") {
        return Some(
            "dockerd runs from a snap, which sees its own programs and not lockc-runc-wrapper; \
             install Docker from a package"
                .to_owned(),
        );
    }
    if let Some((word, _)) = daemon.options(&["add-runtime", "default-runtime"]).first() {
        let verb = if daemon.runs { "was started" } else { "is started by its unit" };
        return Some(format!(
            "dockerd {verb} with {word}, and will not start if daemon.json names runtimes too; \
             move the option from its command line (systemctl cat docker, /etc/default/docker) to \
             daemon.json"
        ));
    }
    let read = daemon.path(&["config-file"]).filter(|read| *read != file)?;
    Some(format!(
        "dockerd reads {} (--config-file) and not {}; add --config {}",
        read.display(),
        file.display(),
        read.display()
    ))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn told(words: &[&str]) -> Option<String> {
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        conflict(&Daemon { words, runs: true }, Path::new("/etc/docker/daemon.json"))
    }

    #[test]
    fn what_a_dockerd_was_told_conflicts_with_the_file() {
        for fine in [
            &["dockerd"][..],
            &["dockerd", "-H", "fd://"],
            &["dockerd", "--config-file=/etc/docker/daemon.json"],
            &["dockerd", "--data-root", "/d"],
        ] {
            assert_eq!(told(fine), None, "{fine:?}");
        }
        for other in [
            &["dockerd", "--config-file=/opt/d.json"][..],
            &["dockerd", "-D", "--config-file", "/opt/d.json"],
        ] {
            assert!(told(other).unwrap().ends_with("add --config /opt/d.json"), "{other:?}");
        }
        for flag in [&["dockerd", "--add-runtime=x=/x"][..], &["dockerd", "--default-runtime", "x"]]
        {
            assert!(told(flag).unwrap().contains("move the option"), "{flag:?}");
        }
        let snap = ["/snap/docker/2963/bin/dockerd", "--group", "docker"];
        assert!(told(&snap).unwrap().contains("from a snap"));
    }

    #[test]
    fn the_data_root_of_flags_and_of_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let host = Host::new(folder.path()).unwrap();
        let config = Path::new("/opt/d.json");
        let put = |path: &str, text: &str| {
            let at = host.at(Path::new(path));
            fs::create_dir_all(at.parent().unwrap()).unwrap();
            fs::write(at, text).unwrap();
        };
        assert_eq!(data_roots(&host, config), [Path::new(DATA), Path::new(DATA_OF_SNAP)]);
        put("/opt/d.json", r#"{"data-root": "/data/file"}"#);
        let unit = "[Service]\nExecStart=/usr/sbin/dockerd --data-root /data/unit \
                    --config-file=/opt/d.json\n";
        put("/usr/lib/systemd/system/docker.service", unit);
        let roots = data_roots(&host, config);
        assert_eq!(roots[2..], [Path::new("/data/unit"), Path::new("/data/file")]);
        assert_eq!(super::config(&host).as_deref(), Some(config));
        put("/opt/d.json", "{");
        assert_eq!(data_roots(&host, config).len(), 3, "a broken file names none");
    }
}
