//! What an engine's daemon was told on its command line: by the process that runs, or by its
//! systemd unit.

use std::{fs, path::Path};

use super::{host::Host, unit};

/// A daemon and its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Daemon {
    /// Its program and its arguments.
    pub words: Vec<String>,
    /// Whether it runs; otherwise its unit would start it so.
    pub runs: bool,
}

impl Daemon {
    /// The value of the last option of one of these names.
    pub fn option(&self, names: &[&str]) -> Option<&str> {
        self.options(names).pop().map(|(_, value)| value)
    }

    /// Every option of one of these names: as it is written, and its value. Go's flag packages take
    /// one dash or two, and the value after `=` or as the next word.
    pub fn options(&self, names: &[&str]) -> Vec<(&str, &str)> {
        let option = |(at, word): (usize, &'_ String)| {
            let bare = word.strip_prefix("--").or_else(|| word.strip_prefix('-'))?;
            let name = bare.split_once('=').map_or(bare, |(name, _)| name);
            names.contains(&name).then_some(at)
        };
        let places = self.words.iter().enumerate().skip(1).filter_map(option);
        places.map(|at| (self.words[at].as_str(), self.value(at))).collect()
    }

    fn value(&self, at: usize) -> &str {
        match self.words[at].split_once('=') {
            Some((_, value)) => value,
            None => self.words.get(at + 1).map_or("", String::as_str),
        }
    }

    /// The value of an option that is an absolute path; a relative one depends on a directory that
    /// nothing tells of.
    pub fn path(&self, names: &[&str]) -> Option<&Path> {
        self.option(names).map(Path::new).filter(|path| path.is_absolute())
    }
}

/// The host's daemons of that name: those that run, otherwise what its systemd unit starts.
pub fn all(host: &Host, name: &str, unit: &str) -> Vec<Daemon> {
    let running = running(host, name);
    if !running.is_empty() {
        return running;
    }
    let words = unit::command(host, unit);
    let is_it =
        |words: &Vec<String>| words.first().is_some_and(|word| Path::new(word).ends_with(name));
    words.filter(is_it).map(|words| Daemon { words, runs: false }).into_iter().collect()
}

/// The processes of that name, but for those in containers.
pub fn running(host: &Host, name: &str) -> Vec<Daemon> {
    let Ok(processes) = fs::read_dir(host.at(Path::new("/proc"))) else { return Vec::new() };
    let mut found: Vec<(u32, Daemon)> = processes
        .flatten()
        .filter_map(|process| {
            let pid = process.file_name().to_str()?.parse().ok()?;
            Some((pid, daemon(&process.path(), name)?))
        })
        .collect();
    found.sort_by_key(|(pid, _)| *pid);
    found.into_iter().map(|(_, daemon)| daemon).collect()
}

fn daemon(process: &Path, name: &str) -> Option<Daemon> {
    let read = |file: &str| fs::read(process.join(file)).ok();
    if read("comm")?.trim_ascii() != name.as_bytes() {
        return None;
    }
    // In a PID namespace of its own it is a container's (Docker in Docker, k3d).
    let status = String::from_utf8_lossy(&read("status").unwrap_or_default()).into_owned();
    let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
    if numbers.is_some_and(|numbers| numbers.split_whitespace().count() > 1) {
        return None;
    }
    let line = read("cmdline")?;
    let words = line.strip_suffix(b"\0").unwrap_or(&line).split(|byte| *byte == 0);
    let words = words.map(|word| String::from_utf8_lossy(word).into_owned()).collect();
    Some(Daemon { words, runs: true })
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
    fn options_in_every_spelling_the_last_one_counts() {
        let words = ["dockerd", "-D", "--data-root", "/a", "-data-root=/b", "--config-file=c"];
        let daemon = Daemon { words: words.map(str::to_owned).to_vec(), runs: true };
        assert_eq!(daemon.option(&["data-root", "g"]), Some("/b"));
        assert_eq!(daemon.options(&["data-root"]).len(), 2);
        assert_eq!(daemon.option(&["D"]), Some("--data-root"), "a flag without a value");
        assert_eq!(daemon.path(&["config-file"]), None, "relative");
        assert_eq!(daemon.option(&["dockerd"]), None, "the program is no option");
    }

    #[test]
    fn a_process_of_the_host_is_preferred_to_the_unit() {
        let folder = tempfile::tempdir().unwrap();
        let host = Host::new(folder.path()).unwrap();
        assert!(all(&host, "dockerd", "docker.service").is_empty());
        let unit = "[Service]\nExecStart=/usr/sbin/dockerd -H fd://\n";
        put(&host, "/usr/lib/systemd/system/docker.service", unit);
        let daemons = all(&host, "dockerd", "docker.service");
        assert_eq!((daemons[0].words.len(), daemons[0].runs), (3, false));
        // One in a container, one of another name, one of the host's.
        put(&host, "/proc/9/comm", "dockerd\n");
        put(&host, "/proc/9/cmdline", "dockerd\0--data-root\0/inner\0");
        put(&host, "/proc/9/status", "Name:\tdockerd\nNSpid:\t9\t1\n");
        put(&host, "/proc/10/comm", "docker\n");
        put(&host, "/proc/10/cmdline", "docker\0ps\0");
        assert!(!all(&host, "dockerd", "docker.service")[0].runs);
        put(&host, "/proc/11/comm", "dockerd\n");
        put(&host, "/proc/11/cmdline", "/usr/sbin/dockerd\0--data-root\0/d\0");
        put(&host, "/proc/11/status", "Name:\tdockerd\nNSpid:\t11\n");
        let daemons = all(&host, "dockerd", "docker.service");
        assert_eq!(daemons.len(), 1);
        assert_eq!(daemons[0].path(&["data-root"]), Some(Path::new("/d")));
    }
}
