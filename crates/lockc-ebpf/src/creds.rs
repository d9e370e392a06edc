//! Credentials: use of capabilities, user namespaces, becoming root; and whether the kernel acts
//! with its own credentials.

use lockc_core::{
    abi::{LABEL_CONFINES, STATE_CONFINED, STATE_LAUNCHING},
    fields::{Binprm, Cred, File, UserNamespace},
    pointers::Ptr,
    rules::Rule,
};

use crate::{
    hook::lsm,
    kernel_log, label,
    verdict::{self, About, EPERM, Subject},
};

/// include/uapi/linux/capability.h
const CAP_DAC_READ_SEARCH: i32 = 2;
const CAP_SYS_ADMIN: i32 = 21;
const CAP_SETFCAP: i32 = 31;
const CAP_BPF: i32 = 39;
/// What only changes the kernel or tells about it, or takes the host down: SYS_MODULE, SYS_RAWIO,
/// SYS_PACCT, SYS_BOOT, SYS_TIME, AUDIT_CONTROL, MAC_OVERRIDE, MAC_ADMIN, PERFMON, BPF. For most of
/// what they allow there is no other hook: adjtimex, acct, ioperm, iopl, reboot.
const KERNEL: u64 = 1 << 16
    | 1 << 17
    | 1 << 20
    | 1 << 22
    | 1 << 25
    | 1 << 30
    | 1 << 32
    | 1 << 33
    | 1 << 38
    | 1 << CAP_BPF;
/// `CAP_OPT_NOAUDIT`, include/linux/security.h (6.1): the caller only asks and fails silently.
const CAP_OPT_NOAUDIT: u32 = 2;

/// `PF_IO_WORKER`, include/linux/sched.h (5.12 to 7.2): a thread of io-wq or a polling thread of
/// io_uring.
const PF_IO_WORKER: u32 = 0x10;

/// Whether these credentials are the kernel's own, in which it acts in the current task's name for
/// a moment: overlayfs with the mounter's to write its layers, the firmware loader and the upcalls
/// of file systems with init's.
///
/// They are in force instead of the task's, and are those of the initial user namespace with
/// CAP_SYS_ADMIN. Credentials that are only asked about are never the kernel's: those of a file's
/// opener (`file_ns_capable`) or of another task.
///
/// What else is in force instead of the task's comes from a task of the container, and has
/// CAP_SYS_ADMIN only where the container does. io_uring is the one place where such credentials do
/// something: a personality that could be taken for the kernel's is denied
/// ([`uring_override_creds`]), a polling thread that could bring some too ([`uring_sqpoll`]). A
/// worker uses those that a request was made with; its thread has at least their capabilities,
/// because nothing but exec, which ends the ring, gives a task more. So what the thread could have
/// itself is the container's there. access(2), core dumps and cgroup.procs use credentials of a
/// task's or an opener's, and nothing that they do asks for a capability of `capable`.
#[inline(always)]
pub fn are_kernels_own(cred: Ptr<Cred>) -> bool {
    let task = label::current();
    let real = task.real_cred();
    if cred == real || cred != task.cred() || !may_administer(cred) {
        return false;
    }
    if task.flags() & PF_IO_WORKER == 0 {
        return true;
    }
    let own = obtainable(real);
    own >> CAP_SYS_ADMIN & 1 == 0 || obtainable(cred) & !own != 0
}

/// Whether the credentials have CAP_SYS_ADMIN in the initial user namespace.
#[inline(always)]
fn may_administer(cred: Ptr<Cred>) -> bool {
    cred.effective() >> CAP_SYS_ADMIN & 1 != 0 && is_initial(cred.user_ns())
}

/// Whether the credentials are of the initial user namespace.
#[inline(always)]
pub fn is_initial_cred(cred: Ptr<Cred>) -> bool {
    is_initial(cred.user_ns())
}

/// The capabilities that a task with these credentials has or could get by an exec.
#[inline(always)]
fn obtainable(cred: Ptr<Cred>) -> u64 {
    cred.permitted() | cred.bounding()
}

/// The rule under which credentials that could be taken for the kernel's are refused: the first
/// that the container has of those that do not check the kernel itself.
#[inline(always)]
fn borrowing(who: &Subject) -> Option<Rule> {
    [Rule::Capability, Rule::Mount, Rule::Kernel, Rule::Files, Rule::Keyring]
        .into_iter()
        .find(|rule| who.has(*rule))
}

