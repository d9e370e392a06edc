//! The one table of LSM programs: loader, `lockc doctor` and the docs follow it.

use crate::abi::Hook;

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

macro_rules! programs {
    ($($name:literal $hook:ident $since:literal $guards:literal $($kind:ident $without:literal)?;)*) => {
        /// Every program.
        pub const PROGRAMS: &[Program] = &[
            $(Program { name: $name, hook: Hook::$hook, since: $since, guards: $guards, without: without!($($kind $without)?) },)*
        ];
    };
}

macro_rules! without {
    () => {
        Without::Refused
    };
    (loses $what:literal) => {
        Without::Loses($what)
    };
    (covered $why:literal) => {
        Without::Covered($why)
    };
}

programs! {
    "task_alloc" TaskAlloc "5.11" "children inherit the label; clone3(CLONE_INTO_CGROUP)";
    "task_free" TaskFree "5.11" "count of a container's live tasks";
    "bprm_committed_creds" BprmCommittedCreds "5.11" "a launching task becomes confined at the container's first own exec";
    "bprm_creds_for_exec" BprmCredsForExec "5.11" "open descriptors are what the container was granted";
    "bprm_check_security" BprmCheckSecurity "5.11" "the entry point is what the container was granted; no code of its own in hooks";
    "sb_statfs" SbStatfs "5.11" "the wrapper grants the container what it may use";
    "sb_kern_mount" SbKernMount "5.11" "file systems that the runtime mounts are the container's";
    "sb_mount" SbMount "5.11" "mount(2): new, bind, move, remount, propagation";
    "sb_umount" SbUmount "5.11" "umount(2)";
    "sb_remount" SbRemount "5.11" "reconfiguring a mounted file system";
    "sb_pivotroot" SbPivotroot "5.11" "pivot_root(2)";
    "move_mount" MoveMount "5.11" "move_mount(2)";
    "capable" Capable "5.11" "fsopen, fspick, fsmount, open_tree(CLONE), mount_setattr, unshare and setns of mount namespaces; CAP_SYSLOG";
    "syslog" Syslog "5.11" "syslog(2), /proc/kmsg";
    "file_open" FileOpen "5.11" "files by mount identity; procfs, sysfs and cgroup files; /dev/kmsg";
    "socket_create" SocketCreate "5.11" "socket families";
    "socket_post_create" SocketPostCreate "5.11" "sockets carry their container";
    "unix_stream_connect" UnixStreamConnect "5.11" "stream and seqpacket sockets of the host";
    "unix_may_send" UnixMaySend "5.11" "datagram sockets of the host";
    "ptrace_access_check" PtraceAccessCheck "5.11" "ptrace, process_vm_*, pidfd_getfd, other tasks' /proc entries";
    "task_kill" TaskKill "5.11" "signals to tasks outside";
    "task_setrlimit" TaskSetrlimit "5.11" "limits of tasks outside";
    "task_setscheduler" TaskSetscheduler "5.11" "scheduling and affinity of tasks outside";
    "task_setnice" TaskSetnice "5.11" "niceness of tasks outside";
    "task_setioprio" TaskSetioprio "5.11" "I/O priority of tasks outside";
    "task_movememory" TaskMovememory "5.11" "moving the memory of tasks outside";
    "userns_create" UsernsCreate "6.1" "new user namespaces" loses "user namespaces can be created; mounts, capabilities beyond the given ones and the rest stay denied in them";
    "bpf" Bpf "5.11" "bpf(2), and with it lockc's own maps and programs";
    "bpf_map" BpfMap "5.11" "lockc's own maps, before tasks of the host without CAP_BPF";
    "inode_free_security" InodeFreeSecurity "5.11" "the identity of an object ends with it";
    "file_mprotect" FileMprotect "5.11" "code of the container's in hooks of the host's";
    "perf_event_open" PerfEventOpen "5.11" "perf events";
    "kernel_module_request" KernelModuleRequest "5.11" "modules that the kernel would load by itself";
    "kernel_read_file" KernelReadFile "5.11" "finit_module, kexec_file_load, firmware";
    "kernel_load_data" KernelLoadData "5.11" "init_module, kexec_load";
    "locked_down" LockedDown "5.11" "what the kernel's lockdown knows: raw memory and ports, debugfs, MSRs, …";
    "key_alloc" KeyAlloc "5.11" "keys carry their container";
    "key_permission" KeyPermission "5.11" "keys of others";
    "settime" Settime "5.11" "the clock";
    "quotactl" Quotactl "5.11" "quotas";
    "quota_on" QuotaOn "5.11" "quotas";
    "bprm_creds_from_file" BprmCredsFromFile "5.11" "set-uid and set-gid programs, file capabilities";
    "task_fix_setuid" TaskFixSetuid "5.11" "becoming root";
    "inode_init_security_anon" InodeInitSecurityAnon "5.12" "io_uring" loses "restricted cannot deny io_uring";
    "socket_connect" SocketConnect "5.11" "inherited sockets without network";
    "socket_bind" SocketBind "5.11" "inherited sockets without network";
    "socket_listen" SocketListen "5.11" "inherited sockets without network";
    "socket_accept" SocketAccept "5.11" "inherited sockets without network";
    "socket_sendmsg" SocketSendmsg "5.11" "inherited sockets without network";
    "socket_recvmsg" SocketRecvmsg "5.11" "inherited sockets without network";
    "file_receive" FileReceive "5.11" "descriptors received over sockets or taken by pidfd_getfd";
    "mmap_file" MmapFile "5.11" "code of the container's in hooks of the host's";
    "path_mknod" PathMknod "5.11" "new files and device nodes";
    "path_mkdir" PathMkdir "5.11" "new directories; cgroups";
    "path_rmdir" PathRmdir "5.11" "removing directories and cgroups";
    "path_unlink" PathUnlink "5.11" "removing files";
    "path_rename" PathRename "5.11" "renaming";
    "path_link" PathLink "5.11" "hard links";
    "path_symlink" PathSymlink "5.11" "symbolic links";
    "path_truncate" PathTruncate "5.11" "truncate(2)";
    "path_chmod" PathChmod "5.11" "modes";
    "path_chown" PathChown "5.11" "owners";
    "path_chroot" PathChroot "5.11" "chroot(2)";
    "path_notify" PathNotify "5.11" "inotify, fanotify, dnotify";
    "inode_getattr" InodeGetattr "5.11" "stat(2), in procfs and sysfs by name as well";
    "inode_setattr" InodeSetattr "5.11" "times; modes and owners in sysfs and procfs";
    "inode_setxattr" InodeSetxattr "5.11" "extended attributes";
    "inode_removexattr" InodeRemovexattr "5.11" "extended attributes";
    "inode_getxattr" InodeGetxattr "5.11" "extended attributes";
    "inode_listxattr" InodeListxattr "5.11" "extended attributes";
    "inode_readlink" InodeReadlink "5.11" "readlink(2), in procfs and sysfs by name as well";
    "inode_set_acl" InodeSetAcl "6.2" "POSIX ACLs" covered "inode_setxattr is asked instead";
    "inode_remove_acl" InodeRemoveAcl "6.2" "POSIX ACLs" covered "inode_removexattr is asked instead";
    "inode_get_acl" InodeGetAcl "6.2" "POSIX ACLs" covered "inode_getxattr is asked instead";
    "inode_file_getattr" InodeFileGetattr "6.17" "file_getattr(2)" covered "the kernel has no such call";
    "inode_file_setattr" InodeFileSetattr "6.17" "file_setattr(2)" covered "the kernel has no such call";
    "socket_setsockopt" SocketSetsockopt "5.11" "socket options that lead out of 127.0.0.0/8; groups of the host's device events";
    "uring_override_creds" UringOverrideCreds "5.16" "io_uring personalities that could be taken for the kernel's own credentials" loses "io_uring lets a container that has CAP_SYS_ADMIN use capabilities that its policy denies";
    "uring_sqpoll" UringSqpoll "5.16" "polling threads of io_uring, likewise" loses "io_uring lets a container that has CAP_SYS_ADMIN use capabilities that its policy denies";
    "task_fix_setgid" TaskFixSetgid "5.11" "becoming root's group";
    "file_fcntl" FileFcntl "5.11" "F_SETOWN: signals to tasks outside";
    "task_prlimit" TaskPrlimit "5.11" "reading limits of tasks outside";
    "file_ioctl" FileIoctl "5.11" "FIOSETOWN: signals to tasks outside; btrfs subvolumes by number";
    "file_ioctl_compat" FileIoctlCompat "6.8" "FIOSETOWN of 32-bit programs" loses "32-bit programs may have tasks outside signalled, where the PID namespace is the host's";
    "inode_rename" InodeRename "5.11" "sockets renamed to what allowed_sockets names";
    "shm_alloc_security" ShmAllocSecurity "5.11" "who creates System V shared memory in the host's IPC namespace";
    "sem_alloc_security" SemAllocSecurity "5.11" "likewise, semaphores";
    "msg_queue_alloc_security" MsgQueueAllocSecurity "5.11" "likewise, message queues";
    "shm_free_security" ShmFreeSecurity "5.11" "the owner of an object ends with it";
    "sem_free_security" SemFreeSecurity "5.11" "likewise";
    "msg_queue_free_security" MsgQueueFreeSecurity "5.11" "likewise";
    "ipc_permission" IpcPermission "5.11" "System V objects of the host, with its IPC namespace";
    "shm_shmctl" ShmShmctl "5.11" "likewise: SHM_STAT_ANY, IPC_SET, IPC_RMID, SHM_LOCK";
    "sem_semctl" SemSemctl "5.11" "likewise: SEM_STAT_ANY, IPC_SET, IPC_RMID";
    "msg_queue_msgctl" MsgQueueMsgctl "5.11" "likewise: MSG_STAT_ANY, IPC_SET, IPC_RMID";
    "inode_create" InodeCreate "5.11" "POSIX message queues in the host's IPC namespace";
    "inode_unlink" InodeUnlink "5.11" "likewise";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_hook_has_one_program() {
        for hook in Hook::ALL.iter().copied() {
            assert_eq!(
                PROGRAMS.iter().filter(|program| program.hook == hook).count(),
                1,
                "{hook:?}"
            );
        }
        assert!(Hook::ALL.len() <= 128);
        assert!(PROGRAMS.iter().all(|program| program.name.len() < 32));
    }
}
