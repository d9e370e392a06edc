//! The table of LSM hooks: one row for each program of lockc-ebpf.
//!
//! A row declares the hook's number in events, its kernel name, the first kernel release that has
//! it, what the program guards, what a kernel without the hook means, and what the number in its
//! events stands for. [`Hook`], the loader's list, `lockc doctor`, `lockc events` and docs/hooks.md
//! follow it. The program is in lockc-ebpf, under the same name; a test of lockc-bpf compares both.

#[macro_use]
mod macros;
mod argument;

pub use argument::{ARG_DESCRIPTOR, Argument, Described};

use crate::rules::Rule;

/// One LSM program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Program {
    /// Name of the program, its pin and its LSM hook.
    pub name: &'static str,
    /// Its number in events and error counters.
    pub hook: Hook,
    /// First kernel release that has the hook and BPF task storage. Documentation: the loader
    /// probes BTF.
    pub since: &'static str,
    /// What it guards.
    pub guards: &'static str,
    /// What a kernel without the hook means.
    pub without: Without,
    /// What the number in its events means.
    pub argument: Argument,
}

/// What a kernel without a hook means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Without {
    /// Nothing is attached.
    Refused,
    /// The rest is attached; this is not enforced.
    Loses(&'static str),
    /// The rest is attached, and nothing is lost, because of this.
    Covered(&'static str),
}

impl Program {
    /// Whether lockc does without on a kernel that lacks the hook.
    pub fn is_optional(&self) -> bool {
        self.without != Without::Refused
    }

    /// What is lost without it, if anything is, and lockc does without.
    pub const fn loses(&self) -> Option<&'static str> {
        match self.without {
            Without::Loses(what) => Some(what),
            Without::Refused | Without::Covered(_) => None,
        }
    }
}

/// The program of that name, if there is one.
pub fn by_name(name: &str) -> Option<&'static Program> {
    PROGRAMS.iter().find(|program| program.name == name)
}

/// What key_alloc denies, by the errno.
const KEY_ALLOC: &[(u64, &str)] = &[
    (122, "more keys than the container, or all containers, may have"),
    (95, "a persistent keyring, which belongs to a user of the host"),
];

/// What F_SETOWN and its like set.
const FILE_OWNER: Argument = Argument::Always("a process outside as the owner of a file");

