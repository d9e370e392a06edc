//! The Pod Security Standards' controls (Kubernetes 1.34, with the meaning of the fixtures of
//! pod-security-admission), as far as they reach a runtime through the Container Runtime Interface:
//! what starts without lockc and is refused by a level, in words that kubelet shows; and its
//! neighbour that starts.
//!
//! Two of them are seen by no runtime: an explicit `seccompProfile: Unconfined` looks like none at
//! all, which baseline admits, and containerd leaves SELinux options out where SELinux is off.

use anyhow::{Context, Result};

use super::cri::{handler, idle, refusal, start};
use super::cri_manifests::agrees;
use super::{Row, Test, row};
use crate::cri::Pod;
use crate::cri::describe::pod;
use crate::cri::proto::{
    ContainerConfig, Device, Mount, MountPropagation, PodSandboxConfig, SecurityProfile,
    security_profile::ProfileType,
};
use crate::lab::Lab;
use crate::launch::Runtime;

/// A namespace whose level is that.
const BASELINE: &str = "default";
const RESTRICTED: &str = "tight";

const fn case(name: &'static str, code: fn(&mut Lab, Runtime) -> Result<String>) -> Row {
    row(name, Test::Code(code))
}

pub const ROWS: &[Row] = &[
    // baseline: host namespaces
    case("cri/host-network", |lab, _| {
        pod_alike(
            lab,
            PodSandboxConfig::host_network,
            "host-namespaces: the container uses the host's network namespace",
        )
    })
    .smoke(),
    case("cri/host-pid", |lab, _| {
        pod_alike(
            lab,
            PodSandboxConfig::host_pid,
            "host-namespaces: the container uses the host's pid namespace",
        )
    })
    .thorough(),
    case("cri/host-ipc", |lab, _| {
        pod_alike(
            lab,
            PodSandboxConfig::host_ipc,
            "host-namespaces: the container uses the host's ipc namespace",
        )
    })
    .thorough(),
    // privileged containers
    case("cri/privileged", privileged),
    // capabilities
    case("cri/capability", |lab, _| {
        refused(lab, BASELINE, idle().add_capability("SYS_ADMIN"), "capabilities: SYS_ADMIN")
    })
    .smoke(),
    case("cri/capability-net-admin", |lab, _| {
        refused(lab, BASELINE, idle().add_capability("NET_ADMIN"), "capabilities: NET_ADMIN")
    })
    .thorough(),
    case("cri/capability-in-the-default-set", |lab, _| {
        admitted(lab, BASELINE, idle().add_capability("CHOWN"))
    })
    .thorough(),
    // volumes
    case("cri/host-path", |lab, _| {
        refused(lab, BASELINE, idle().volume("/etc", "/host", true), "host-mounts: ")
    }),
    case("cri/host-root", |lab, _| {
        refused(lab, BASELINE, idle().volume("/", "/host", true), "is the host's root directory")
    })
    .thorough(),
    case("cri/engine-socket", |lab, _| {
        let config =
            idle().volume("/run/containerd/containerd.sock", "/run/containerd.sock", false);
        refused(lab, BASELINE, config, "host-sockets: ")
    }),
    case("cri/another-pods-volume", |lab, _| {
        std::fs::create_dir_all("/var/lib/kubelet/pods/another/volumes/kubernetes.io~secret/s")?;
        let volume = "/var/lib/kubelet/pods/another/volumes/kubernetes.io~secret/s";
        refused(lab, BASELINE, idle().volume(volume, "/stolen", true), "host-mounts: ")
    })
    .thorough(),
    case("cri/allowed-host-path", |lab, _| {
        admitted(lab, BASELINE, idle().volume("/srv/lockc-it/data", "/data", false))
    })
    .thorough(),
    case("cri/host-path-under-restricted", |lab, _| {
        let config = idle().hardened().volume("/srv/lockc-it/data", "/data", false);
        refused(lab, RESTRICTED, config, "host-mounts: ")
    }),
    case("cri/bidirectional-mount", |lab, _| {
        refused(lab, BASELINE, bidirectional(), "rootfs-propagation: ")
    })
    .thorough(),
    // devices
    case("cri/device", |lab, _| refused(lab, BASELINE, device("/dev/vda"), "devices: ")),
    case("cri/default-device", |lab, _| admitted(lab, BASELINE, device("/dev/null"))).thorough(),
    // AppArmor
    case("cri/apparmor-unconfined", |lab, _| {
        refused(lab, BASELINE, apparmor(ProfileType::Unconfined), "apparmor: no AppArmor profile")
    }),
    case("cri/apparmor-default", |lab, _| {
        admitted(lab, BASELINE, apparmor(ProfileType::RuntimeDefault))
    })
    .thorough(),
    // /proc mount type
    case("cri/proc-unmasked", |lab, _| {
        refused(lab, BASELINE, idle().unmasked(), "proc-mount: /proc/acpi")
    }),
    // seccomp
    case("cri/seccomp-undefined", |lab, _| admitted(lab, BASELINE, idle())).thorough(),
    case("cri/seccomp-default", |lab, _| admitted(lab, BASELINE, idle().seccomp_default()))
        .thorough(),
    case("cri/seccomp-unconfined-under-restricted", |lab, _| {
        let config = idle().hardened().security(|security| {
            security.seccomp = Some(SecurityProfile {
                profile_type: ProfileType::Unconfined.into(),
                ..Default::default()
            });
        });
        refused(lab, RESTRICTED, config, "seccomp: no seccomp profile")
    })
    .thorough(),
    // sysctls
    case("cri/sysctl", |lab, _| {
        pod_refused_at(
            lab,
            BASELINE,
            |config| config.sysctl("kernel.msgmax", "65536"),
            "sysctls: kernel.msgmax",
        )
    }),
    case("cri/safe-sysctl", |lab, _| {
        pod_admitted(lab, BASELINE, pod(BASELINE).sysctl("net.ipv4.tcp_keepalive_time", "600"))
    })
    .thorough(),
    // restricted: privilege escalation, running as root, capabilities
    case("cri/root-under-restricted", |lab, _| {
        refused(
            lab,
            RESTRICTED,
            idle().hardened().user(0),
            "run-as-root: the process would run as uid 0",
        )
    }),
    case("cri/capabilities-under-restricted", |lab, _| {
        let config =
            idle().user(1000).seccomp_default().security(|security| security.no_new_privs = true);
        refused(lab, RESTRICTED, config, "capabilities: ")
    })
    .thorough(),
    case("cri/net-bind-service-under-restricted", |lab, _| {
        admitted(lab, RESTRICTED, idle().hardened().add_capability("NET_BIND_SERVICE"))
    })
    .thorough(),
    case("cri/hardened-under-restricted", |lab, _| admitted(lab, RESTRICTED, idle().hardened()))
        .smoke(),
    // The kernel rule lets nobody gain rights at exec, with no_new_privs or without.
    case("cri/escalation-under-restricted", |lab, _| {
        admitted(
            lab,
            RESTRICTED,
            idle().hardened().security(|security| security.no_new_privs = false),
        )
    }),
];

