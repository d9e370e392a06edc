//! What a policy lets its containers read in procfs and sysfs beyond the table of `names`: which
//! paths can be meant, what they lead to on this host, and the entries of the map `reads` that say
//! so to the kernel side.
//!
//! The kernel side sees a file's own names from the root of its file system, never a path: symbolic
//! links are followed before it is asked. sysfs shows devices as links (`/sys/class/hwmon/hwmon0`),
//! so that the wrapper follows those that stand directly in a listed directory of links, at the
//! moment at which a container is created.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use super::paths::is_plain;
use crate::host::HostView;
use lockc_core::abi::{READ_DEPTH, READ_NAME_LEN};

/// What no policy's `reads` make readable, and why; a policy without the rule procfs does.
const NEVER: [(&str, &str); 8] = [
    ("/proc/kcore", "the memory of the host and of every container"),
    ("/proc/vmcore", "the memory of a kernel that crashed"),
    ("/proc/kpagecount", "the physical memory layout of every process"),
    ("/proc/kpageflags", "the physical memory layout of every process"),
    ("/proc/kpagecgroup", "the physical memory layout of every process"),
    ("/proc/kmsg", "the kernel log, which the kernel-log rule covers"),
    ("/proc/sysrq-trigger", "nothing that can be read"),
    ("/proc/sys/fs/binfmt_misc", OTHER),
];

const OTHER: &str = "another file system, which a container needs as a mount";

/// Where other file systems are usually mounted on sysfs, and on procfs.
const MOUNTED: [&str; 12] = [
    "/proc/fs/nfsd",
    "/sys/firmware/efi/efivars",
    "/sys/fs/bpf",
    "/sys/fs/cgroup",
    "/sys/fs/fuse/connections",
    "/sys/fs/pstore",
    "/sys/fs/resctrl",
    "/sys/fs/selinux",
    "/sys/kernel/config",
    "/sys/kernel/debug",
    "/sys/kernel/security",
    "/sys/kernel/tracing",
];

/// Entries of procfs that are a process' own, or lead to one.
const PROCESSES: [&str; 4] = ["self", "thread-self", "net", "mounts"];

/// Directories of sysfs that consist of links, or of directories of links, to what is in
/// `/sys/devices`.
const OF_LINKS: [&str; 4] = ["/sys/block", "/sys/bus", "/sys/class", "/sys/dev"];

/// The path without what does not count (`//`, `/./`, a slash at the end), if a policy can let it
/// be read.
///
/// # Errors
///
/// Why it cannot, and what to write instead.
pub fn check(path: &Path) -> Result<PathBuf, String> {
    let no = |problem: String| Err(format!("{path:?} {problem}"));
    if !is_plain(path) {
        return no("is not an absolute path without `..`; write the full path".into());
    }
    let plain: PathBuf = path.components().collect();
    let Some(root) = ["/proc", "/sys"].into_iter().find(|root| plain.starts_with(root)) else {
        return no("is neither in /proc nor in /sys; use allowed_mounts for other files".into());
    };
    let names: Vec<&str> = plain.iter().skip(2).map(|name| name.to_str().unwrap_or("")).collect();
    let rule = if root == "/proc" { "procfs" } else { "sysfs" };
    let Some(first) = names.first() else {
        return no(format!(
            "is the whole file system; name the files, or set without_rules = [{rule:?}]"
        ));
    };
    if root == "/proc"
        && (PROCESSES.contains(first) || first.starts_with(|c: char| c.is_ascii_digit()))
    {
        return no(
            "describes a process, and the process rule decides who may read it; remove it".into()
        );
    }
    if let Some((_, what)) = NEVER.iter().find(|(never, _)| plain.starts_with(never)) {
        return no(format!("is {what}; remove it"));
    }
    if MOUNTED.iter().any(|point| plain.starts_with(point)) {
        return no(format!("is {OTHER}; remove it"));
    }
    if names.len() > READ_DEPTH {
        return no(format!(
            "has more than {READ_DEPTH} components below {root}; name a directory above it"
        ));
    }
    if let Some(name) = names.iter().find(|name| name.len() >= READ_NAME_LEN) {
        return no(format!(
            "contains the name {name:?}, which is longer than {} bytes; name the directory above \
             it",
            READ_NAME_LEN - 1
        ));
    }
    if names.iter().any(|name| name.contains('*')) {
        return no("contains a `*`, which is not a wildcard here; name the directory above \
                   it"
        .into());
    }
    Ok(plain)
}

/// What a list of paths leads to on this host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolved {
    /// The paths themselves, and where they and the links in them lead: none is below another.
    pub paths: Vec<PathBuf>,
    /// Links that lead to what cannot be let.
    pub left_out: Vec<String>,
}

/// Follows what is listed. A path that does not exist (yet) stays: it is compared by its names.
pub fn resolve(listed: &[PathBuf], view: &dyn HostView) -> Resolved {
    let mut all = BTreeSet::new();
    let mut left_out = Vec::new();
    for path in listed {
        all.insert(path.clone());
        let Ok(real) = view.canonicalize(path) else { continue };
        let mut found = vec![real.clone()];
        if OF_LINKS.iter().any(|directory| real.starts_with(directory)) {
            found.extend(view.links(&real).iter().filter_map(|link| view.canonicalize(link).ok()));
        }
        for real in found {
            match check(&real) {
                Ok(real) => drop(all.insert(real)),
                Err(problem) => left_out
                    .push(format!("{} is a link and is not followed: {problem}", path.display())),
            }
        }
    }
    // In this order a directory comes before what is below it.
    let mut paths: Vec<PathBuf> = Vec::new();
    for path in all {
        if !paths.iter().any(|above| path.starts_with(above)) {
            paths.push(path);
        }
    }
    Resolved { paths, left_out }
}

#[cfg(test)]
#[path = "reads_tests.rs"]
mod tests;
