//! What becomes of lockc's runtimes when `uninstall` takes them away: containers that were created
//! with one cannot start without its name.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use lockc_core::paths;
use lockc_policy::{config::Loaded, runtimes::candidates};

use super::{host::Host, runtimes::Own};

/// What is asked for.
#[derive(Debug, Default)]
pub struct Removal {
    /// The runtime to which every name leads from now on.
    pub keep: Option<PathBuf>,
    /// Names that go although containers have them.
    pub force: bool,
    /// Names of runtimes that containers have.
    pub used: BTreeSet<String>,
}

/// What becomes of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    Remove,
    /// It keeps its name and starts this program.
    Become(PathBuf),
    /// It already does.
    Stay,
}

impl Removal {
    pub fn fate(&self, name: &str, own: Own) -> Fate {
        match (&self.keep, own) {
            (Some(real), _) => Fate::Become(real.clone()),
            (None, Own::Kept) if self.used.contains(name) && !self.force => Fate::Stay,
            _ => Fate::Remove,
        }
    }
}

/// The runtime that the wrapper executes on this host.
///
/// # Errors
///
/// Where there is none.
pub fn real_runtime(host: &Host) -> Result<PathBuf> {
    let found = candidates(&configured(host)).into_iter().find(|path| host.at(path).is_file());
    found.context(
        "no OCI runtime found to which the name could lead; install runc or crun, or name one in \
         lockc.toml: runtimes = [\"/path/to/runc\"]",
    )
}

/// `runtimes` of the host's lockc.toml; a configuration that cannot be used names none.
pub fn configured(host: &Host) -> Vec<PathBuf> {
    let view = lockc_policy::host::Host::default();
    let loaded = Loaded::read(&host.at(Path::new(paths::CONFIG)), &view);
    loaded.map(|loaded| loaded.config.settings.runtimes).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_containers_have_stays_once_it_is_kept() {
        let mut removal =
            Removal { used: BTreeSet::from(["lockc".to_owned()]), ..Removal::default() };
        assert_eq!(removal.fate("lockc", Own::Active), Fate::Remove);
        assert_eq!(removal.fate("lockc", Own::Kept), Fate::Stay);
        assert_eq!(removal.fate("lockc-offline", Own::Kept), Fate::Remove, "nobody has it");
        removal.force = true;
        assert_eq!(removal.fate("lockc", Own::Kept), Fate::Remove);
        removal.keep = Some("/usr/bin/runc".into());
        for own in [Own::Active, Own::Kept] {
            assert_eq!(removal.fate("lockc-offline", own), Fate::Become("/usr/bin/runc".into()));
        }
    }
}
