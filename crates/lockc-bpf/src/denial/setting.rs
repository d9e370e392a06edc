//! The narrowest setting of a policy that would allow what was denied.

use std::path::{Path, PathBuf};

use lockc_core::{
    abi::{Hook, PATH_NAME_LEN},
    families,
    rules::Rule,
};
use lockc_policy::policy::{Key, Setting, capabilities, reads};

use super::{event::Event, names::names};

/// `FMODE_WRITE`, include/linux/fs.h.
const FMODE_WRITE: u64 = 2;

/// The setting; nothing for a rule that this lockc does not know.
pub(super) fn setting(event: &Event, hook: Option<Hook>, rule: Option<Rule>) -> Option<Setting> {
    let rule = rule?;
    let number = event.key.arg;
    let narrow = match rule {
        Rule::SocketFamily | Rule::Network
            if !matches!(hook, Some(Hook::socket_setsockopt | Hook::bprm_creds_for_exec)) =>
        {
            families::needed(number).map(|family| Setting::new(Key::SocketFamilies, family.name))
        }
        Rule::Procfs | Rule::Sysfs => read(event, hook, rule),
        Rule::Capability if hook == Some(Hook::capable) => u32::try_from(number)
            .ok()
            .and_then(capabilities::name)
            .map(|name| Setting::new(Key::Capabilities, name)),
        Rule::Device if hook == Some(Hook::file_open) => device(event),
        _ => None,
    };
    Some(narrow.unwrap_or_else(|| Setting::new(Key::WithoutRules, rule.name())))
}

/// A file of procfs or sysfs that was to be read, if a policy can name it.
pub(super) fn read(event: &Event, hook: Option<Hook>, rule: Rule) -> Option<Setting> {
    let looks = matches!(hook, Some(Hook::file_open | Hook::inode_getattr | Hook::inode_readlink));
    if !looks || event.key.arg & FMODE_WRITE != 0 {
        return None;
    }
    let root = if rule == Rule::Procfs { "/proc" } else { "/sys" };
    let path = path(event, root)?;
    reads::check(&path).ok()?;
    Some(Setting::new(Key::Reads, path.to_string_lossy()))
}

/// A node in the container's /dev whose path the host has too.
fn device(event: &Event) -> Option<Setting> {
    let path = path(event, "/dev")?;
    is_device(&path).then(|| Setting::new(Key::Devices, path.to_string_lossy()))
}

fn is_device(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt as _;
    path.symlink_metadata().is_ok_and(|metadata| {
        metadata.file_type().is_char_device() || metadata.file_type().is_block_device()
    })
}

/// The file's path below `root`, where the event has all of it.
pub(super) fn path(event: &Event, root: &str) -> Option<PathBuf> {
    let names = names(&event.denial);
    // The root's own name is `/`; a name that fills its field may have been cut.
    let whole = names.last().is_some_and(|name| name == "/")
        && names.iter().all(|name| name.len() < PATH_NAME_LEN - 1);
    whole
        .then(|| names.iter().rev().skip(1).fold(PathBuf::from(root), |path, name| path.join(name)))
}
