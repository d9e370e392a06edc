//! Techniques that need capabilities, namespaces or mounts of the host, which admission refuses
//! first.

use super::{Stopped, Technique};
use crate::bundle::Bundle;
use crate::select::Standing;

type Args = &'static [&'static str];

const fn technique(
    name: &'static str,
    reference: &'static str,
    args: Args,
    give: fn(Bundle) -> Bundle,
    control: &'static str,
    rule: &'static str,
) -> Technique {
    Technique {
        name,
        reference,
        args,
        give,
        control,
        rule,
        stopped: Stopped::Everywhere,
        standing: Standing::USUAL,
    }
}

fn host_pids(bundle: Bundle) -> Bundle {
    bundle.admin().cap("CAP_SYS_NICE").cap("CAP_SYS_RESOURCE").host("pid")
}

fn host_ipc(bundle: Bundle) -> Bundle {
    bundle.admin().host("ipc")
}

const fn ipc(name: &'static str, reference: &'static str, args: Args) -> Technique {
    technique(name, reference, args, host_ipc, "host-namespaces", "ipc")
}

fn search(bundle: Bundle) -> Bundle {
    bundle.bind("/srv/lockc-it/data", "/data").cap("CAP_DAC_READ_SEARCH")
}

/// As `docker run --cgroupns=host`.
fn host_cgroups(bundle: Bundle) -> Bundle {
    let options = ["ro", "nosuid", "noexec", "nodev"];
    bundle.mount(
        serde_json::json!({"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
            "options": options}),
    )
}

fn cgroup1(bundle: Bundle) -> Bundle {
    bundle.bind("/srv/lockc-it/cgroup1", "/cgroup1").admin()
}

fn module(bundle: Bundle) -> Bundle {
    bundle.cap("CAP_SYS_MODULE")
}

fn boot(bundle: Bundle) -> Bundle {
    bundle.cap("CAP_SYS_BOOT").host("pid")
}

fn accounting(bundle: Bundle) -> Bundle {
    bundle.cap("CAP_SYS_PACCT").host("pid")
}

fn ports(bundle: Bundle) -> Bundle {
    bundle.cap("CAP_SYS_RAWIO")
}

fn clock(bundle: Bundle) -> Bundle {
    bundle.cap("CAP_SYS_TIME")
}

/// The host's procfs and sysfs under other names, as a race of the runtime may leave them.
fn bound(bundle: Bundle) -> Bundle {
    bundle.bind("/proc", "/hostproc").bind("/sys", "/hostsys")
}

fn bound_with_capabilities(bundle: Bundle) -> Bundle {
    bound(bundle).admin()
}

/// lockc's pins, given by somebody's mistake; without CAP_BPF nobody changes them, labelled or not.
fn pins(bundle: Bundle) -> Bundle {
    bundle.bind("/sys/fs/bpf", "/hostbpf").cap("CAP_BPF")
}

fn host_programs(bundle: Bundle) -> Bundle {
    bundle.bind_read_only("/usr", "/host").admin()
}

const fn mount(name: &'static str, reference: &'static str, args: Args) -> Technique {
    technique(name, reference, args, Bundle::admin, "capabilities", "mount")
}

/// What tells of a task of the host's, or changes it, by a file in procfs.
const fn host_procfs(name: &'static str, reference: &'static str, args: Args) -> Technique {
    technique(name, reference, args, host_pids, "host-namespaces", "procfs")
}

/// What no capability gives a container while the rule `kernel` holds.
const fn kernel(
    name: &'static str,
    reference: &'static str,
    args: Args,
    give: fn(Bundle) -> Bundle,
) -> Technique {
    technique(name, reference, args, give, "capabilities", "kernel")
}

const fn task(name: &'static str, reference: &'static str, args: Args) -> Technique {
    technique(name, reference, args, host_pids, "host-namespaces", "process")
}

const fn rebound(name: &'static str, args: Args, rule: &'static str) -> Technique {
    technique(
        name,
        "CVE-2025-31133, CVE-2025-52565, CVE-2025-52881",
        args,
        bound,
        "host-mounts",
        rule,
    )
}

