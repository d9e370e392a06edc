//! Which setting would allow what was denied.

use lockc_core::{
    abi::{ARG_DESCRIPTOR, Hook},
    families,
    rules::Rule,
};

use super::{event::Event, names::names, setting};

/// `FMODE_WRITE`, include/linux/fs.h.
const FMODE_WRITE: u64 = 2;

/// The setting that would change it: for a file of procfs or sysfs that was to be read, the smaller
/// one.
pub(super) fn remedy(event: &Event, hook: Option<Hook>, rule: Option<Rule>) -> String {
    let without = format!("without_rules = [{:?}]", rule.map_or("unknown", Rule::name));
    // The rules that a named family is let by.
    if matches!(rule, Some(Rule::SocketFamily | Rule::Network))
        && !matches!(hook, Some(Hook::socket_setsockopt | Hook::bprm_creds_for_exec))
        && let Some(family) = families::needed(event.key.arg)
    {
        return format!(
            "a policy in lockc.toml with socket_families = [{:?}], or with {without}, allows it",
            family.name
        );
    }
    if rule == Some(Rule::UnixSocket) && hook == Some(Hook::inode_rename) {
        return format!(
            "allowed_sockets grants sockets in that directory by their names, which only the host \
             may change; a policy in lockc.toml with {without} allows it"
        );
    }
    if rule == Some(Rule::UnixSocket) && !names(&event.denial).is_empty() {
        return format!(
            "allowed_sockets in lockc.toml, or in a policy, with the socket's full path on the \
             host (without links, `*` in the last name) allows it; so does a policy with {without}"
        );
    }
    if rule == Some(Rule::UserNamespace) {
        return format!(
            "a policy in lockc.toml with {without} allows it, as the sandbox of a browser needs; \
             mounts stay denied"
        );
    }
    if rule == Some(Rule::Files)
        && !matches!(hook, Some(Hook::file_receive | Hook::file_ioctl | Hook::file_ioctl_compat))
    {
        let to_whom = match event.key.arg & ARG_DESCRIPTOR {
            0 => "where one of root's hooks mounted or executed it",
            _ => "to root's hooks that may only read it",
        };
        return format!(
            "a policy in lockc.toml with hook_mounts = true allows it {to_whom}, one with \
             {without} everywhere"
        );
    }
    let looks = matches!(hook, Some(Hook::file_open | Hook::inode_getattr | Hook::inode_readlink));
    if let Some(rule @ (Rule::Procfs | Rule::Sysfs)) = rule
        && event.key.arg & FMODE_WRITE == 0
        && looks
    {
        return match (setting::read(event, hook, rule), setting::path(event, "/")) {
            (Some(read), _) => format!(
                "a policy in lockc.toml with reads = [{:?}], or with {without}, allows it",
                read.value
            ),
            (None, None) => format!(
                "a policy in lockc.toml with its path, or a directory above it, in reads, or with \
                 {without} allows it"
            ),
            (None, Some(_)) => format!("a policy in lockc.toml with {without} allows it"),
        };
    }
    format!("a policy in lockc.toml with {without} allows it")
}
