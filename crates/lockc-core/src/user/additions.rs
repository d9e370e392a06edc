//! What an administrator's policy admits beyond the level that it extends.

use std::path::{Component, Path, PathBuf};

use super::{admission::process, config::PolicyConfig};

/// Added to what the level, and for mounts and sockets the configuration, admits anyway.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Additions {
    /// Directories of the host, themselves and all below.
    pub mounts: Vec<PathBuf>,
    /// Unix sockets of the host.
    pub sockets: Vec<PathBuf>,
    /// Device nodes of the host.
    pub devices: Vec<PathBuf>,
    /// Names without `CAP_`, in capitals.
    pub capabilities: Vec<String>,
    /// Names with dots; `*` stands for any characters.
    pub sysctls: Vec<String>,
}

impl Additions {
    /// Adds what one definition says.
    ///
    /// # Errors
    ///
    /// The key and the problem with its value, where that cannot be meant.
    pub(super) fn extend(&mut self, with: &PolicyConfig) -> Result<(), (&'static str, String)> {
        let lists = [
            ("allowed_mounts", &with.allowed_mounts, &mut self.mounts),
            ("allowed_sockets", &with.allowed_sockets, &mut self.sockets),
            ("devices", &with.devices, &mut self.devices),
        ];
        for (key, given, own) in lists {
            for path in given {
                if !is_plain(path) {
                    return Err((key, format!("{path:?} is not an absolute path without `..`; write the full path")));
                }
                own.push(path.clone());
            }
        }
        for name in &with.capabilities {
            let short = process::short_name(name);
            if !process::is_known(&short) {
                let problem = format!("{name:?} is no capability; capabilities(7) has them, with or without CAP_");
                return Err(("capabilities", problem));
            }
            self.capabilities.push(short);
        }
        for name in &with.sysctls {
            let plain = name.replace('/', ".");
            if plain.is_empty() || plain.starts_with('*') {
                let problem = format!(
                    "{name:?} names no sysctl; write one (net.core.somaxconn), or the beginning of some (net.core.*)"
                );
                return Err(("sysctls", problem));
            }
            self.sysctls.push(plain);
        }
        Ok(())
    }
}

/// Absolute, and without `..`.
pub(super) fn is_plain(path: &Path) -> bool {
    path.is_absolute() && path.components().all(|part| part != Component::ParentDir)
}