pub const TECHNIQUES: &[Technique] = &[
    mount("mount-tmpfs", "mount(2)", &["mount", "tmpfs", "/mnt/x"]),
    mount("mount-proc", "mount(2)", &["mount", "proc", "/mnt/x"]),
    mount("mount-sysfs", "mount(2)", &["mount", "sysfs", "/mnt/x"]),
    mount("bind", "mount(2), MS_BIND", &["bind", "/bin", "/mnt/x"]),
    mount("remount", "mount(2), MS_REMOUNT", &["remount", "/mnt/a"]),
    mount("propagation", "mount_namespaces(7)", &["propagation", "/mnt/a"]),
    mount("move-mount", "mount(2), MS_MOVE", &["move", "/mnt/a", "/mnt/x"]),
    mount("umount-mask", "umount(2)", &["umount", "/mnt/a"]),
    mount("fsopen", "fsopen(2)", &["fsopen", "tmpfs"]),
    mount("fsmount", "fsmount(2)", &["fsmount", "proc", "uptime"]).smoke(),
    mount("fsmount-sysfs", "fsmount(2)", &["fsmount", "sysfs", "fs"]),
    mount("open-tree", "open_tree(2)", &["open-tree", "/mnt/a", "."]),
    mount("mount-setattr", "mount_setattr(2)", &["mount-setattr", "/mnt/a"]).smoke(),
    mount("fspick", "fspick(2)", &["fspick", "/mnt/a"]),
    mount("pivot-root", "pivot_root(2)", &["pivot-root", "/mnt/a"]),
    mount("unshare-mount", "unshare(2)", &["unshare", "mnt", "mount", "tmpfs", "/mnt/x"]),
    mount("mount-thread", "clone(2)", &["thread", "mount", "tmpfs", "/mnt/x"]),
    task("ptrace", "ptrace(2)", &["ptrace", "{victim}"]),
    task("vm-read", "process_vm_readv(2)", &["vm-read", "{victim}"]),
    task("pidfd-getfd", "pidfd_getfd(2)", &["pidfd-getfd", "{victim}", "0"]),
    task("setns", "setns(2)", &["setns", "{victim}", "mnt"]).smoke().on_btrfs_thorough(),
    task("environ", "proc_pid_environ(5)", &["read", "/proc/{victim}/environ"]),
    task("proc-root", "proc_pid_root(5)", &["read", "/proc/1/root/etc/hostname"]),
    task("proc-cwd", "proc_pid_cwd(5)", &["list", "/proc/{victim}/cwd"]),
    task("proc-fd", "proc_pid_fd(5)", &["read", "/proc/{victim}/fd/0"]),
    task("kill", "kill(2)", &["kill", "{victim}", "0"]),
    task("pidfd-signal", "pidfd_send_signal(2)", &["pidfd-kill", "{victim}", "0"]),
    task("prlimit", "prlimit(2)", &["prlimit", "{victim}"]),
    task("affinity", "sched_setaffinity(2)", &["affinity", "{victim}"]),
    task("nice", "setpriority(2)", &["nice", "{victim}"]),
    task("ionice", "ioprio_set(2)", &["ionice", "{victim}"]),
    task("prlimit-read", "prlimit(2)", &["limits", "{victim}"]),
    task("owner", "fcntl(2), F_SETOWN, F_SETSIG", &["set-owner", "{victim}", "fcntl"]),
    task("owner-extended", "fcntl(2), F_SETOWN_EX", &["set-owner", "{victim}", "fcntl-ex"]),
    task("owner-ioctl", "socket(7), FIOSETOWN", &["set-owner", "{victim}", "ioctl"]),
    task("owner-thread", "clone(2)", &["thread", "set-owner", "{victim}", "ioctl-group"]),
    ipc("ipc-list", "proc_sysvipc(5)", &["read", "/proc/sysvipc/shm"]),
    ipc("ipc-limits", "sysvipc(7)", &["write", "/proc/sys/kernel/shm_rmid_forced", "0"]),
    host_procfs(
        "oom-score",
        "proc_pid_oom_score_adj(5)",
        &["write", "/proc/{victim}/oom_score_adj", "7"],
    ),
    host_procfs("core-filter", "core(5)", &["write", "/proc/{victim}/coredump_filter", "0"]),
    host_procfs("proc-net", "proc_pid_net(5)", &["read", "/proc/1/net/unix"]),
    host_procfs("proc-task-net", "proc_pid_net(5)", &["read", "/proc/1/task/1/net/unix"]),
    host_procfs("proc-mountinfo", "proc_pid_mountinfo(5)", &["read", "/proc/{victim}/mountinfo"]),
    host_procfs("proc-limits", "proc_pid_limits(5)", &["read", "/proc/{victim}/limits"]),
    rebound("rebound-oom-score", &["write", "/hostproc/1/oom_score_adj", "7"], "procfs"),
    technique(
        "personality",
        "io_uring_register(2)",
        &["uring-xattr", "personality", "/probe"],
        Bundle::admin,
        "capabilities",
        "capability",
    ),
    technique(
        "shocker",
        "open_by_handle_at(2), shocker",
        &["handle", "/data", "2"],
        search,
        "capabilities",
        "files",
    )
    .smoke()
    .on_btrfs_thorough(),
    technique("clock", "clock_settime(2)", &["set-clock"], clock, "capabilities", "kernel"),
    kernel("adjust-clock", "adjtimex(2)", &["adjust-clock"], clock).smoke(),
    kernel("load-module", "init_module(2)", &["load-module"], module).smoke(),
    kernel("kexec", "kexec_load(2)", &["kexec"], boot).smoke(),
    kernel("reboot", "reboot(2)", &["reboot-key"], boot).smoke(),
    kernel("accounting", "acct(2)", &["accounting"], accounting).smoke(),
    kernel("ioperm", "ioperm(2)", &["port"], ports).smoke(),
    kernel("iopl", "iopl(2)", &["all-ports"], ports),
    technique(
        "release-agent",
        "CVE-2022-0492",
        &["write", "/cgroup1/release_agent", "/bin/false"],
        cgroup1,
        "capabilities",
        "sysfs",
    )
    .smoke(),
    technique(
        "clone-into-cgroup",
        "clone(2), CLONE_INTO_CGROUP",
        &["clone-into-cgroup", "/sys/fs/cgroup"],
        host_cgroups,
        "host-namespaces",
        "sysfs",
    ),
    technique(
        "host-programs-mount",
        "docker run -v /usr:/host, chroot, mount",
        &["chroot", "/host", "mount", "tmpfs", "/share"],
        host_programs,
        "host-mounts",
        "mount",
    ),
    rebound("rebound-kallsyms", &["read", "/hostproc/kallsyms"], "procfs"),
    rebound("rebound-sysrq", &["write", "/hostproc/sysrq-trigger", "h"], "procfs").smoke(),
    rebound(
        "rebound-core-pattern",
        &["write", "/hostproc/sys/kernel/core_pattern", "core"],
        "procfs",
    ),
    rebound("rebound-sysfs", &["list", "/hostsys/fs/ext4"], "sysfs"),
    technique(
        "rebound-environ",
        "proc_pid_environ(5)",
        &["read", "/hostproc/1/environ"],
        bound_with_capabilities,
        "host-mounts",
        "process",
    )
    .smoke(),
    technique(
        "pins-list",
        "bpf(2), BPF_OBJ_PIN",
        &["list", "/hostbpf/lockc"],
        pins,
        "host-mounts",
        "files",
    )
    .smoke(),
    technique(
        "pins-mode",
        "chmod(2)",
        &["chmod", "/hostbpf/lockc", "700"],
        pins,
        "host-mounts",
        "files",
    ),
    technique(
        "pins-stat",
        "stat(2)",
        &["stat", "/hostbpf/lockc/maps/containers"],
        pins,
        "host-mounts",
        "files",
    ),
    technique(
        "pins-rename",
        "rename(2)",
        &["rename", "/hostbpf/lockc"],
        pins,
        "host-mounts",
        "files",
    )
    .smoke(),
];