lsm! {
    /// A request of io_uring names a personality.
    fn uring_override_creds(new: Ptr<Cred>) -> confined |who| {
        if new == label::current().real_cred() || !may_administer(new) {
            return 0;
        }
        match borrowing(&who) {
            Some(rule) => verdict::deny(&who, rule, HOOK, About::NOTHING, EPERM),
            None => 0,
        }
    }

    /// A polling thread of io_uring, which may be one that another thread of the process made with
    /// fewer capabilities.
    fn uring_sqpoll() -> confined |who| {
        if !may_administer(label::current().cred()) {
            return 0;
        }
        match borrowing(&who) {
            Some(rule) => verdict::deny(&who, rule, HOOK, About::NOTHING, EPERM),
            None => 0,
        }
    }
}

/// Whether the kernel works in the current task's name with its own credentials.
#[inline(always)]
pub fn kernel_at_work() -> bool {
    are_kernels_own(label::current().cred())
}

/// `__FMODE_EXEC`, include/linux/fs.h: the kernel opens the file in order to execute it; open(2)
/// cannot say so.
const FMODE_EXEC: u32 = 0x20;

/// Whether the kernel opens the interpreter of a binfmt_misc entry with the flag `F`, which it
/// opened when the host's root registered it: for an exec, and with the credentials of that moment
/// instead of the task's (fs/open.c, `file_clone_open`).
#[inline(always)]
pub fn is_interpreter(file: Ptr<File>) -> bool {
    if file.flags() & FMODE_EXEC == 0 {
        return false;
    }
    let cred = file.cred();
    cred != label::current().cred() && may_administer(cred)
}

/// Whether the current task has CAP_BPF, or CAP_SYS_ADMIN which implies it, in the initial user
/// namespace.
#[inline(always)]
pub fn has_bpf() -> bool {
    let cred = label::current().cred();
    cred.effective() & (1 << CAP_SYS_ADMIN | 1 << CAP_BPF) != 0 && is_initial(cred.user_ns())
}

#[inline(always)]
fn is_initial(user_ns: Ptr<UserNamespace>) -> bool {
    !user_ns.is_null() && user_ns.level() == 0
}

/// Whether a user namespace lies below the container's own, which is the host's or one below that.
/// A container that starts deeper (rootless in rootless) has its own one taken for nested.
#[inline(always)]
fn is_nested(who: &Subject, user_ns: Ptr<UserNamespace>) -> bool {
    let own = i32::from(who.entry.is_some_and(|entry| entry.root_uid != 0));
    !user_ns.is_null() && user_ns.level() > own
}

/// Whether the kernel asks for CAP_SYS_ADMIN in a user namespace that the container made, under a
/// policy without the rule user-namespace: a browser's sandbox makes PID and network namespaces
/// with it.
///
/// Both mount APIs ask for the capability in the user namespace of the task's mount namespace
/// (fs/namespace.c, `may_mount`). Once that is a nested one too, the rule `mount` decides.
#[inline(always)]
fn is_for_own_sandbox(who: &Subject, user_ns: Ptr<UserNamespace>) -> bool {
    if who.has(Rule::UserNamespace) || !is_nested(who, user_ns) {
        return false;
    }
    let mounts = label::current().nsproxy().mnt_ns().user_ns();
    !mounts.is_null() && !is_nested(who, mounts)
}

/// Whether the current task may do what the kernel asks CAP_SYS_ADMIN in that user namespace for.
#[inline(always)]
pub fn may_administer_in(who: &Subject, user_ns: Ptr<UserNamespace>) -> bool {
    let cred = label::current().cred();
    !who.has(Rule::Mount)
        && (may_administer(cred)
            || (cred.user_ns() == user_ns && cred.effective() >> CAP_SYS_ADMIN & 1 != 0))
}

/// Whether the current task may do what the kernel asks CAP_SETFCAP over a file of that owner for.
/// In a user namespace that the container made, only the caller's own files are surely mapped.
#[inline(always)]
pub fn may_set_file_capabilities(who: &Subject, owner: u32) -> bool {
    let cred = label::current().cred();
    if cred.effective() >> CAP_SETFCAP & 1 == 0 {
        return false;
    }
    if is_nested(who, cred.user_ns()) {
        return !who.has(Rule::UserNamespace) && cred.euid() == owner;
    }
    who.may_use(CAP_SETFCAP)
}

