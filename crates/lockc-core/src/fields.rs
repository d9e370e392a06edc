//! The kernel structs that the LSM programs read, and the types of their members.
//!
//! Offsets differ between kernels (`task_struct.fs` is at 1816, 3040 and 3408 in 6.1, 6.12 and
//! 7.2), so the loader reads them from the running kernel's BTF and sets them as read-only globals
//! before the verifier sees the programs. A member that the kernel does not have, or has with
//! another width, is an error by name, never an offset of 0.
//!
//! This table is the only place where a member is declared. It generates the loader's list
//! ([`FIELDS`]), the globals for the offsets (`declare_offsets!`, used by lockc-ebpf) and the
//! methods of [`Ptr`] and [`ProbePtr`] by which the programs read the member. A row says what the
//! member holds:
//!
//! | row | member |
//! |---|---|
//! | `name: u32` | a number of that width |
//! | `name: *T` | a pointer whose target the verifier knows when it comes from a typed pointer |
//! | `name: probe T` | a pointer that is only followed by probe: `void *`, text, arrays |
//! | `name: embeds T` | a struct, or the first of an array of structs |
//! | `name: begins T` | a struct at offset 0, of which this one is a kind |

#[macro_use]
mod macros;

use core::ptr;

use crate::pointers::{BeginsWith, Embeds, ProbePtr, Ptr, Target};

/// One member of a kernel struct.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// The global in the programs that gets its offset; `None`: the programs take it to be 0.
    pub global: Option<&'static str>,
    /// Name of the struct.
    pub of: &'static str,
    /// Member, or members of members; unnamed structs and unions on the way are passed through,
    /// and of an array the first element is meant. The first that the kernel has is taken.
    pub members: &'static [&'static str],
    /// What the programs take it for.
    pub holds: Holds,
}

