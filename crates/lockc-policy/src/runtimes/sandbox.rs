//! Runtimes whose containers run on their own kernel (gVisor, Kata Containers).
//!
//! The host's kernel sees only the processes that make up such a sandbox: none of what the
//! container does, and some things that no container may do, such as tracing with a root directory
//! and a mount namespace of their own. So the kernel rules are left out for them, and everything
//! says so; what is checked before the container starts holds as for any other. Which runtime is
//! executed is the administrator's choice alone (configuration, or the engine's arguments to the
//! wrapper).

use std::{ffi::OsStr, path::Path};

use crate::{config::Settings, host::HostView};

/// The names of programs that are known, with what they are.
const KNOWN: [(&str, &str); 2] = [("runsc", "gVisor"), ("kata-runtime", "Kata Containers")];

/// The sandbox that a runtime makes; nothing if its containers run on the host's kernel.
pub fn made_by(runtime: &Path, settings: &Settings, view: &dyn HostView) -> Option<&'static str> {
    let target = view.canonicalize(runtime).unwrap_or_else(|_| runtime.into());
    if settings.sandbox_runtimes.iter().any(|own| own == runtime || *own == target) {
        return Some("a sandbox according to the configuration");
    }
    let name = target.file_name().and_then(OsStr::to_str)?;
    // Versions are installed beside each other as `runsc-20260101`.
    let known = |own: &str| {
        name.strip_prefix(own).is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '.']))
    };
    KNOWN.iter().find(|(own, _)| known(own)).map(|(_, what)| *what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Host;

    #[test]
    fn known_names_and_configured_paths_are_sandboxes() {
        let settings =
            Settings { sandbox_runtimes: vec!["/opt/vmm/run".into()], ..Settings::default() };
        for (path, known) in [
            ("/nonexistent/runsc", true),
            ("/nonexistent/runsc-20260101.0", true),
            ("/nonexistent/kata-runtime", true),
            ("/opt/vmm/run", true),
            ("/nonexistent/runc", false),
            ("/nonexistent/runscript", false),
            ("/nonexistent/crun", false),
        ] {
            assert_eq!(
                made_by(Path::new(path), &settings, &Host::default()).is_some(),
                known,
                "{path}"
            );
        }
    }

    #[test]
    fn a_link_is_what_it_leads_to() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("runsc");
        std::os::unix::fs::symlink("/bin/sh", &link).unwrap();
        assert_eq!(made_by(&link, &Settings::default(), &Host::default()), None);
    }
}
