//! What a confined container may read and write in procfs and sysfs, besides `/proc/<pid>`.
//!
//! The paths are relative to the root of the file system. They become the entries of the map
//! `names`; the kernel side looks up one name a level, and what is not in the table is denied.

use std::collections::BTreeMap;

use crate::abi::{
    NAME_READ, NAME_SUBTREE, NAME_WRITE, NODE_CGROUP, NODE_PROC, NODE_SYS, NameKey, NameRule,
    padded,
};

const R: u32 = NAME_READ;
const TREE: u32 = NAME_READ | NAME_SUBTREE;
const RW_TREE: u32 = NAME_READ | NAME_WRITE | NAME_SUBTREE;
const RW: u32 = NAME_READ | NAME_WRITE;

/// procfs: what describes the machine's load and the container's own view. Reading decides nothing
/// that the sysctl's own check does not; writing is for the namespaced sysctls (net: network
/// namespace; kernel/{shm,msg,sem}…: IPC namespace; kernel/{hostname,domainname}: UTS namespace;
/// fs/mqueue: IPC namespace).
///
/// `docs/pseudo-files.md` says of each file of procfs why it is here, or why it is not.
pub const PROC: &[(&str, u32)] = &[
    ("cgroups", R),
    ("cpuinfo", R),
    ("crypto", R),
    ("devices", R),
    ("filesystems", R),
    ("loadavg", R),
    ("locks", R),
    ("meminfo", R),
    ("pressure", TREE),
    ("stat", R),
    ("sys", TREE),
    ("sys/net", RW_TREE),
    ("sys/fs", TREE),
    ("sys/fs/mqueue", RW_TREE),
    ("sys/kernel", TREE),
    ("sys/kernel/auto_msgmni", RW),
    ("sys/kernel/domainname", RW),
    ("sys/kernel/hostname", RW),
    ("sys/kernel/msg_next_id", RW),
    ("sys/kernel/msgmax", RW),
    ("sys/kernel/msgmnb", RW),
    ("sys/kernel/msgmni", RW),
    ("sys/kernel/sem", RW),
    ("sys/kernel/sem_next_id", RW),
    ("sys/kernel/shm_next_id", RW),
    ("sys/kernel/shm_rmid_forced", RW),
    ("sys/kernel/shmall", RW),
    ("sys/kernel/shmmax", RW),
    ("sys/kernel/shmmni", RW),
    ("sysvipc", TREE),
    ("uptime", R),
    ("version", R),
    ("vmstat", R),
];

/// sysfs: what runtimes (glibc, JVM, Go, Node, jemalloc) read to size themselves, and the
/// container's own network devices.
pub const SYS: &[(&str, u32)] = &[
    ("class/net", TREE),
    ("devices/system/cpu", TREE),
    ("devices/system/node", TREE),
    ("devices/virtual/net", TREE),
    ("fs/cgroup", TREE),
    ("kernel/mm/hugepages", TREE),
    ("kernel/mm/transparent_hugepage", TREE),
];

/// Files of the container's own cgroup that it may write where its runtime lets it manage what is
/// below: those that the kernel calls delegated (`/sys/kernel/cgroup/delegate`) and that limit
/// nothing.
pub const CGROUP: &[(&str, u32)] =
    &[("cgroup.procs", RW), ("cgroup.subtree_control", RW), ("cgroup.threads", RW)];

/// The entries of the map. An empty result for a path that is too deep or has too long a name would
/// be a hole in the table, so the tests walk every path through the result.
pub fn entries() -> Vec<(NameKey, NameRule)> {
    let mut nodes: BTreeMap<(u32, &str), NameRule> = BTreeMap::new();
    let mut last = NODE_CGROUP;
    for (root, table) in [(NODE_PROC, PROC), (NODE_SYS, SYS), (NODE_CGROUP, CGROUP)] {
        for (path, flags) in table {
            let mut node = root;
            let mut parts = path.split('/').peekable();
            while let Some(part) = parts.next() {
                let rule = nodes.entry((node, part)).or_default();
                if parts.peek().is_none() {
                    rule.flags |= flags;
                } else {
                    if rule.node == 0 {
                        last += 1;
                        rule.node = last;
                    }
                    node = rule.node;
                }
            }
        }
    }
    nodes.into_iter().map(|((node, name), rule)| (key(node, name), rule)).collect()
}

