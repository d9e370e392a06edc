//! The first boot: the package, each engine's quickstart, a container that comes back by itself.

use anyhow::{Result, bail};

use super::{Step, configurations, keeper, observe, package, quickstart, sh, status, step, until};

pub const STEPS: &[Step] = &[
    step("system/1-install/images", images),
    step("system/1-install/package", from_package),
    step("system/1-install/hardened-unit", hardened),
    step("system/1-install/manual-and-completions", manual),
    step("system/1-install/commands-page", || quickstart::run(quickstart::COMMANDS, &["Examples"])),
    step("system/1-install/configurations-docker", configurations::docker),
    step("system/1-install/configurations-containerd", configurations::containerd),
    step("system/1-install/quickstart-docker", || {
        quickstart::run(quickstart::DOCKER, &["Install", "Use"])
    }),
    step("system/1-install/quickstart-containerd", || {
        quickstart::run(quickstart::CONTAINERD, &["Install", "Use"])
    }),
    step("system/1-install/quickstart-podman", || {
        quickstart::run(quickstart::PODMAN, &["Install", "Use"])
    }),
    step("system/1-install/again-changes-nothing", again),
    step("system/1-install/restart-policy", restart_policy),
    step("system/1-install/metrics", observe::scraped),
    step("system/1-install/metrics-bad-peers", observe::bad_peers),
    step("system/1-install/metrics-textfile", observe::textfile),
    step("system/1-install/journal", observe::journal),
];

/// What the pages take from a registry, which this machine does not reach: an image of that name,
/// for each engine. A small one: nothing here depends on what is in it.
fn images() -> Result<String> {
    const TREE: &str = "/opt/img/busybox.tar";
    sh(&format!("docker import --change 'CMD [\"sh\"]' {TREE} debian:latest"))?;
    sh(&format!("podman import -q {TREE} docker.io/library/debian:latest"))?;
    sh("docker save debian:latest -o /tmp/debian.tar && ctr images import /tmp/debian.tar && rm \
        /tmp/debian.tar")?;
    // This machine has no nft.
    sh("mkdir -p /etc/containers/containers.conf.d && printf '[network]\\nfirewall_driver = \
        \"none\"\\n' > /etc/containers/containers.conf.d/10-machine.conf")?;
    Ok("for Docker, Podman and containerd".into())
}

fn from_package() -> Result<String> {
    let before = sh("cat /etc/docker/daemon.json 2> /dev/null || echo none")?;
    let file = package("deb", false)?;
    sh(&format!("apt-get install -y {}", file.display()))?;
    sh("systemctl is-enabled lockc && systemctl is-active lockc")?;
    if status()?["enforcing"] != true {
        bail!("not enforcing after the installation");
    }
    if sh("cat /etc/docker/daemon.json 2> /dev/null || echo none")? != before {
        bail!("the package changed Docker's configuration, which nobody asked for");
    }
    sh("stat -c '%U %a' /etc/lockc/lockc.toml /etc/lockc/lockc.d /var/lib/lockc | sort -u | tr \
        '\\n' ' '")
}

/// The unit did its work with what it is allowed, and no more than that.
fn hardened() -> Result<String> {
    let shown = sh("systemctl show lockc -p \
                    Result,NoNewPrivileges,ProtectSystem,PrivateNetwork,CapabilityBoundingSet")?;
    for text in [
        "Result=success",
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
        "PrivateNetwork=yes",
        "cap_bpf",
    ] {
        if !shown.contains(text) {
            bail!("{text} is missing: {shown}");
        }
    }
    if shown.contains("cap_sys_admin") {
        bail!("the unit may do everything: {shown}");
    }
    sh("systemd-analyze security --no-pager lockc | tail -n 1")
}

fn manual() -> Result<String> {
    // This machine was made without manual pages; the package has them all the same.
    let file = package("deb", false)?;
    let listed = sh(&format!("dpkg-deb -c {}", file.display()))?;
    for text in ["man8/lockc.8.gz", "man8/lockc-install.8.gz", "man8/lockc-runc-wrapper.8.gz"] {
        if !listed.contains(text) {
            bail!("no {text} in the package");
        }
    }
    sh("source /usr/share/bash-completion/completions/lockc && complete -p lockc")
}

fn again() -> Result<String> {
    for engine in ["docker", "containerd", "podman"] {
        let said = sh(&format!("lockc install {engine} --dry-run --json"))?;
        let said: serde_json::Value = serde_json::from_str(&said)?;
        if said["changed"] != false {
            bail!("{engine}: a second time would change {said}");
        }
    }
    Ok("docker, containerd, podman".into())
}

fn restart_policy() -> Result<String> {
    keeper::start()?;
    until(90, "the container tries", || Ok(keeper::log()?.1 > 3))?;
    let (begun, denied) = keeper::log()?;
    sh("sync")?;
    Ok(format!("begun {begun} time, denied {denied} times"))
}
