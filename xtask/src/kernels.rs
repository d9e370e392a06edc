//! The kernels that lockc is tested on, and the machines that run them.

use std::path::PathBuf;

use anyhow::{Result, anyhow};

use crate::arch::Arch;
use crate::tier::Tier;
use crate::{assets, plan};

/// What a guest has beyond Debian's minimum.
const ENGINES: &str = "docker.io,docker-cli,containerd,runc,crun,iproute2,iptables,procps,\
                       busybox-static,kmod,bpftool,strace,ca-certificates,apparmor,jq,criu,\
                       docker-buildx,btrfs-progs,erofs-utils,fuse-overlayfs,podman,netavark,\
                       catatonit,uidmap,containernetworking-plugins,runsc,systemd-sysv,dbus,rpm";
/// The same for cases that need no engine.
const RUNTIMES: &str = "bpftool,btrfs-progs,busybox-static,crun,erofs-utils,fuse-overlayfs,\
                        iproute2,jq,kmod,procps,runc";

/// What a machine of an architecture is made of, where QEMU or the kernel wants to be told.
#[derive(Debug, PartialEq, Eq)]
pub struct Platform {
    pub arch: Arch,
    /// QEMU's program, and Debian's package with it.
    pub emulator: &'static str,
    pub package: &'static str,
    /// QEMU's options for the machine.
    pub machine: &'static [&'static str],
    pub processor: &'static str,
    /// The same where the clock counts instructions.
    pub counting_processor: &'static str,
    /// What the kernel's command line begins with.
    pub kernel: &'static str,
}

/// The architecture of most servers.
pub const X86: Platform = Platform {
    arch: Arch::X86,
    emulator: "qemu-system-x86_64",
    package: "qemu-system-x86",
    machine: &["-M", "q35"],
    processor: "max",
    // Copies by `rep movsb` would count each byte as an instruction.
    counting_processor: "max,-erms,-fsrm",
    kernel: "console=ttyS0 tsc=reliable no_timer_check",
};

/// Without firmware: it has no DMI, and cases that need it say so.
pub const AARCH64: Platform = Platform {
    arch: Arch::Aarch64,
    emulator: "qemu-system-aarch64",
    package: "qemu-system-arm",
    machine: &["-M", "virt"],
    // The architecture's own algorithm for pointer authentication takes most of the time when it is
    // emulated: `lockc load` 44 s instead of 8.
    processor: "max,pauth-impdef=on",
    counting_processor: "max,pauth-impdef=on",
    kernel: "console=ttyAMA0",
};

/// A Debian tree of which a machine's disk image is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guest {
    pub name: &'static str,
    /// Debian's suite.
    pub suite: &'static str,
    pub arch: Arch,
    /// What it has beyond Debian's minimum, separated by commas.
    pub packages: &'static str,
}

const TRIXIE: Guest =
    Guest { name: "engines", suite: "trixie", arch: Arch::X86, packages: ENGINES };
const SID: Guest = Guest { suite: "sid", ..TRIXIE };
const TRIXIE_AARCH64: Guest = Guest { arch: Arch::Aarch64, ..TRIXIE };
/// Made in a fraction of the time, for the gate.
const SMALL_AARCH64: Guest = Guest { name: "runtimes", packages: RUNTIMES, ..TRIXIE_AARCH64 };

/// A kernel that lockc is tested on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// The name on the command line.
    pub name: &'static str,
    /// Debian's suite with that kernel, and the package that depends on its current version.
    pub suite: &'static str,
    pub package: &'static str,
    /// The guest that runs on it, and the one of cases that need no engine.
    pub guest: Guest,
    small: Guest,
    /// What it runs on.
    pub platform: &'static Platform,
    /// The parts of the suite that the gate runs on it, each with how much of it.
    pub gate: &'static [(&'static str, Tier)],
    /// The same for `--everything`; `None`: all.
    pub column: Option<&'static [(&'static str, Tier)]>,
}

