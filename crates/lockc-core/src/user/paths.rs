//! Where lockc keeps what the host's root can see of it.

/// Directory of all pins, in bpffs.
pub const PINS: &str = "/sys/fs/bpf/lockc";

/// Directory of the pinned maps.
pub const MAPS: &str = "/sys/fs/bpf/lockc/maps";

/// Directory of the pinned links: a program stays attached as long as its link is pinned here.
pub const LINKS: &str = "/sys/fs/bpf/lockc/links";

/// Directory of the pinned programs.
pub const PROGS: &str = "/sys/fs/bpf/lockc/progs";

/// Runtime directory: the lock that serialises registration, loading and unloading.
pub const RUN: &str = "/run/lockc";

/// Configuration.
pub const CONFIG: &str = "/etc/lockc/lockc.toml";

/// Every pinned map.
pub const MAP_NAMES: [&str; 12] = [
    "task_labels",
    "sock_labels",
    "shadow",
    "keys",
    "containers",
    "usage",
    "given",
    "ids",
    "meta",
    "names",
    "events",
    "errors",
];
