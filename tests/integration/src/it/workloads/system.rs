//! What systems do within a container: packages, accounts, supervision, observation, and the tools
//! for these.

use anyhow::Result;

use super::way::{IMAGE, Way, docker};
use super::{Workload, engine, script};

/// Why a row does not run under `restricted`.
const ROOT: &str = "needs root in the container";

pub const ROWS: &[Workload] = &[
    script(
        "apt",
        "update, install with users and services, purge, from a file repository",
        "apt, hello, memcached, tree",
        include_str!("scripts/apt.sh"),
        "Hello, world!",
    )
    .smoke()
    .baseline_only(ROOT),
    script(
        "accounts",
        "useradd, chpasswd, su, sudo with and without a password",
        "sudo, passwd, login",
        include_str!("scripts/accounts.sh"),
        "with a password",
    )
    .smoke()
    .baseline_only("su and sudo gain privileges"),
    engine(
        "accounts-offline",
        "the same in a container without network, at the level offline",
        "sudo, passwd, login",
        offline,
    )
    .baseline_only("su and sudo gain privileges"),
    script(
        "sshd",
        "a login by key with PAM, a terminal, scp",
        "openssh-server, openssh-client",
        include_str!("scripts/sshd.sh"),
        "through ssh",
    )
    .thorough()
    .baseline_only(ROOT),
    script(
        "sshd-user",
        "sshd run by an ordinary user",
        "openssh-server",
        include_str!("scripts/sshd-user.sh"),
        "through ssh",
    )
    .thorough(),
    script(
        "cron",
        "jobs of root and of a user, by PAM",
        "cron",
        include_str!("scripts/cron.sh"),
        "root",
    )
    .baseline_only(ROOT),
    script(
        "tini",
        "orphans reaped, signals forwarded",
        "tini",
        include_str!("scripts/tini.sh"),
        "status 9",
    )
    .thorough(),
    script(
        "supervisor",
        "programs kept alive, control by unix socket",
        "supervisor",
        include_str!("scripts/supervisor.sh"),
        "loop RUNNING",
    )
    .thorough(),
    script(
        "archives",
        "tar, rsync, cp with owners, links, xattrs, access lists, device nodes",
        "tar, rsync, acl, attr, libcap2-bin",
        include_str!("scripts/archives.sh"),
        "archived",
    )
    .thorough(),
    script(
        "filecaps",
        "file capabilities, set-uid programs, chroot, mknod of default devices",
        "libcap2-bin, python3",
        include_str!("scripts/filecaps.sh"),
        "port 81",
    )
    .baseline_only("gains privileges at exec"),
    script(
        "tracing",
        "strace and gdb, started and attached",
        "strace, gdb, gcc",
        include_str!("scripts/tracing.sh"),
        "readable",
    )
    .thorough(),
    script(
        "watching",
        "tail -F over a rotation, inotifywait",
        "inotify-tools",
        include_str!("scripts/watching.sh"),
        "CLOSE_WRITE",
    )
    .thorough(),
    script(
        "dbus",
        "a session bus, names, replies",
        "dbus-daemon, dbus-bin",
        include_str!("scripts/dbus.sh"),
        "uint32 1",
    ),
    script(
        "syslog",
        "rsyslog by its socket and over UDP",
        "rsyslog, bsdutils",
        include_str!("scripts/syslog.sh"),
        "by the network",
    )
    .thorough(),
    script(
        "network-tools",
        "ping, ip, ss, unix and abstract sockets",
        "iputils-ping, iproute2, socat",
        include_str!("scripts/network-tools.sh"),
        "2 received",
    )
    .thorough(),
    script(
        "system-view",
        "ps, top, lsof, lscpu, df, findmnt; forty files of procfs and sysfs",
        "procps, lsof, util-linux",
        include_str!("scripts/system-view.sh"),
        "looked",
    )
    .thorough(),
    script(
        "scheduling",
        "nice, ionice, chrt, taskset, prlimit, signals",
        "util-linux, psmisc",
        include_str!("scripts/scheduling.sh"),
        "ended with 143",
    )
    .thorough(),
    script(
        "ipc",
        "shared memory, semaphores, queues, memfds passed on",
        "util-linux, gcc",
        include_str!("scripts/ipc.sh"),
        "child 0",
    )
    .thorough(),
    script(
        "terminals",
        "pseudo-terminals with script and tmux",
        "bsdutils, tmux",
        include_str!("scripts/terminals.sh"),
        "inside tmux",
    ),
    script(
        "exporter",
        "the node exporter with the collectors that make sense in a container",
        "prometheus-node-exporter",
        include_str!("scripts/exporter.sh"),
        "collector=\"cpu\"} 1",
    )
    .thorough()
    .exception(
        "an exporter that is to watch the *host* (its disks, sensors, other processes) needs a \
         policy without the rules `sysfs` and `procfs`, and host mounts",
    ),
];

/// PAM, sudo and useradd look for audit over netlink: a socket that is denied must look like a
/// kernel without it.
fn offline(way: &Way) -> Result<String> {
    const WORK: &str = "useradd -m -s /bin/bash alice; echo 'alice:a long passphrase' | chpasswd; \
                        su alice -c 'echo by su'; echo 'alice ALL=(ALL) NOPASSWD: ALL' > \
                        /etc/sudoers.d/alice; chmod 440 /etc/sudoers.d/alice; su - alice -c 'sudo \
                        -n id -un'; passwd -S alice | cut -d' ' -f1,2; userdel -r alice; getent \
                        hosts localhost; hostname";
    let runtime = if *way == Way::PLAIN { way.runtime() } else { "lockc-offline" };
    docker(&[
        "run",
        "--rm",
        "--runtime",
        runtime,
        "--network",
        "none",
        "--hostname",
        "here",
        IMAGE,
        "bash",
        "-ec",
        WORK,
    ])
}
