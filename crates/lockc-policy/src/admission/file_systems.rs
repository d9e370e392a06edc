//! Types of file systems, by what they show.

/// File systems that show the host's kernel, its devices or its services, whoever mounted them.
const OF_THE_HOST: [&str; 26] = [
    "autofs",
    "binder",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "devpts",
    "devtmpfs",
    "efivarfs",
    "functionfs",
    "fusectl",
    "gadgetfs",
    "mqueue",
    "nfsd",
    "proc",
    "pstore",
    "resctrl",
    "rpc_pipefs",
    "securityfs",
    "selinuxfs",
    "smackfs",
    "sysfs",
    "tracefs",
    "xenfs",
];

/// File systems whose content is somewhere else on the network, or nowhere.
pub(super) const VOLUMES: [&str; 8] =
    ["ceph", "cifs", "lustre", "nfs", "nfs4", "ramfs", "smb3", "tmpfs"];

/// Whether a file system of that type shows the host.
pub(super) fn is_of_the_host(kind: &str) -> bool {
    OF_THE_HOST.contains(&kind)
}
