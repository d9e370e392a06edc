//! The runtime that was an engine's default before lockc: what it did for containers is lost with
//! `--default`, unless lockc starts it.

use std::path::Path;

use anyhow::{Result, bail};
use lockc_policy::runtimes::{NAMES, candidates};

use super::{host::Host, removal::configured};

/// The default runtime of an engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Default {
    pub name: String,
    /// Its program, or its type where it has none.
    pub program: String,
}

impl Default {
    pub fn new(name: &str, program: Option<&str>) -> Self {
        let program = program.filter(|program| !program.is_empty()).unwrap_or(name);
        Self { name: name.to_owned(), program: program.to_owned() }
    }

    /// What to say where lockc takes its place.
    ///
    /// # Errors
    ///
    /// Where it does more than the usual runtimes, and the administrator has not said which runtime
    /// lockc starts.
    pub fn displaced(&self, host: &Host) -> Result<Option<String>> {
        let own = configured(host);
        let real = candidates(&own).into_iter().find(|path| host.at(path).is_file());
        let starts = real.as_deref().unwrap_or(Path::new("none")).display();
        let same = real.as_deref().is_some_and(|real| file(real) == file(Path::new(&self.program)));
        if same || self.program == "io.containerd.runc.v2" {
            return Ok(None);
        }
        if !own.is_empty() {
            return Ok(Some(format!(
                "the default was {} ({}); lockc starts {starts} instead (`runtimes` in \
                 lockc.toml)",
                self.name, self.program
            )));
        }
        if NAMES.iter().any(|known| file(Path::new(&self.program)) == Some(known)) {
            // Where none is found, `doctor` says so.
            return Ok(real.is_some().then(|| {
                format!(
                    "the default was {}; lockc starts {starts}; to keep it, set `runtimes` in \
                     lockc.toml",
                    self.name
                )
            }));
        }
        bail!(
            "the default runtime is {name} ({program}), and containers that name no runtime would \
             lose what it does; leave it the default and select lockc by name (without --default), \
             or name in lockc.toml the runtime that lockc starts: runtimes = [\"/path/to/it\"]",
            name = self.name,
            program = self.program
        )
    }
}

fn file(path: &Path) -> Option<&str> {
    path.file_name().and_then(|name| name.to_str())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn only_a_plain_runtime_is_displaced_without_a_choice() {
        let folder = tempfile::tempdir().unwrap();
        let host = Host::new(folder.path()).unwrap();
        let put = |path: &str, text: &str| {
            let at = host.at(Path::new(path));
            fs::create_dir_all(at.parent().unwrap()).unwrap();
            fs::write(at, text).unwrap();
        };
        let of = |name: &str, program: Option<&str>| Default::new(name, program).displaced(&host);
        assert_eq!(of("runc", None).unwrap(), None, "no runtime is installed");
        put("/usr/bin/runc", "");
        assert_eq!(of("runc", None).unwrap(), None);
        assert_eq!(of("fast", Some("/usr/sbin/runc")).unwrap(), None);
        assert_eq!(of("io.containerd.runc.v2", None).unwrap(), None);
        assert!(of("crun", None).unwrap().unwrap().contains("lockc starts /usr/bin/runc"));
        let nvidia = || of("nvidia", Some("/usr/bin/nvidia-container-runtime"));
        assert!(nvidia().unwrap_err().to_string().contains("without --default"));
        assert!(of("kata", Some("io.containerd.kata.v2")).is_err());
        // The administrator decides.
        put("/etc/lockc/lockc.toml", "runtimes = ['/usr/bin/runc']\n");
        assert!(nvidia().unwrap().unwrap().contains("lockc starts /usr/bin/runc instead"));
        put("/usr/bin/nvidia-container-runtime", "");
        put("/etc/lockc/lockc.toml", "runtimes = ['/usr/bin/nvidia-container-runtime']\n");
        assert_eq!(nvidia().unwrap(), None);
    }
}