hooks! {
    0 task_alloc since "5.11"
        guards "children inherit the label; clone3(CLONE_INTO_CGROUP)"
        => Always("a new process in another cgroup (CLONE_INTO_CGROUP)");
    1 task_free since "5.11"
        guards "count of a container's live tasks";
    2 bprm_committed_creds since "5.11"
        guards "a launching task becomes confined at the container's first exec";
    84 bprm_creds_for_exec since "5.11"
        guards "the container was granted the descriptors that it inherits"
        => Descriptor;
    3 bprm_check_security since "5.11"
        guards "the entry point is one of the container; the host's hooks execute no program of it";
    4 sb_statfs since "5.11"
        guards "the wrapper records the container's grants";
    5 sb_kern_mount since "5.11"
        guards "file systems that the runtime mounts are the container's";
    6 sb_mount since "5.11"
        guards "mount(2): new, bind, move, remount, propagation"
        => Hex("mount flags");
    7 sb_umount since "5.11"
        guards "umount(2)";
    8 sb_remount since "5.11"
        guards "reconfiguring a mounted file system";
    9 sb_pivotroot since "5.11"
        guards "pivot_root(2)";
    10 move_mount since "5.11"
        guards "move_mount(2)";
    11 capable since "5.11"
        guards "fsopen, fspick, fsmount, open_tree(CLONE), mount_setattr, unshare and setns of \
            mount namespaces; CAP_SYSLOG"
        => Number("capability");
    12 syslog since "5.11"
        guards "syslog(2), /proc/kmsg"
        => Number("syslog type");
    13 file_open since "5.11"
        guards "files, by the identity of their mount; procfs, sysfs and cgroup files; /dev/kmsg";
    15 socket_create since "5.11"
        guards "socket families"
        => Socket;
    14 socket_post_create since "5.11"
        guards "sockets carry their container";
    16 unix_stream_connect since "5.11"
        guards "stream and seqpacket sockets of the host"
        => Always("a socket without a path");
    17 unix_may_send since "5.11"
        guards "datagram sockets of the host"
        => Always("a socket without a path");
    18 ptrace_access_check since "5.11"
        guards "ptrace, process_vm_*, pidfd_getfd, other tasks' /proc entries"
        => Hex("ptrace mode");
    19 task_kill since "5.11"
        guards "signals to tasks outside"
        => Number("signal");
    20 task_setrlimit since "5.11"
        guards "limits of tasks outside";
    21 task_setscheduler since "5.11"
        guards "scheduling and affinity of tasks outside";
    22 task_setnice since "5.11"
        guards "niceness of tasks outside";
    23 task_setioprio since "5.11"
        guards "I/O priority of tasks outside";
    24 task_movememory since "5.11"
        guards "moving the memory of tasks outside";
    25 userns_create since "6.1"
        guards "new user namespaces"
        loses "user namespaces can be created; mounts, capabilities beyond the granted ones and \
            the rest stay denied in them";
    26 bpf since "5.11"
        guards "bpf(2), and with it lockc's own maps and programs"
        => Number("bpf command");
    72 bpf_map since "5.11"
        guards "lockc's own maps, also from the host's tasks without CAP_BPF";
    74 inode_free_security since "5.11"
        guards "a tag is removed with its inode";
    73 file_mprotect since "5.11"
        guards "the host's hooks execute no code of the container";
    27 perf_event_open since "5.11"
        guards "perf events";
    28 kernel_module_request since "5.11"
        guards "modules that the kernel loads on demand";
    29 kernel_read_file since "5.11"
        guards "finit_module, kexec_file_load, firmware";
    30 kernel_load_data since "5.11"
        guards "init_module, kexec_load";
    31 locked_down since "5.11"
        guards "what the kernel's lockdown covers: raw memory and ports, debugfs, MSRs, …"
        => Number("lockdown reason");
    32 key_alloc since "5.11"
        guards "keys carry their container"
        => Errno(KEY_ALLOC, "request_key, which runs a program of the host");
    33 key_permission since "5.11"
        guards "keys of others";
    34 settime since "5.11"
        guards "the clock";
    35 quotactl since "5.11"
        guards "quotas";
    36 quota_on since "5.11"
        guards "quotas";
    37 bprm_creds_from_file since "5.11"
        guards "set-uid and set-gid programs, file capabilities"
        => UserOrGroup;
    38 task_fix_setuid since "5.11"
        guards "becoming root"
        => Number("uid");
    39 inode_init_security_anon since "5.12"
        guards "io_uring"
        loses "restricted cannot deny io_uring";
    40 socket_connect since "5.11"
        guards "inherited sockets, without network"
        => Socket;
    41 socket_bind since "5.11"
        guards "inherited sockets, without network"
        => Socket;
    42 socket_listen since "5.11"
        guards "inherited sockets, without network"
        => Socket;
    43 socket_accept since "5.11"
        guards "inherited sockets, without network"
        => Socket;
    44 socket_sendmsg since "5.11"
        guards "inherited sockets, without network"
        => Socket;
    45 socket_recvmsg since "5.11"
        guards "inherited sockets, without network"
        => Socket;
    46 file_receive since "5.11"
        guards "descriptors received over sockets or taken by pidfd_getfd"
        => NotUnder(Rule::Files, &Socket);
    47 mmap_file since "5.11"
        guards "the host's hooks execute no code of the container";
    48 path_mknod since "5.11"
        guards "new files and device nodes";
    49 path_mkdir since "5.11"
        guards "new directories; cgroups";
    50 path_rmdir since "5.11"
        guards "removing directories and cgroups";
    51 path_unlink since "5.11"
        guards "removing files";
    52 path_rename since "5.11"
        guards "renaming";
    53 path_link since "5.11"
        guards "hard links";
    54 path_symlink since "5.11"
        guards "symbolic links";
    55 path_truncate since "5.11"
        guards "truncate(2)";
    56 path_chmod since "5.11"
        guards "modes";
    57 path_chown since "5.11"
        guards "owners";
    58 path_chroot since "5.11"
        guards "chroot(2)";
    59 path_notify since "5.11"
        guards "inotify, fanotify, dnotify";
    60 inode_getattr since "5.11"
        guards "stat(2); in procfs and sysfs also by name";
    61 inode_setattr since "5.11"
        guards "times; modes and owners in sysfs and procfs";
    62 inode_setxattr since "5.11"
        guards "extended attributes";
    63 inode_removexattr since "5.11"
        guards "extended attributes";
    64 inode_getxattr since "5.11"
        guards "extended attributes";
    65 inode_listxattr since "5.11"
        guards "extended attributes";
    66 inode_readlink since "5.11"
        guards "readlink(2); in procfs and sysfs also by name";
    67 inode_set_acl since "6.2"
        guards "POSIX ACLs"
        covered "the kernel calls inode_setxattr instead";
    68 inode_remove_acl since "6.2"
        guards "POSIX ACLs"
        covered "the kernel calls inode_removexattr instead";
    69 inode_get_acl since "6.2"
        guards "POSIX ACLs"
        covered "the kernel calls inode_getxattr instead";
    70 inode_file_getattr since "6.17"
        guards "file_getattr(2)"
        covered "the kernel has no such call";
    71 inode_file_setattr since "6.17"
        guards "file_setattr(2)"
        covered "the kernel has no such call";
    75 socket_setsockopt since "5.11"
        guards "socket options that lead out of 127.0.0.0/8; groups of the host's device events"
        => SocketOption;
    76 uring_override_creds since "5.16"
        guards "io_uring personalities that look like the kernel's own credentials"
        loses "io_uring lets a container that has CAP_SYS_ADMIN use capabilities that its policy \
            denies"
        => Always("an io_uring personality");
    77 uring_sqpoll since "5.16"
        guards "polling threads of io_uring with such credentials"
        loses "io_uring lets a container that has CAP_SYS_ADMIN use capabilities that its policy \
            denies"
        => Always("a polling thread of io_uring, with CAP_SYS_ADMIN");
    78 task_fix_setgid since "5.11"
        guards "becoming root's group"
        => Number("gid");
    79 file_fcntl since "5.11"
        guards "F_SETOWN: signals to tasks outside"
        => Under(Rule::Process, &FILE_OWNER);
    80 task_prlimit since "5.11"
        guards "reading limits of tasks outside"
        => Always("limits of another process");
    81 file_ioctl since "5.11"
        guards "FIOSETOWN: signals to tasks outside; btrfs subvolumes by number"
        => Under(Rule::Process, &FILE_OWNER);
    82 file_ioctl_compat since "6.8"
        guards "FIOSETOWN of 32-bit programs"
        loses "32-bit programs may have tasks outside signalled, where the PID namespace is the \
            host's"
        => Under(Rule::Process, &FILE_OWNER);
    83 inode_rename since "5.11"
        guards "renaming sockets to names that allowed_sockets grants";
    85 shm_alloc_security since "5.11"
        guards "records who creates System V shared memory in the host's IPC namespace";
    86 sem_alloc_security since "5.11"
        guards "records who creates System V semaphores in the host's IPC namespace";
    87 msg_queue_alloc_security since "5.11"
        guards "records who creates System V message queues in the host's IPC namespace";
    88 shm_free_security since "5.11"
        guards "the record of an object's creator is removed with the object";
    89 sem_free_security since "5.11"
        guards "the record of an object's creator is removed with the object";
    90 msg_queue_free_security since "5.11"
        guards "the record of an object's creator is removed with the object";
    91 ipc_permission since "5.11"
        guards "System V objects of the host, with its IPC namespace"
        => Octal("a System V object, mode");
    92 shm_shmctl since "5.11"
        guards "System V shared memory of the host: SHM_STAT_ANY, IPC_SET, IPC_RMID, SHM_LOCK"
        => Command("shmctl command");
    93 sem_semctl since "5.11"
        guards "System V semaphores of the host: SEM_STAT_ANY, IPC_SET, IPC_RMID"
        => Command("semctl command");
    94 msg_queue_msgctl since "5.11"
        guards "System V message queues of the host: MSG_STAT_ANY, IPC_SET, IPC_RMID"
        => Command("msgctl command");
    95 inode_create since "5.11"
        guards "records who creates POSIX message queues in the host's IPC namespace";
    96 inode_unlink since "5.11"
        guards "removing POSIX message queues in the host\'s IPC namespace";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_no_gap() {
        for number in 0..PROGRAMS.len() as u32 {
            let hook = Hook::from_raw(number).expect("a number without a hook");
            assert_eq!(hook as u32, number);
            assert_eq!(by_name(hook.program().name), Some(hook.program()));
        }
        assert_eq!(Hook::from_raw(PROGRAMS.len() as u32), None);
        // Bits of `Meta::attached`.
        assert!(PROGRAMS.len() <= 128);
        // A pin is called so, and `_new` behind it while an upgrade replaces it.
        assert!(PROGRAMS.iter().all(|program| program.name.len() < 32));
    }
}