fn device(path: &str) -> ContainerConfig {
    let mut config = idle();
    config.devices = vec![Device {
        container_path: path.into(),
        host_path: path.into(),
        permissions: "rwm".into(),
    }];
    config
}

fn apparmor(kind: ProfileType) -> ContainerConfig {
    let profile = SecurityProfile { profile_type: kind.into(), ..Default::default() };
    idle().security(|security| security.apparmor = Some(profile))
}

fn bidirectional() -> ContainerConfig {
    let mut config = idle();
    config.mounts = vec![Mount {
        container_path: "/data".into(),
        host_path: "/srv/lockc-it/data".into(),
        readonly: false,
        propagation: MountPropagation::PropagationBidirectional.into(),
    }];
    config
}

/// A container that starts without lockc and for privileged, and is refused in that namespace.
fn refused(
    lab: &mut Lab,
    namespace: &'static str,
    config: ContainerConfig,
    reason: &str,
) -> Result<String> {
    start(lab, "runc", "default", &config).context("proves nothing: it fails without lockc too")?;
    if lab.plain {
        return Ok("starts without lockc".into());
    }
    let text = refusal(start(lab, "lockc", namespace, &config), &[reason, level(namespace)])?;
    start(lab, "lockc", "trusted", &config).context("refused for privileged too")?;
    agrees(&pod(namespace), &config, false)?;
    agrees(&pod("trusted"), &config, true)?;
    Ok(text)
}

fn level(namespace: &str) -> &'static str {
    if namespace == RESTRICTED {
        "refused by level restricted"
    } else {
        "refused by level baseline"
    }
}

/// A container that starts in that namespace.
fn admitted(lab: &mut Lab, namespace: &'static str, config: ContainerConfig) -> Result<String> {
    start(lab, handler(lab), namespace, &config)?;
    if !lab.plain {
        agrees(&pod(namespace), &config, true)?;
    }
    Ok("starts".into())
}

fn pod_alike(
    lab: &mut Lab,
    change: fn(PodSandboxConfig) -> PodSandboxConfig,
    reason: &str,
) -> Result<String> {
    pod_refused_at(lab, BASELINE, change, reason)
}

/// A pod that is refused in that namespace, and starts without lockc and for privileged.
fn pod_refused_at(
    lab: &mut Lab,
    namespace: &str,
    change: fn(PodSandboxConfig) -> PodSandboxConfig,
    reason: &str,
) -> Result<String> {
    let cri = lab.containerd()?.cri.clone();
    Pod::run(&cri, "runc", change(pod(namespace)))
        .context("proves nothing: it fails without lockc too")?;
    if lab.plain {
        return Ok("starts without lockc".into());
    }
    let text =
        refusal(Pod::run(&cri, "lockc", change(pod(namespace))), &[reason, level(namespace)])?;
    let trusted =
        Pod::run(&cri, "lockc", change(pod("trusted"))).context("refused for privileged too")?;
    trusted.start(&idle()).context("its container is refused for privileged too")?;
    agrees(&change(pod(namespace)), &idle(), false)?;
    agrees(&change(pod("trusted")), &idle(), true)?;
    Ok(text)
}

fn pod_admitted(lab: &mut Lab, _namespace: &str, config: PodSandboxConfig) -> Result<String> {
    let handler = handler(lab);
    Pod::run(&lab.containerd()?.cri, handler, config.clone())?;
    if !lab.plain {
        agrees(&config, &idle(), true)?;
    }
    Ok("starts".into())
}

/// containerd wants the sandbox to know of it too.
fn privileged(lab: &mut Lab, _: Runtime) -> Result<String> {
    let config = |namespace| pod(namespace).security(|security| security.privileged = true);
    let member = idle().unmasked().security(|security| security.privileged = true);
    let cri = lab.containerd()?.cri.clone();
    let plain = Pod::run(&cri, "runc", config("default"))?;
    plain.start(&member).context("proves nothing: it fails without lockc too")?;
    if lab.plain {
        return Ok("starts without lockc".into());
    }
    let pod = Pod::run(&cri, "lockc", config("default"))?;
    let text = refusal(pod.start(&member), &["--privileged gives", level("default")])?;
    Pod::run(&cri, "lockc", config("trusted"))?
        .start(&member)
        .context("refused for privileged too")?;
    agrees(&config("default"), &member, false)?;
    agrees(&config("trusted"), &member, true)?;
    Ok(text)
}
