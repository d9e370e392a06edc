//! Which cases the gate runs, so that it ends in a time that people wait for.
//!
//! Each part has a kernel on which the gate runs it (`xtask/src/assets.rs`), there without the
//! cases of [`THOROUGH`]: variations of what another case shows. On the other kernels it runs what
//! the kernel has a say in, once. `cargo xtask test --everything`, or `--kernel K`, leaves nothing
//! out.

use clap::ValueEnum;

use super::{Case, Part};

/// How much of a part is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Tier {
    /// What another kernel, or another version of an engine, could change.
    Smoke,
    /// Everything but variations.
    Gate,
    /// Every case.
    All,
}

impl Tier {
    /// Whether the case belongs to it.
    pub fn has(self, case: &Case) -> bool {
        match self {
            Self::All => true,
            Self::Gate => {
                !THOROUGH.contains(&case.name.as_str())
                    && (case.part != Part::Btrfs || case.tags.contains(&"smoke"))
            }
            Self::Smoke => match case.part {
                Part::Bare => {
                    Self::Gate.has(case)
                        && !case.name.ends_with("@runc")
                        && !SAME_ON_EVERY_KERNEL.iter().any(|name| case.name.starts_with(name))
                }
                Part::Escape => ESCAPES_ON_EVERY_KERNEL.contains(&case.name.as_str()),
                _ => {
                    case.tags.contains(&"smoke")
                        && Self::Gate.has(case)
                        && !SLOW.contains(&case.name.as_str())
                }
            },
        }
    }
}

/// Bare cases, by the beginnings of their names, that user space alone decides, that show one hook
/// several times, or that take minutes.
const SAME_ON_EVERY_KERNEL: &[&str] = &[
    "admission/",
    "races/",
    "explain/",
    "host-side/",
    "standards/",
    "audit/",
    "failclosed/all-pins",
    "failclosed/config",
    "failclosed/fail-open",
    "failclosed/link-pin",
    "failclosed/load-killed",
    "failclosed/running",
    "growth/few",
    "guard/",
    "lifecycle/hundred-containers",
    "lifecycle/hooks-run-on-the-host",
    "lifecycle/same-id-again",
    "ordinary/policy-without-rule",
    "ordinary/exit-codes",
    "ordinary/pipes-and-jobs",
    "reads/",
    "sockets/relative",
    "sockets/long-name",
    "sysfs/class-block",
    "sysfs/pci",
    "sysfs/dmi",
    "sysfs/module",
    "sysfs/firmware",
    "tasks/fork-storm",
    "transparent/",
    "tasks/shared-pids",
    "tasks/browser-sandbox-",
    "tasks/sandbox-",
    "keys/persistent-of",
    "keys/one-after-another",
    "keys/of-others",
    "ipc/addresses-used-again",
    "ipc/own",
];

/// Engines' smoke cases that take long; one kernel and one version of the engine have to do.
const SLOW: &[&str] = &[
    "demo/host-root",
    "docker/debian-package-work",
    "docker/failclosed-not-loaded",
    "cri/life-of-a-pod",
    "cri/shared-processes",
    "podman/exec-cp-logs-stop",
    "podman/exec-cp-logs-stop@runc",
    "podman/pod-members-inherit",
];

/// Techniques that the bare cases do not try in the same way.
const ESCAPES_ON_EVERY_KERNEL: &[&str] = &[
    "escape/leaked-directory",
    "escape/received-file",
    "escape/core-pattern",
    "escape/user-namespace",
    "escape/quota-sync",
    "escape/io-uring",
    "escape/regain-root",
    "escape/set-uid",
    "escape/file-capabilities",
    "escape/inherited-inet",
    "escape/vsock",
    "escape/fsmount",
    "escape/mount-setattr",
    "escape/setns",
    "escape/shocker",
    "escape/adjust-clock",
    "escape/load-module",
    "escape/kexec",
    "escape/reboot",
    "escape/accounting",
    "escape/ioperm",
    "escape/release-agent",
    "escape/rebound-sysrq",
    "escape/rebound-environ",
    "escape/pins-list",
    "escape/pins-rename",
];

