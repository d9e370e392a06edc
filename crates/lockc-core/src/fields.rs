//! Fields of kernel structs that the LSM programs follow.
//!
//! Their offsets differ between kernels (`task_struct.fs` is at 1816, 3040 and 3408 in 6.1, 6.12
//! and 7.2), so the loader reads them from the running kernel's BTF and sets them as read-only
//! globals before the verifier sees the programs. A field that the kernel does not have is an error
//! by name, never an offset of 0.

/// One field: the global that gets its offset, and where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Name of the global in `lockc-ebpf`.
    pub global: &'static str,
    /// Name of the struct.
    pub of: &'static str,
    /// Member, or members of members; unnamed structs and unions on the way are passed through.
    /// The first that the kernel has is taken.
    pub members: &'static [&'static str],
}

macro_rules! fields {
    ($(#[$about:meta])* $list:ident, $declare:ident; $($global:ident: $of:literal $($member:literal)|+;)*) => {
        $(#[$about])*
        pub const $list: &[Field] = &[
            $(Field { global: stringify!($global), of: $of, members: &[$($member),+] },)*
        ];

        /// Declares the globals of these fields, in the crate that holds the programs.
        #[macro_export]
        macro_rules! $declare {
            () => {
                $(
                    #[doc = concat!("Offset of `", $of, "`'s field, set by the loader.")]
                    #[unsafe(no_mangle)]
                    pub static $global: u64 = 0;
                )*
            };
        }
    };
}

fields! {
    /// Fields of overlayfs. Its layout is known only while it is there, as a module or built in; without it lockc does
    /// not know what an overlayfs is made of (fs/overlayfs/ovl_entry.h; the same in 6.1, 6.12 and 7.2).
    OVERLAY_FIELDS, declare_overlay_globals;
    OVL_NUMLAYER: "ovl_fs" "numlayer";
    OVL_LAYERS: "ovl_fs" "layers";
    OVL_WORKBASEDIR: "ovl_fs" "workbasedir";
    OVL_LAYER_MNT: "ovl_layer" "mnt";
}

/// Struct of one of the layers in an array.
pub const OVERLAY_LAYER: &str = "ovl_layer";

fields! {
    /// Every field that the programs follow.
    FIELDS, declare_field_globals;
    TASK_FS: "task_struct" "fs";
    TASK_REAL_CRED: "task_struct" "real_cred";
    TASK_NSPROXY: "task_struct" "nsproxy";
    FS_ROOT_MNT: "fs_struct" "root.mnt";
    FS_ROOT_DENTRY: "fs_struct" "root.dentry";
    NSPROXY_MNT_NS: "nsproxy" "mnt_ns";
    VFSMOUNT_ROOT: "vfsmount" "mnt_root";
    VFSMOUNT_SB: "vfsmount" "mnt_sb";
    MOUNT_VFSMOUNT: "mount" "mnt";
    MOUNT_NS: "mount" "mnt_ns";
    MOUNT_PARENT: "mount" "mnt_parent";
    DENTRY_PARENT: "dentry" "d_parent";
    // Since 6.15 the name is in a union of `__d_name` and a read-only `d_name`.
    DENTRY_NAME: "dentry" "d_name.name" | "__d_name.name";
    DENTRY_INODE: "dentry" "d_inode";
    DENTRY_SB: "dentry" "d_sb";
    INODE_INO: "inode" "i_ino";
    INODE_RDEV: "inode" "i_rdev";
    INODE_MODE: "inode" "i_mode";
    SB_DEV: "super_block" "s_dev";
    SB_MAGIC: "super_block" "s_magic";
    // Since 6.14 or so the path is in a union of `__f_path` and a read-only `f_path`.
    FILE_PATH_MNT: "file" "f_path.mnt" | "__f_path.mnt";
    FILE_PATH_DENTRY: "file" "f_path.dentry" | "__f_path.dentry";
    FILE_INODE: "file" "f_inode";
    FILE_MODE: "file" "f_mode";
    BPRM_FILE: "linux_binprm" "file";
    SOCKET_SK: "socket" "sk";
    UNIX_SOCK_DENTRY: "unix_sock" "path.dentry";
    SOCK_FAMILY: "sock" "__sk_common.skc_family";
    TASK_THREAD_PID: "task_struct" "thread_pid";
    TASK_CRED: "task_struct" "cred";
    PID_LEVEL: "pid" "level";
    PID_NUMBERS: "pid" "numbers";
    UPID_NS: "upid" "ns";
    CRED_EFFECTIVE: "cred" "cap_effective";
    CRED_PERMITTED: "cred" "cap_permitted";
    CRED_USER_NS: "cred" "user_ns";
    CRED_EUID: "cred" "euid";
    CRED_UID: "cred" "uid";
    CRED_SUID: "cred" "suid";
    USER_NS_LEVEL: "user_namespace" "level";
    BPRM_CRED: "linux_binprm" "cred";
    PATH_MNT: "path" "mnt";
    PATH_DENTRY: "path" "dentry";
    SB_ROOT: "super_block" "s_root";
    SB_FLAGS: "super_block" "s_flags";
    SB_FS_INFO: "super_block" "s_fs_info";
    IATTR_VALID: "iattr" "ia_valid";
    TASK_FILES: "task_struct" "files";
    FILES_FDT: "files_struct" "fdt";
    FDT_FD: "fdtable" "fd";
    KEY_TYPE: "key" "type";
    KEY_DESCRIPTION: "key" "description";
    KEY_TYPE_NAME: "key_type" "name";
    SOCK_OWN_ADDRESS: "sock" "__sk_common.skc_rcv_saddr";
    SOCK_PEER_ADDRESS: "sock" "__sk_common.skc_daddr";
    MSG_NAME: "msghdr" "msg_name";
    SOCKADDR_FAMILY: "sockaddr_in" "sin_family";
    SOCKADDR_ADDRESS: "sockaddr_in" "sin_addr";
    QSTR_NAME: "qstr" "name";
    BPF_MAP_ID: "bpf_map" "id";
    INODE_GENERATION: "inode" "i_generation";
    FDT_MAX_FDS: "fdtable" "max_fds";
    FDT_OPEN_FDS: "fdtable" "open_fds";
    FDT_CLOSE_ON_EXEC: "fdtable" "close_on_exec";
    FILE_PRIVATE_DATA: "file" "private_data";
    FILE_CRED: "file" "f_cred";
    FILE_FLAGS: "file" "f_flags";
    VMA_FILE: "vm_area_struct" "vm_file";
    SOCK_STATE: "sock" "__sk_common.skc_state";
    UNIX_SOCK_PEER: "unix_sock" "peer";
    UNIX_SOCK_ADDRESS: "unix_sock" "addr";
    NSPROXY_CGROUP_NS: "nsproxy" "cgroup_ns";
    CGROUP_NS_ROOT: "cgroup_namespace" "root_cset";
    CSS_SET_CGROUP: "css_set" "dfl_cgrp";
    CGROUP_NODE: "cgroup" "kn";
    CGROUP_LEVEL: "cgroup" "level";
    INODE_PRIVATE: "inode" "i_private";
    SOCK_TYPE: "sock" "sk_type";
    SOCK_PROTOCOL: "sock" "sk_protocol";
    SOCK_NET: "sock" "__sk_common.skc_net.net";
    SOCK_BOUND_DEV: "sock" "__sk_common.skc_bound_dev_if";
    INET_OPTIONS: "inet_sock" "inet_opt";
    INET_UNICAST_IF: "inet_sock" "uc_index";
    NSPROXY_NET: "nsproxy" "net_ns";
    MSG_CONTROL: "msghdr" "msg_control";
    MSG_CONTROLLEN: "msghdr" "msg_controllen";
    MSG_FLAGS: "msghdr" "msg_flags";
    TASK_FLAGS: "task_struct" "flags";
    CRED_BOUNDING: "cred" "cap_bset";
    CRED_FSUID: "cred" "fsuid";
    CRED_GID: "cred" "gid";
    CRED_EGID: "cred" "egid";
    CRED_SGID: "cred" "sgid";
    CRED_FSGID: "cred" "fsgid";
    TASK_PID_LINKS: "task_struct" "pid_links";
    PID_TASKS: "pid" "tasks";
    MNT_NS_USER_NS: "mnt_namespace" "user_ns";
    KEY_USAGE: "key" "usage";
    INODE_UID: "inode" "i_uid";
    SB_USER_NS: "super_block" "s_user_ns";
    NSPROXY_IPC_NS: "nsproxy" "ipc_ns";
    IPC_NS_NUMBER: "ipc_namespace" "ns.inum";
    PROC_INODE_PID: "proc_inode" "pid";
    PROC_INODE_INODE: "proc_inode" "vfs_inode";
    SB_TYPE: "super_block" "s_type";
    FS_TYPE_FLAGS: "file_system_type" "fs_flags";
}