lsm! {
    /// A capability when it is used: called only for what the credentials allow, in any user
    /// namespace. fsopen, fspick, fsmount, open_tree(CLONE), mount_setattr, unshare and setns of
    /// mount namespaces have no other hook than this, for CAP_SYS_ADMIN (seen on 6.1 to 7.2).
    fn capable(cred: Ptr<Cred>, ns: Ptr<UserNamespace>, cap: i32, opts: u32) -> confined |who| {
        if cap == CAP_SYS_ADMIN && is_for_own_sandbox(&who, ns) {
            return 0;
        }
        let rule = match cap {
            CAP_SYS_ADMIN if who.has(Rule::Mount) => Rule::Mount,
            kernel_log::CAP_SYSLOG if who.has(Rule::KernelLog) => Rule::KernelLog,
            CAP_DAC_READ_SEARCH if who.has(Rule::Files) => Rule::Files,
            _ if KERNEL >> (cap as u32 & 63) & 1 != 0 && who.has(Rule::Kernel) => Rule::Kernel,
            _ => {
                if !who.has(Rule::Capability) || who.may_use(cap) {
                    return 0;
                }
                // A user namespace that the policy lets it create comes with capabilities of its
                // own.
                if !who.has(Rule::UserNamespace) && !is_initial(ns) {
                    return 0;
                }
                Rule::Capability
            }
        };
        if are_kernels_own(cred) {
            return 0;
        }
        if opts & CAP_OPT_NOAUDIT != 0 {
            return verdict::quietly(&who, rule, EPERM);
        }
        verdict::deny(&who, rule, HOOK, About::number(cap as u64), EPERM)
    }

    /// A new user namespace, which comes with every capability in it.
    fn userns_create(_cred) -> rule UserNamespace |check| {
        check.deny(About::NOTHING, EPERM)
    }

    /// Set-uid and set-gid programs and file capabilities: the new credentials of an exec are
    /// computed, and it can still fail.
    fn bprm_creds_from_file(bprm: Ptr<Binprm>, _file) -> verdict {
        // SAFETY: null or a live cell of the storage.
        let Some(label) = (unsafe { label::for_task(label::current()).as_ref() }) else {
            return 0;
        };
        // The container's first program, which `bprm_check_security` has just let turn the task
        // into the container's.
        let first = label.state == STATE_LAUNCHING && label.flags & LABEL_CONFINES != 0;
        if label.state != STATE_CONFINED && !first {
            return 0;
        }
        let who = Subject::for_container(label.key);
        if !who.has(Rule::Privilege) {
            return 0;
        }
        let (new, old) = (bprm.cred(), label::current().cred());
        let euid = new.euid();
        // What root has after its first exec, the engine chose: all that is in the bounding set.
        let root = who.entry.map_or(0, |entry| entry.root_uid);
        let gained = if first && old.euid() == root {
            0
        } else {
            new.permitted() & !old.permitted()
        };
        let egid = new.egid();
        let other_group = egid != old.egid();
        if gained == 0 && euid == old.euid() && !other_group {
            return 0;
        }
        // `Argument::UserOrGroup`
        let group = if other_group { u64::from(egid) + 1 } else { 0 };
        let about = About::number(u64::from(euid) | group << 32);
        verdict::deny(&who, Rule::Privilege, HOOK, about, EPERM)
    }

    /// setuid(2) and similar calls.
    fn task_fix_setuid(new: Ptr<Cred>, old: Ptr<Cred>, _flags) -> rule Privilege |check| {
        let root = check.who.entry.map_or(0, |entry| entry.root_uid);
        if !is_root(new, root) || is_root(old, root) {
            return 0;
        }
        check.deny(About::number(u64::from(root)), EPERM)
    }

    /// setgid(2) and similar calls: only a holder of CAP_SETGID gets a group that is none of its
    /// own.
    fn task_fix_setgid(new: Ptr<Cred>, old: Ptr<Cred>, _flags) -> rule Privilege |check| {
        // Engines map users and groups alike (/etc/subuid, /etc/subgid); where they do not, a group
        // that is not root's on the host is no gain.
        let root = check.who.entry.map_or(0, |entry| entry.root_uid);
        if !is_roots_group(new, root) || is_roots_group(old, root) {
            return 0;
        }
        check.deny(About::number(u64::from(root)), EPERM)
    }
}

/// Whether any of the group ids is that of the container's root.
#[inline(always)]
fn is_roots_group(cred: Ptr<Cred>, root: u32) -> bool {
    cred.gid() == root || cred.egid() == root || cred.sgid() == root || cred.fsgid() == root
}

/// Whether any of the user ids is the container's root.
#[inline(always)]
fn is_root(cred: Ptr<Cred>, root: u32) -> bool {
    cred.uid() == root || cred.euid() == root || cred.suid() == root || cred.fsuid() == root
}