/// The kernels by architecture, oldest first. A guest may be newer than its kernel: 6.1 runs with
/// trixie's engines.
///
/// What depends on the kernel runs on each. An engine runs with one of its versions, so that the
/// gate keeps its time; `--kernel` or `--everything` run the other too. What depends on the
/// architecture is the kernel and the programs: on aarch64, the engines' own choices are not tested
/// again.
pub const KERNELS: [Kernel; 7] = [
    Kernel {
        name: "6.1",
        suite: "bookworm",
        package: "linux-image-cloud-amd64",
        guest: TRIXIE,
        small: TRIXIE,
        platform: &X86,
        gate: &[("bare", Tier::Smoke), ("escape", Tier::Smoke)],
        column: None,
    },
    Kernel {
        name: "6.12",
        suite: "trixie",
        package: "linux-image-cloud-amd64",
        guest: TRIXIE,
        small: TRIXIE,
        platform: &X86,
        gate: &[
            ("system", Tier::Gate),
            ("bare", Tier::Gate),
            ("escape", Tier::Gate),
            ("containerd", Tier::Gate),
            ("podman", Tier::Gate),
            ("btrfs", Tier::Gate),
            ("work", Tier::Smoke),
        ],
        column: None,
    },
    Kernel {
        name: "7.2",
        suite: "sid",
        package: "linux-image-cloud-amd64",
        guest: SID,
        small: SID,
        platform: &X86,
        gate: &[("docker", Tier::Gate), ("bare", Tier::Smoke), ("escape", Tier::Smoke)],
        column: None,
    },
    // It cannot attach LSM programs: to see what `lockc doctor` says of that.
    Kernel {
        name: "6.1-aarch64",
        suite: "bookworm",
        package: "linux-image-cloud-arm64",
        guest: SMALL_AARCH64,
        small: SMALL_AARCH64,
        platform: &AARCH64,
        gate: &[],
        column: Some(&[]),
    },
    Kernel {
        name: "6.12-aarch64",
        suite: "trixie",
        package: "linux-image-cloud-arm64",
        guest: TRIXIE_AARCH64,
        small: SMALL_AARCH64,
        platform: &AARCH64,
        gate: &[("bare", Tier::Core)],
        column: Some(&[
            ("docker", Tier::Gate),
            ("bare", Tier::All),
            ("escape", Tier::All),
            ("containerd", Tier::Smoke),
            ("podman", Tier::Smoke),
        ]),
    },
    Kernel {
        name: "6.12-aarch64-16k",
        suite: "trixie",
        package: "linux-image-arm64-16k",
        guest: SMALL_AARCH64,
        small: SMALL_AARCH64,
        platform: &AARCH64,
        gate: &[],
        column: Some(&[("bare", Tier::Smoke)]),
    },
    Kernel {
        name: "7.2-aarch64",
        suite: "sid",
        package: "linux-image-cloud-arm64",
        guest: SMALL_AARCH64,
        small: SMALL_AARCH64,
        platform: &AARCH64,
        gate: &[],
        column: Some(&[("bare", Tier::Smoke), ("escape", Tier::Smoke)]),
    },
];

/// The kernels of an architecture.
pub fn kernels(arch: Arch) -> Vec<Kernel> {
    KERNELS.into_iter().filter(|kernel| kernel.arch() == arch).collect()
}

impl Kernel {
    /// The kernel of that name.
    pub fn named(name: &str) -> Result<Self> {
        let known = || KERNELS.map(|kernel| kernel.name).join(", ");
        KERNELS
            .into_iter()
            .find(|kernel| kernel.name == name)
            .ok_or_else(|| anyhow!("no kernel {name}; there are {}", known()))
    }

    pub const fn arch(&self) -> Arch {
        self.platform.arch
    }

    /// The same with the guest that these parts of the suite need.
    pub fn for_parts(self, parts: &[&str]) -> Self {
        let guest = if parts.iter().all(|part| plan::ENGINELESS.contains(part)) {
            self.small
        } else {
            self.guest
        };
        Self { guest, ..self }
    }

    /// Directory with `vmlinuz` and `initrd.img`.
    pub fn directory(&self) -> Result<PathBuf> {
        assets::kernel(self)
    }

    /// The disk image it boots.
    pub fn image(&self) -> Result<PathBuf> {
        assets::image(&self.guest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_tell_the_architecture() {
        for kernel in KERNELS {
            assert_eq!(KERNELS.iter().filter(|other| other.name == kernel.name).count(), 1);
            assert_eq!(kernel.name.contains("aarch64"), kernel.arch() == Arch::Aarch64);
            assert_eq!(Kernel::named(kernel.name).ok(), Some(kernel));
            assert_eq!((kernel.guest.arch, kernel.small.arch), (kernel.arch(), kernel.arch()));
            assert!(kernel.package.contains(kernel.arch().debian()));
        }
        assert!(Kernel::named("5.4").is_err_and(|error| error.to_string().contains("6.12")));
    }

    #[test]
    fn only_parts_without_an_engine_run_in_a_small_guest() -> Result<()> {
        let kernel = Kernel::named("6.12-aarch64")?;
        assert_eq!(kernel.for_parts(&["bare", "escape"]).guest.name, "runtimes");
        assert_eq!(kernel.for_parts(&["bare", "docker"]).guest.name, "engines");
        Ok(())
    }
}