/// Variations.
const THOROUGH: &[&str] = &[
    "docker/places-refused-restricted",
    "docker/places-granted-baseline",
    "docker/sources-granted-restricted",
    "podman/places-baseline",
    "podman/transient-store",
    "podman/places-restricted",
    "podman/overlays-restricted",
    "podman/volumes-baseline",
    "podman/volumes-restricted",
    "cri/places-baseline",
    "cri/places-restricted",
    "cri/volumes-restricted",
    "ctr/places-baseline",
    "ctr/places-restricted",
    "docker/plugin",
    "docker/userns-remap",
    "podman/overlay-of-a-volume",
    "races/file",
    "docker/race-subpath",
    "docker/race-volume",
    "docker/sources-refused-restricted",
    "docker/sources-granted-baseline",
    "podman/image-mount",
    "ordinary/true@runc",
    "ordinary/files@runc",
    "mounts/new-api-fsmount@runc",
    "mounts/pivot-root@runc",
    "sysfs/ext4@runc",
    "sysfs/stat-module@runc",
    "procfs/kallsyms@runc",
    "pseudo/looking-around@runc",
    "reads/file-and-link@runc",
    "kernel-log/syslog@runc",
    "sockets/stream@runc",
    "sockets/own-stream@runc",
    "neighbours/files-of-the-same-policy@runc",
    "files/proc-1-root@runc",
    "tasks/ptrace-host@runc",
    "surface/bpf@runc",
    "cgroups/host-namespace@runc",
    "cgroups/clone-into@runc",
    "admission/host-root@runc",
    "host-side/annotation-criu@runc",
    "host-side/exec-options@runc",
    "host-side/checkpoint@runc",
    "demo/chroot",
    "demo/renamed-sock",
    "docker/explain-argument",
    "docker/label-unknown",
    "docker/engine-ceiling",
    "docker/standard-host-pid",
    "docker/standard-socket",
    "docker/standard-device",
    "docker/standard-seccomp",
    "docker/standard-proc-mount",
    "docker/standard-sysctl",
    "docker/standard-root",
    "growth/many",
    "growth/no-room-for-tags",
    "growth/thousands",
    "tasks/fork-storm-100000",
    "reads/at-once-and-over-a-reload@runc",
    "reads/one-set-for-all",
    "failclosed/not-loaded@runc",
    "lifecycle/survivor-of-delete-stays-confined@runc",
    "ordinary/debian@runc",
    "storage/fuse-overlayfs@runc",
    "guard/enforce@runc",
    "lifecycle/hundred-containers",
    "docker/gvisor",
    "ctr/gvisor",
    "docker/shared-namespaces",
    "docker/annotation-before-label",
    "docker/explain-label",
    "docker/engine-default",
    "docker/pretended-namespace",
    "docker/broken-drop-in",
    "docker/failclosed-pins-removed",
    "docker/standard-host-network",
    "docker/standard-volumes",
    "docker/standard-no-new-privileges",
    "docker/standard-apparmor",
    "cri/pod-network",
    "cri/shared-processes-of-looser-containers",
    "cri/container-annotation",
    "cri/namespace-glob",
    "cri/engine-default",
    "cri/host-pid",
    "cri/host-root",
    "cri/bidirectional-mount",
    "cri/seccomp-unconfined-under-restricted",
    "podman/exec-cp-logs-stop@runc",
    "podman/pretended-namespace",
    "podman/restricted-refusals",
    "podman/kube-play",
    "podman/init-tmpfs-read-only-secret",
    "work/build-kit",
    "work/lifecycle",
    "work/named-network",
    "work/exec-and-attach",
    "work/secrets",
    "work/chromium",
    "work/supervisor",
    "work/restart-policy",
    "work/sshd",
    "work/read-only",
    "work/tracing",
    "docker/home-volume",
    "docker/tmpfs-init-user-workdir",
    "docker/signals",
    "docker/restart",
    "docker/pause-top-update-stats",
    "docker/read-only",
    "docker/healthcheck",
    "docker/named-volume",
    "docker/exit-codes",
    "docker/other-engines-default",
    "docker/pretended-namespace-ceiling",
    "docker/unconfined-new-mount-api",
    "docker/unconfined-userns",
    "docker/standard-host-ipc",
    "docker/standard-host-uts",
    "docker/standard-bind-service",
    "docker/standard-default-capability",
    "docker/standard-allowed-path",
    "docker/standard-harmless-device",
    "docker/standard-safe-sysctl",
    "docker/explain-foreign-runtime",
    "docker/failclosed-config-broken",
    "cri/pod-annotation-offline",
    "cri/pod-annotation-unknown",
    "cri/namespace-offline",
    "cri/namespace-exact-before-glob",
    "cri/namespace-ceiling-allows",
    "cri/other-engines-default",
    "cri/static-pod-ceiling",
    "cri/pretended-namespace-ceiling",
    "cri/host-ipc",
    "cri/capability-net-admin",
    "cri/capability-in-the-default-set",
    "cri/another-pods-volume",
    "cri/allowed-host-path",
    "cri/default-device",
    "cri/apparmor-default",
    "cri/seccomp-default",
    "cri/seccomp-undefined",
    "cri/safe-sysctl",
    "cri/capabilities-under-restricted",
    "cri/net-bind-service-under-restricted",
    "cri/attach",
    "cri/read-only-root",
    "cri/seccomp-localhost",
    "cri/shared-processes-of-a-debugger",
    "ctr/engine-default",
    "ctr/engine-ceiling",
    "ctr/other-engines-default",
    "ctr/pretended-namespace",
    "ctr/host-network",
    "podman/levels-by-runtime-name",
    "podman/levels-by-engine-default",
    "podman/other-engines-default",
    "podman/annotation-unknown",
    "podman/pretended-engine",
    "podman/pause-top-update-stats",
    "podman/restart",
    "podman/restart@runc",
    "podman/volumes",
    "podman/exit-codes",
    "podman/healthcheck",
    "podman/user-namespace@runc",
    "podman/shared-namespaces",
    "podman/notify-socket@runc",
    "podman/security-options",
    "podman/allowed-neighbours",
    "podman/runtime-annotations",
    "podman/kube-play-pretended",
    "podman/rootless-guarded",
    "crio/replaced-annotations",
    "work/python-processes",
    "work/ruby",
    "work/perl",
    "work/git",
    "work/memory-map",
    "work/openssl",
    "work/gnupg",
    "work/sshd-user",
    "work/tini",
    "work/archives",
    "work/watching",
    "work/syslog",
    "work/network-tools",
    "work/system-view",
    "work/scheduling",
    "work/ipc",
    "work/exporter",
    "work/apache",
    "work/haproxy",
    "work/php",
    "work/health",
    "work/init",
    "work/log-drivers",
    "work/copy",
    "work/volume-socket",
    "work/host-folder",
    "work/volumes-from",
    "work/internal-network",
    "work/build-classic",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases;

    #[test]
    fn every_entry_of_the_tables_names_a_case() {
        let names: Vec<String> = cases::all().into_iter().map(|case| case.name).collect();
        for listed in THOROUGH.iter().chain(SLOW).chain(ESCAPES_ON_EVERY_KERNEL) {
            assert!(names.iter().any(|name| name == listed), "{listed}");
        }
        for prefix in SAME_ON_EVERY_KERNEL {
            assert!(names.iter().any(|name| name.starts_with(prefix)), "{prefix}");
        }
    }

    #[test]
    fn every_part_has_smoke_cases_and_the_gate_runs_much_of_each() {
        let cases = cases::all();
        for part in Part::value_variants() {
            let count = |tier: Tier| {
                cases.iter().filter(|case| case.part == *part && tier.has(case)).count()
            };
            assert!(count(Tier::Smoke) >= 4, "{part:?}");
            assert!(3 * count(Tier::Gate) >= count(Tier::All), "{part:?}");
        }
    }

    #[test]
    fn a_smoke_case_is_one_of_the_gate() {
        for case in cases::all().iter().filter(|case| Tier::Smoke.has(case)) {
            assert!(Tier::Gate.has(case), "{}", case.name);
        }
    }
}
