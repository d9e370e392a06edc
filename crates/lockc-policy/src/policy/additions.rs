//! What a policy allows beyond the level that it extends.

use std::path::{Path, PathBuf};

use lockc_core::families;

use super::{capabilities, paths::is_plain, reads, sockets::NamedSockets};
use crate::config::{PolicyConfig, spelling::hint};

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
    /// Files and directories of procfs and sysfs, themselves and all below.
    pub reads: Vec<PathBuf>,
    /// What root's own hooks mount into the container.
    pub hook_mounts: bool,
    /// Socket families and netlink protocols, as bits of [`families`].
    pub families: u64,
}

/// A value that cannot be added.
pub(super) struct InvalidGrant {
    pub key: &'static str,
    pub value: String,
    pub problem: String,
}

impl Additions {
    /// Adds what one definition says.
    ///
    /// # Errors
    ///
    /// Where a value is invalid.
    pub(super) fn extend(&mut self, with: &PolicyConfig) -> Result<(), InvalidGrant> {
        let unfit =
            |key, value: &str, problem| Err(InvalidGrant { key, value: value.into(), problem });
        let path_unfit = |key, path: &Path, problem| unfit(key, &path.to_string_lossy(), problem);
        let lists = [
            ("allowed_mounts", &with.allowed_mounts, &mut self.mounts),
            ("allowed_sockets", &with.allowed_sockets, &mut self.sockets),
            ("devices", &with.devices, &mut self.devices),
        ];
        for (key, given, own) in lists {
            for path in given {
                if !is_plain(path) {
                    let problem = format!(
                        "{path:?} is not an absolute path without `..`; write the full path"
                    );
                    return path_unfit(key, path, problem);
                }
                if key == "allowed_sockets"
                    && let Err(problem) = NamedSockets::new(path)
                {
                    return path_unfit(key, path, problem);
                }
                own.push(path.clone());
            }
        }
        self.hook_mounts |= with.hook_mounts;
        for name in &with.capabilities {
            let short = capabilities::short_name(name);
            if !capabilities::is_known(&short) {
                let every = capabilities::every();
                let hint = hint(&short, every.iter().map(|known| known.trim_start_matches("CAP_")));
                let problem = format!(
                    "{name:?} is not a capability{hint}; see capabilities(7) for the names (CAP_ \
                     may be omitted)"
                );
                return unfit("capabilities", name, problem);
            }
            self.capabilities.push(short);
        }
        for name in &with.sysctls {
            let plain = name.replace('/', ".");
            if plain.is_empty() || plain.starts_with('*') {
                let problem = format!(
                    "{name:?} is not a sysctl; write a name (net.core.somaxconn) or a prefix \
                     (net.core.*)"
                );
                return unfit("sysctls", name, problem);
            }
            self.sysctls.push(plain);
        }
        for path in &with.reads {
            match reads::check(path) {
                Ok(plain) => self.reads.push(plain),
                Err(problem) => return path_unfit("reads", path, problem),
            }
        }
        for name in &with.socket_families {
            match families::by_name(name) {
                Some(family) => self.families |= 1 << family.bit,
                None => {
                    let hint = hint(name, families::FAMILIES.iter().map(|family| family.name));
                    let problem = match name.as_str() {
                        "unix" | "inet" | "inet6" | "netlink" | "packet" => {
                            format!(
                                "{name:?} cannot be added: it is always allowed, except under the \
                                 network and raw-socket rules"
                            )
                        }
                        _ => format!(
                            "{name:?} is not a socket family that a policy can allow{hint}; see \
                             docs/sockets.md"
                        ),
                    };
                    return unfit("socket_families", name, problem);
                }
            }
        }
        Ok(())
    }
}
