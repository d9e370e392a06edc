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

/// A directory that stays empty: the state root of a runtime that is to find no container.
pub const EMPTY: &str = "/run/lockc/empty";

/// What people call the registered containers.
pub const CONTAINERS: &str = "/run/lockc/containers";

/// Containers that were refused lately, for `lockc explain`.
pub const REFUSED: &str = "/run/lockc/refused";
/// What audit mode let pass at the starts of containers, a file each.
pub const AUDITED: &str = "/run/lockc/audited";

/// How many containers and commands were refused, by reason.
pub const REFUSAL_COUNTS: &str = "/run/lockc/refusal-counts";

/// Configuration.
pub const CONFIG: &str = "/etc/lockc/lockc.toml";

/// What a Kubernetes cluster says of its namespaces; written by `lockc-node sync`.
pub const NAMESPACES: &str = "/var/lib/lockc/namespaces.json";

/// The policies that a Kubernetes cluster defines as objects; written by `lockc-node sync`.
pub const CLUSTER_POLICIES: &str = "/var/lib/lockc/policies.json";

/// Every pinned map.
pub const MAP_NAMES: [&str; 29] = [
    "task_labels",
    "sock_labels",
    "shadow",
    "keys",
    "key_places",
    "ipc_owners",
    "queue_owners",
    "containers",
    "usage",
    "roots",
    "grants",
    "tags",
    "sequence",
    "ids",
    "meta",
    "names",
    "reads",
    "read_sets",
    "own_maps",
    "denials",
    "denial_places",
    "denial_counts",
    "blank",
    "log",
    "totals",
    "ended",
    "errors",
    "guard",
    "socket_names",
];
