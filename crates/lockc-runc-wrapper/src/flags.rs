//! Every option of runc (1.1 to 1.3), crun and youki, and those of gVisor's runsc that are in use,
//! that come before or after a subcommand that lockc acts on.
//!
//! An unknown option may or may not take a value, so the next word is ambiguous; the parser refuses
//! it instead of guessing. The runtimes agree on every name that they share.

/// Whether an option takes a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arity {
    /// `--flag`, `--flag=true`.
    Switch,
    /// `--option value`, `--option=value`.
    Value,
    /// The runtime prints something and does nothing else.
    Info,
}

/// An option: long name, short name, arity.
#[derive(Clone, Copy, Debug)]
pub struct Flag {
    /// Without dashes.
    pub long: &'static str,
    /// Its letter, if it has one.
    pub short: Option<u8>,
    /// Whether it takes a value.
    pub arity: Arity,
}

const fn switch(long: &'static str) -> Flag {
    Flag { long, short: None, arity: Arity::Switch }
}

const fn value(long: &'static str) -> Flag {
    Flag { long, short: None, arity: Arity::Value }
}

const fn info(long: &'static str) -> Flag {
    Flag { long, short: None, arity: Arity::Info }
}

impl Flag {
    const fn or(mut self, short: u8) -> Self {
        self.short = Some(short);
        self
    }
}

/// Before the subcommand.
pub const GLOBAL: &[Flag] = &[
    switch("debug"),
    value("log").or(b'l'),
    value("log-format"),
    value("log-level"),
    value("root").or(b'r'),
    value("criu"),
    switch("systemd-cgroup").or(b's'),
    value("rootless"),
    value("cgroup-manager"),
    // runsc, which is called with single dashes as often as not.
    value("platform"),
    value("network"),
    value("debug-log"),
    value("debug-log-format"),
    value("panic-log"),
    value("overlay2"),
    value("host-uds"),
    value("file-access"),
    value("watchdog-action"),
    switch("ignore-cgroups"),
    switch("strace"),
    switch("net-raw"),
    switch("oci-seccomp"),
    switch("directfs"),
    switch("alsologtostderr"),
    info("help").or(b'h'),
    info("usage"),
    info("version").or(b'v'),
    Flag { long: "", short: Some(b'V'), arity: Arity::Info },
    Flag { long: "", short: Some(b'?'), arity: Arity::Info },
];

/// After `create`.
pub const CREATE: &[Flag] = &[
    value("bundle").or(b'b'),
    value("config").or(b'f'),
    value("console-socket").or(b'c'),
    value("pidfd-socket"),
    value("pid-file").or(b'p'),
    switch("no-pivot"),
    switch("no-new-keyring"),
    switch("no-subreaper"),
    value("preserve-fds"),
    value("user-log"),
    info("help").or(b'h'),
    info("usage"),
    Flag { long: "", short: Some(b'?'), arity: Arity::Info },
];

/// After `run`: as `create`, and these.
pub const RUN: &[Flag] = &[switch("detach").or(b'd'), switch("keep")];

/// After `restore`: as `run`, and these.
pub const RESTORE: &[Flag] = &[
    value("image-path"),
    value("work-path"),
    switch("tcp-established"),
    switch("tcp-close"),
    switch("tcp-skip-in-flight"),
    switch("link-remap"),
    switch("ext-unix-sk"),
    switch("shell-job"),
    switch("file-locks"),
    value("manage-cgroups-mode"),
    value("empty-ns"),
    switch("auto-dedup"),
    switch("lazy-pages"),
    value("lsm-profile"),
    value("lsm-mount-context"),
];

/// After `exec`.
pub const EXEC: &[Flag] = &[
    value("console-socket"),
    value("pidfd-socket"),
    value("pid-file"),
    value("process").or(b'p'),
    value("cwd"),
    value("env").or(b'e'),
    switch("tty").or(b't'),
    value("user").or(b'u'),
    value("additional-gids").or(b'g'),
    switch("detach").or(b'd'),
    value("process-label"),
    value("apparmor"),
    switch("no-new-privs"),
    value("cap").or(b'c'),
    value("preserve-fds"),
    value("cgroup"),
    switch("ignore-paused"),
    value("internal-pid-file"),
    switch("clear-status"),
    info("help").or(b'h'),
    info("usage"),
    Flag { long: "", short: Some(b'?'), arity: Arity::Info },
];

/// After `delete`.
pub const DELETE: &[Flag] = &[
    switch("force").or(b'f'),
    switch("regex").or(b'r'),
    info("help").or(b'h'),
    info("usage"),
    Flag { long: "", short: Some(b'?'), arity: Arity::Info },
];

/// After `checkpoint` (runc checkpoint.go 1.3, crun src/checkpoint.c 1.21, youki).
pub const CHECKPOINT: &[Flag] = &[
    value("image-path"),
    value("work-path"),
    value("parent-path"),
    switch("leave-running"),
    switch("tcp-established"),
    switch("tcp-skip-in-flight"),
    switch("tcp-close"),
    switch("link-remap"),
    switch("ext-unix-sk"),
    switch("shell-job"),
    switch("lazy-pages"),
    value("status-fd"),
    value("page-server"),
    switch("file-locks"),
    switch("pre-dump"),
    value("manage-cgroups-mode"),
    value("empty-ns"),
    switch("auto-dedup"),
    value("network-lock"),
    info("help").or(b'h'),
    info("usage"),
    Flag { long: "", short: Some(b'?'), arity: Arity::Info },
];

/// After `update` (runc update.go 1.3, crun src/update.c 1.21, youki).
pub const UPDATE: &[Flag] = &[
    value("resources").or(b'r'),
    value("blkio-weight"),
    value("cpu-period"),
    value("cpu-quota"),
    value("cpu-burst"),
    value("cpu-share"),
    value("cpu-shares"),
    value("cpu-rt-period"),
    value("cpu-rt-runtime"),
    value("cpu-idle"),
    value("cpuset-cpus"),
    value("cpuset-mems"),
    value("kernel-memory"),
    value("kernel-memory-tcp"),
    value("memory"),
    value("memory-reservation"),
    value("memory-swap"),
    value("pids-limit"),
    value("l3-cache-schema"),
    value("mem-bw-schema"),
    info("help").or(b'h'),
    info("usage"),
    Flag { long: "", short: Some(b'?'), arity: Arity::Info },
];

/// Subcommands that go to the runtime as they are: it reads nothing for them that a container's
/// owner writes.
///
/// | subcommand | what the runtime does |
/// |---|---|
/// | `start` | lets the process go on that `create` made; what it executes was checked then |
/// | `state`, `list`, `ps`, `events` | read their own state and cgroup files |
/// | `kill`, `pause`, `resume` | act on the container's own cgroup, which was checked |
/// | `features`, `spec`, `help`, `h`, `info`, `completion`, `version` | concern no container |
///
/// `checkpoint`, `update` and crun's `mounts` are checked (`commands`).
pub const PASSED: [&str; 15] = [
    "start",
    "state",
    "kill",
    "pause",
    "resume",
    "ps",
    "events",
    "list",
    "features",
    "spec",
    "help",
    "h",
    "info",
    "completion",
    "version",
];

/// Subcommands that make the runtime act on files or directories that it is told of.
pub const ACTING: [&str; 3] = ["checkpoint", "update", "mounts"];

/// Subcommands that start a container or a process in one.
pub const STARTING: [&str; 4] = ["create", "run", "restore", "exec"];
