//! Calls that reach more than the file that they are made on: the third table of `docs/escapes.md`.

/// One call.
pub struct Second {
    pub call: &'static str,
    /// What else it reaches.
    pub reaches: &'static str,
    /// What lockc decides about it, and why.
    pub decision: &'static str,
    /// What was tried, and on which kernels.
    pub tried: &'static str,
}

const fn second(
    call: &'static str,
    reaches: &'static str,
    decision: &'static str,
    tried: &'static str,
) -> Second {
    Second { call, reaches, decision, tried }
}

pub const SECOND: &[Second] = &[
    second(
        "EXT4_IOC_MOVE_EXT",
        "the blocks of a file that a second descriptor names",
        "allowed: the second must be open for writing too, and its opening was checked",
        "6.1, 6.12, 7.2: EBADF with O_PATH; a container with a file of the host's left open does \
         not start",
    ),
    second(
        "XFS_IOC_SWAPEXT, XFS_IOC_EXCHANGE_RANGE",
        "the same",
        "allowed, likewise",
        "not on XFS, which no test kernel has",
    ),
    second(
        "BTRFS_IOC_SNAP_CREATE, BTRFS_IOC_SNAP_CREATE_V2",
        "the subvolume of a second descriptor",
        "allowed: the kernel takes the root of a subvolume only. An older kernel may lack that \
         check, and would copy the subvolume that a volume lies in",
        "6.1, 6.12, 7.2: EINVAL for a volume and for a directory in it, EXDEV for another file \
         system, also with O_PATH",
    ),
    second(
        "BTRFS_IOC_SNAP_DESTROY_V2 by number",
        "every subvolume of the file system, where it is mounted with user_subvol_rm_allowed",
        "denied (rule files); deleting one by its name works",
        "6.1, 6.12, 7.2: case storage/btrfs-subvolume-by-number",
    ),
    second(
        "access(2), faccessat(2)",
        "nothing: the kernel swaps the caller's credentials for its real ids, which look like the \
         kernel's own to lockc if the policy admits CAP_SYS_ADMIN",
        "allowed: no hook that looks at them does more than answer",
        "6.1, 6.12, 7.2: /proc/1/root, /proc/kallsyms, sysfs and debugfs with CAP_SYS_ADMIN; the \
         answers are those without lockc, and opening stays denied",
    ),
    second(
        "walking a path over an automount: NFS crossmnt, DFS, AFS, autofs, tracefs below debugfs",
        "a mount that the kernel makes in the container's mount namespace",
        "denied (rule files): no hook sees such a mount, and it was not granted. Mount the inner \
         export as a separate volume",
        "tracefs on 6.12 and 7.2; not NFS, DFS and AFS, which no test kernel has",
    ),
    second(
        "fork(2) of a task whose memory had a label before (`task_alloc`)",
        "the label of another container",
        "replaced: a child has the label of its parent or is not created",
        "by reading: `task_free` removes the label, so that no test can leave one behind",
    ),
];