/// What a member holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    /// A value of that many bytes.
    Bytes(usize),
    /// A pointer, to that struct if there is a name.
    Pointer(Option<&'static str>),
    /// That struct.
    Struct(&'static str),
}

kernel_structs! {
    /// Members of overlayfs. Its layout is known only while it is there, as a module or built in;
    /// without it lockc does not know what an overlayfs is made of (fs/overlayfs/ovl_entry.h; the
    /// same in 6.1, 6.12 and 7.2).
    OVERLAY_FIELDS, declare_overlay_offsets;

    /// What a superblock of overlayfs keeps.
    OvlFs = "ovl_fs" {
        layer_count: u32 = "numlayer";
        layers: probe OvlLayer = "layers";
        workbasedir: *Dentry = "workbasedir";
    }

    /// One of the layers in an array.
    OvlLayer = "ovl_layer" {
        mnt: *Vfsmount = "mnt";
    }
}

/// Struct of one of the layers in an array.
pub const OVERLAY_LAYER: &str = "ovl_layer";

kernel_structs! {
    /// Every other member that the programs read.
    FIELDS, declare_offsets;

    /// A task: a thread.
    Task = "task_struct" {
        fs: *FsStruct = "fs";
        real_cred: *Cred = "real_cred";
        cred: *Cred = "cred";
        nsproxy: *Nsproxy = "nsproxy";
        thread_pid: *Pid = "thread_pid";
        files: *FilesStruct = "files";
        flags: u32 = "flags";
        pid_links: embeds HlistNode = "pid_links";
    }

    /// A task's root and working directory.
    FsStruct = "fs_struct" {
        root_dentry: *Dentry = "root.dentry";
    }

    /// A task's namespaces.
    Nsproxy = "nsproxy" {
        mnt_ns: *MntNamespace = "mnt_ns";
        cgroup_ns: *CgroupNamespace = "cgroup_ns";
        net_ns: *Net = "net_ns";
        ipc_ns: *IpcNamespace = "ipc_ns";
    }

    /// A mount namespace.
    MntNamespace = "mnt_namespace" {
        user_ns: *UserNamespace = "user_ns";
    }

    /// A cgroup namespace.
    CgroupNamespace = "cgroup_namespace" {
        root_cset: *CssSet = "root_cset";
    }

    /// An IPC namespace.
    IpcNamespace = "ipc_namespace" {
        inum: u32 = "ns.inum";
    }

    /// A PID namespace.
    PidNamespace = "pid_namespace" {}

    /// A network namespace.
    Net = "net" {}

    /// A user namespace.
    UserNamespace = "user_namespace" {
        level: i32 = "level";
    }

    /// The cgroups of a task.
    CssSet = "css_set" {
        cgroup: *Cgroup = "dfl_cgrp";
    }

    /// A cgroup.
    Cgroup = "cgroup" {
        node: *KernfsNode = "kn";
        level: i32 = "level";
    }

    /// A file of sysfs or a cgroup file system.
    KernfsNode = "kernfs_node" {}

    /// Credentials.
    Cred = "cred" {
        uid: u32 = "uid";
        gid: u32 = "gid";
        suid: u32 = "suid";
        sgid: u32 = "sgid";
        euid: u32 = "euid";
        egid: u32 = "egid";
        fsuid: u32 = "fsuid";
        fsgid: u32 = "fsgid";
        permitted: u64 = "cap_permitted";
        effective: u64 = "cap_effective";
        bounding: u64 = "cap_bset";
        user_ns: *UserNamespace = "user_ns";
    }

    /// A process ID in all of its namespaces.
    Pid = "pid" {
        level: u32 = "level";
        // PIDTYPE_PID is the first of the lists and of the links (include/linux/pid_types.h).
        first_task: probe HlistNode = "tasks.first";
        numbers: embeds Upid = "numbers";
    }

    /// A process ID in one namespace.
    Upid = "upid" {
        ns: *PidNamespace = "ns";
    }

    /// A link of a list.
    HlistNode = "hlist_node" {}

    /// The file descriptors of a process.
    FilesStruct = "files_struct" {
        fdt: *FdTable = "fdt";
    }

    /// A table of file descriptors.
    FdTable = "fdtable" {
        max_fds: u32 = "max_fds";
        files: probe ProbePtr<File> = "fd";
        open_fds: probe u64 = "open_fds";
        close_on_exec: probe u64 = "close_on_exec";
    }

    /// An open file.
    File = "file" {
        // Since 6.14 or so the path is in a union of `__f_path` and a read-only `f_path`.
        mnt: *Vfsmount = "f_path.mnt" | "__f_path.mnt";
        dentry: *Dentry = "f_path.dentry" | "__f_path.dentry";
        inode: *Inode = "f_inode";
        mode: u32 = "f_mode";
        flags: u32 = "f_flags";
        cred: *Cred = "f_cred";
        // Of a socket's file.
        socket: probe Socket = "private_data";
    }

    /// A path: a place in a mount.
    Path = "path" {
        mnt: *Vfsmount = "mnt";
        dentry: *Dentry = "dentry";
    }

    /// What is public of a mount.
    Vfsmount = "vfsmount" {
        root: *Dentry = "mnt_root";
        sb: *SuperBlock = "mnt_sb";
    }

    /// A mount.
    Mount = "mount" {
        vfsmount: embeds Vfsmount = "mnt";
        ns: *MntNamespace = "mnt_ns";
        parent: *Mount = "mnt_parent";
    }

    /// A name in a directory.
    Dentry = "dentry" {
        parent: *Dentry = "d_parent";
        // Since 6.15 the name is in a union of `__d_name` and a read-only `d_name`.
        name: probe u8 = "d_name.name" | "__d_name.name";
        inode: *Inode = "d_inode";
        sb: *SuperBlock = "d_sb";
    }

    /// A text with its length.
    Qstr = "qstr" {
        name: probe u8 = "name";
    }

    /// A file.
    Inode = "inode" {
        ino: u64 = "i_ino";
        mode: u16 = "i_mode";
        uid: u32 = "i_uid";
        rdev: u32 = "i_rdev";
        generation: u32 = "i_generation";
        // Of a file of kernfs.
        node: probe KernfsNode = "i_private";
    }

    /// A file of procfs.
    ProcInode = "proc_inode" {
        pid: *Pid = "pid";
        inode: embeds Inode = "vfs_inode";
    }

    /// The attributes that a call changes.
    Iattr = "iattr" {
        valid: u32 = "ia_valid";
    }

    /// A file system that is mounted at least once.
    SuperBlock = "super_block" {
        dev: u32 = "s_dev";
        flags: u64 = "s_flags";
        magic: u64 = "s_magic";
        root: *Dentry = "s_root";
        user_ns: *UserNamespace = "s_user_ns";
        kind: *FileSystemType = "s_type";
        // Of an overlayfs.
        overlay: probe OvlFs = "s_fs_info";
    }

    /// A kind of file system.
    FileSystemType = "file_system_type" {
        flags: u32 = "fs_flags";
    }

    /// A program that is being executed.
    Binprm = "linux_binprm" {
        file: *File = "file";
        cred: *Cred = "cred";
    }

    /// A mapping of memory.
    Vma = "vm_area_struct" {
        file: *File = "vm_file";
    }

    /// A socket's file side.
    Socket = "socket" {
        sk: *Sock = "sk";
    }

    /// A socket's network side.
    Sock = "sock" {
        family: u16 = "__sk_common.skc_family";
        state: u8 = "__sk_common.skc_state";
        kind: u16 = "sk_type";
        protocol: u16 = "sk_protocol";
        net: *Net = "__sk_common.skc_net.net";
        bound_dev: i32 = "__sk_common.skc_bound_dev_if";
        own_address: u32 = "__sk_common.skc_rcv_saddr";
        peer_address: u32 = "__sk_common.skc_daddr";
    }

    /// A socket of IPv4.
    InetSock = "inet_sock" {
        sock: begins Sock = "sk";
        options: probe IpOptions = "inet_opt";
        unicast_if: i32 = "uc_index";
    }

    /// The IP options that a socket sends.
    IpOptions = "ip_options_rcu" {}

    /// A socket of the unix family.
    UnixSock = "unix_sock" {
        sock: begins Sock = "sk";
        dentry: *Dentry = "path.dentry";
        peer: *Sock = "peer";
        address: probe UnixAddress = "addr";
    }

    /// The name that a socket of the unix family is bound to.
    UnixAddress = "unix_address" {}

    /// A message to be sent.
    Msghdr = "msghdr" {
        // As far as it is one of IPv4.
        name: probe SockaddrIn = "msg_name";
        control: probe u8 = "msg_control";
        control_len: u64 = "msg_controllen";
        flags: u32 = "msg_flags";
    }

    /// An address of IPv4.
    SockaddrIn = "sockaddr_in" {
        family: u16 = "sin_family";
        address: u32 = "sin_addr";
    }

    /// A key, or a keyring.
    Key = "key" {
        usage: u32 = "usage";
        kind: *KeyType = "type";
        description: probe u8 = "description";
    }

    /// A kind of key.
    KeyType = "key_type" {
        name: probe u8 = "name";
    }

    /// The part that the objects of System V IPC have in common.
    KernIpcPerm = "kern_ipc_perm" {}

    /// A map of BPF.
    BpfMap = "bpf_map" {
        id: u32 = "id";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_member_has_a_name_of_its_own() {
        let fields = FIELDS.iter().chain(OVERLAY_FIELDS);
        let mut names: Vec<_> = fields.filter_map(|f| f.global).collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
        // Identifiers, which is what BTF wants of the names of globals.
        assert!(names.iter().all(|name| name.bytes().all(|b| b == b'_' || b.is_ascii_lowercase())));
    }

    #[test]
    fn rows_say_what_a_member_holds() {
        let holds = |of: &str, member: &str| {
            FIELDS.iter().find(|f| f.of == of && f.members == [member]).map(|f| f.holds)
        };
        assert_eq!(holds("super_block", "s_dev"), Some(Holds::Bytes(4)));
        assert_eq!(holds("super_block", "s_root"), Some(Holds::Pointer(Some("dentry"))));
        assert_eq!(holds("qstr", "name"), Some(Holds::Pointer(None)));
        assert_eq!(holds("mount", "mnt"), Some(Holds::Struct("vfsmount")));
        let begins = FIELDS.iter().filter(|f| f.global.is_none());
        assert!(begins.clone().all(|f| matches!(f.holds, Holds::Struct(_))) && begins.count() == 2);
    }
}
