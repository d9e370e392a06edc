//! What the kernel, or a program that it starts, does for a task with other rights than the task's:
//! the second table of `docs/escapes.md`. A row for each user of `override_creds`,
//! `call_usermodehelper` and signals in somebody's name that is known in Linux 6.1 to 7.2; one that
//! is missing is a fault of the table.

/// One facility.
pub struct Actor {
    pub facility: &'static str,
    /// With whose rights it acts.
    pub rights: &'static str,
    /// What lockc decides about it, and why.
    pub decision: &'static str,
}

const fn actor(facility: &'static str, rights: &'static str, decision: &'static str) -> Actor {
    Actor { facility, rights, decision }
}

pub const ACTORS: &[Actor] = &[
    actor(
        "request_key(2)",
        "the host's root: /sbin/request-key, with the caller's arguments",
        "denied (rule keyring, ENOKEY): `key_alloc` of the type `.request_key_auth`; technique \
         request-key",
    ),
    actor(
        "key upcalls of file systems: NFS id mapping, CIFS SPNEGO and id mapping, names of AFS, \
         CIFS and Ceph servers",
        "credentials that the kernel keeps for it (`id_resolver_cache`, `spnego_cred`, \
         `dns_resolver_cache`)",
        "allowed: they serve a file system that the host mounted, and the server or the host \
         chose the arguments; a container cannot mount one (rule mount)",
    ),
    actor(
        "KEYCTL_GET_PERSISTENT",
        "the keyring of a user of the host's",
        "denied in the host's user namespace (rule keyring, EOPNOTSUPP): whoever creates \
         `_persistent.UID` first would own it",
    ),
    actor(
        "requests for modules",
        "the host's root: modprobe",
        "denied (rule kernel), but where the kernel itself works for the task",
    ),
    actor(
        "firmware",
        "init's credentials (`kernel_cred` of the firmware loader)",
        "allowed: the driver chooses the file",
    ),
    actor(
        "core dumps to a program of core_pattern",
        "the host's root, in the host's namespaces",
        "allowed: the host chose the program, and it gets the dump as input; the setting cannot \
         be written (rule procfs)",
    ),
    actor(
        "cgroup v1 release_agent, uevent_helper, /sbin/poweroff, binfmt_misc, kernel.modprobe",
        "the host's root",
        "the settings cannot be written (rules sysfs, procfs), and reboot(2) is denied (rule \
         kernel)",
    ),
    actor(
        "bridge STP: /sbin/bridge-stp",
        "the host's root, for bridges of the initial network namespace only",
        "needs CAP_NET_ADMIN there: refused before it starts (capabilities, host-namespaces)",
    ),
    actor(
        "overlayfs",
        "the mounter's credentials",
        "allowed: it acts on the layers for what the task did to the overlay, which was checked",
    ),
    actor(
        "io_uring personalities",
        "credentials that a task of the container registered",
        "denied if they have CAP_SYS_ADMIN in the initial user namespace and are not the caller's \
         (rule capability): they could be taken for the kernel's own; others are checked as the \
         task's; technique personality",
    ),
    actor(
        "io_uring workers",
        "the credentials of the task that submitted",
        "checked as the task's: the thread has at least their capabilities; case surface/worker",
    ),
    actor(
        "io_uring polling threads (SQPOLL)",
        "the credentials of the task that made the ring",
        "denied to tasks with CAP_SYS_ADMIN in the initial user namespace, otherwise checked as \
         the task's",
    ),
    actor(
        "access(2), faccessat(2)",
        "the task's own with its real ids",
        "allowed: nothing is done with them but the answer",
    ),
    actor(
        "checks by a file's opener (`file_ns_capable`: uid_map, netlink, kallsyms)",
        "the opener's credentials",
        "checked as the task's",
    ),
    actor(
        "cgroup.procs",
        "the opener's credentials",
        "cgroup files cannot be written (rule sysfs), and a descriptor that was left open is \
         checked",
    ),
    actor(
        "nfsd, ksmbd, cachefiles, accounting, aio fsync, target drivers",
        "the client's, the cache's or the opener's credentials, in threads of the kernel",
        "not in the name of a task of a container: nothing to check",
    ),
    actor(
        "F_SETOWN, F_SETOWN_EX, FIOSETOWN, SIOCSPGRP with F_SETSIG",
        "a signal in no task's name, with the ids of who set it",
        "in the host's PID namespace only to the caller itself (rule process); elsewhere the \
         number is that of a task in sight; techniques owner*",
    ),
    actor(
        "leases, dnotify, tty and tun with O_ASYNC",
        "a signal to who asked for it",
        "allowed: the kernel sets the caller as the owner",
    ),
    actor(
        "timers (SIGEV_THREAD_ID), mq_notify, PR_SET_PDEATHSIG, CLONE_PARENT",
        "a signal to a thread of the same process, to the caller, to the child that asked, SIGCHLD",
        "allowed: the kernel lets nobody choose another target or signal",
    ),
    actor(
        "TIOCSPGRP, hang-up of a terminal",
        "a signal to a process group of the caller's session",
        "allowed: no other session's group can be chosen",
    ),
    actor(
        "KEYCTL_SESSION_TO_PARENT",
        "the parent gets the caller's session keyring",
        "open: the kernel asks no security module; the parent must have the same ids and one \
         thread, and the keys stay the container's, which the host may use",
    ),
];