fn key(node: u32, name: &str) -> NameKey {
    NameKey { node, name: padded(name.as_bytes()) }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::abi::NAME_LEN;

    /// The kernel side's walk, in words of user space.
    fn allowed(map: &HashMap<NameKey, NameRule>, root: u32, path: &str, need: u32) -> bool {
        let parts: Vec<_> = path.split('/').collect();
        let (mut node, mut below) = (root, 0);
        for (depth, part) in parts.iter().take(3).enumerate() {
            let rule = map.get(&key(node, part)).copied().unwrap_or_default();
            if rule == NameRule::default() {
                return below & need != 0;
            }
            if depth + 1 == parts.len() {
                return rule.flags & need != 0;
            }
            below = if rule.flags & NAME_SUBTREE != 0 { rule.flags } else { 0 };
            node = rule.node;
            if node == 0 {
                break;
            }
        }
        below & need != 0
    }

    #[test]
    fn the_page_says_why_each_file_may_be_read() {
        let page = include_str!("../../../../docs/pseudo-files.md");
        for (path, _) in
            PROC.iter().chain(SYS).chain(CGROUP).filter(|(path, _)| !path.starts_with("sys/"))
        {
            assert!(
                page.contains(&format!("`{path}`")),
                "docs/pseudo-files.md says nothing about {path}"
            );
        }
    }

    #[test]
    fn every_path_is_found_and_no_other() {
        let map: HashMap<_, _> = entries().into_iter().collect();
        for (root, table) in [(NODE_PROC, PROC), (NODE_SYS, SYS), (NODE_CGROUP, CGROUP)] {
            for (path, flags) in table {
                assert!(
                    path.split('/').count() <= 3
                        && path.split('/').all(|part| part.len() < NAME_LEN),
                    "{path}"
                );
                assert!(allowed(&map, root, path, NAME_READ), "{path}");
                assert_eq!(
                    allowed(&map, root, path, NAME_WRITE),
                    flags & NAME_WRITE != 0,
                    "{path}"
                );
            }
        }
        for (path, read, write) in [
            ("kcore", false, false),
            ("sysrq-trigger", false, false),
            ("kallsyms", false, false),
            ("sys/kernel/core_pattern", true, false),
            ("sys/net/ipv4/ip_forward", true, true),
            ("sys/net/core/somaxconn", true, true),
            ("sys/vm/overcommit_memory", true, false),
            ("sys/fs/binfmt_misc/register", true, false),
            ("fs", false, false),
            ("acpi/wakeup", false, false),
            ("cmdline", false, false),
            ("diskstats", false, false),
            ("modules", false, false),
            ("partitions", false, false),
            ("swaps", false, false),
        ] {
            assert_eq!(allowed(&map, NODE_PROC, path, NAME_READ), read, "{path}");
            assert_eq!(allowed(&map, NODE_PROC, path, NAME_WRITE), write, "{path}");
        }
        for (path, read) in [
            ("fs/ext4", false),
            ("fs", false),
            ("devices/system/cpu/cpu0/topology/core_id", true),
            ("devices/system/memory", false),
            ("devices/virtual/dmi/id/product_uuid", false),
            ("kernel/mm/transparent_hugepage/enabled", true),
            ("kernel/mm/ksm/run", false),
        ] {
            assert_eq!(allowed(&map, NODE_SYS, path, NAME_READ), read, "{path}");
            assert!(!allowed(&map, NODE_SYS, path, NAME_WRITE), "{path}");
        }
    }
}
