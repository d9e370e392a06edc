//! The fourth boot: the packages go, and the engines stay whole.

use std::path::Path;

use anyhow::{Result, bail};

use super::{Step, fails, keeper, package, quickstart, sh, status, step, until};
use crate::command;

pub const STEPS: &[Step] = &[
    step("system/4-remove/bpf-is-back", back),
    step("system/4-remove/quickstart-containerd", || {
        quickstart::run(quickstart::CONTAINERD, &["Remove"])
    }),
    step("system/4-remove/quickstart-podman", || quickstart::run(quickstart::PODMAN, &["Remove"])),
    step("system/4-remove/package-with-a-container-running", removed),
    step("system/4-remove/installed-again", installed_again),
    step("system/4-remove/quickstart-docker", || quickstart::run(quickstart::DOCKER, &["Remove"])),
    step("system/4-remove/nothing-stays", nothing_stays),
    step("system/4-remove/engines-start-their-own", engines),
    step("system/4-remove/rpm", rpm),
];

fn back() -> Result<String> {
    sh("systemctl is-active lockc")?;
    until(90, "the container is there again", || Ok(keeper::log()?.0 >= 3))?;
    Ok(format!("{:?}", keeper::log()?))
}

/// Removed while Docker's default is lockc and a container runs. Without a choice nothing changes,
/// because the container would not start again. Then Docker is whole, and what runs stays confined.
fn removed() -> Result<String> {
    let said = fails("apt-get remove -y lockc", "keeper (lockc): docker rm --force keeper")?;
    if !said.contains("LOCKC_REMOVE=keep-name") {
        bail!("the choice is not named: {said}");
    }
    sh("grep -q lockc-runc-wrapper /etc/docker/daemon.json && test -x /usr/bin/lockc")?;
    sh("LOCKC_REMOVE=keep-name apt-get remove -y lockc")?;
    if Path::new("/usr/bin/lockc").exists() {
        bail!("the program is still there");
    }
    let config = sh("cat /etc/docker/daemon.json")?;
    if config.contains("lockc-runc-wrapper") || config.contains("default-runtime") {
        bail!("Docker's configuration still names the wrapper: {config}");
    }
    sh("docker run --rm debian ls /sys/fs/ext4")?;
    let before = keeper::log()?.1;
    until(90, "the container is still denied", || Ok(keeper::log()?.1 > before))?;
    // By the wrapper, which stays for as long as that.
    fails("docker exec keeper ls /sys/fs/ext4", "Permission denied")?;
    sh("docker exec keeper true")?;
    // By its name, the next start is the real runtime's.
    sh("docker restart -t 0 keeper && docker exec keeper ls /sys/fs/ext4 && docker rm -f keeper")?;
    let journal = sh("journalctl -b --no-pager -o cat -u docker -u containerd")?;
    if let Some(line) =
        journal.lines().find(|line| line.contains("lockc-runc-wrapper: no such file"))
    {
        bail!("the engine missed the wrapper: {line}");
    }
    // As the next boot does.
    sh("systemd-tmpfiles --boot --remove lockc-removed.conf")?;
    if Path::new("/usr/bin/lockc-runc-wrapper").exists()
        || Path::new("/etc/tmpfiles.d/lockc-removed.conf").exists()
    {
        bail!("the wrapper is still there after a boot");
    }
    Ok("Docker starts its own, what ran was confined to its end".into())
}

fn installed_again() -> Result<String> {
    let file = package("deb", true)?;
    sh(&format!(
        "apt-get install -y {} && systemctl is-active lockc && lockc install docker --restart",
        file.display()
    ))?;
    if status()?["enforcing"] != true {
        bail!("not enforcing after the second installation");
    }
    sh("docker run --rm --runtime lockc debian true")
}

fn nothing_stays() -> Result<String> {
    for path in [
        "/usr/bin/lockc",
        "/usr/bin/lockc-runc-wrapper",
        "/etc/lockc",
        "/var/lib/lockc",
        "/sys/fs/bpf/lockc",
    ] {
        if Path::new(path).exists() {
            bail!("{path} is still there");
        }
    }
    let named = command::run(&[
        "grep",
        "-rl",
        "lockc",
        "/etc/docker",
        "/etc/containerd",
        "/etc/containers",
        "/etc/systemd",
    ])?;
    // Copies of what was there before are kept.
    let left: Vec<&str> =
        named.stdout.lines().filter(|path| !path.contains("before-lockc")).collect();
    if left.is_empty() { Ok("gone".into()) } else { bail!("lockc is still named in {left:?}") }
}

fn engines() -> Result<String> {
    sh("docker run --rm debian true")?;
    sh("ctr run --rm docker.io/library/debian:latest t9 true")?;
    sh("podman run --rm debian true")?;
    sh("systemctl restart containerd docker && docker run --rm debian echo works")
}

/// The same contents and scripts as an RPM; Debian's rpm installs it, without Debian's dependencies
/// in its database.
fn rpm() -> Result<String> {
    let file = package("rpm", false)?;
    sh(&format!("rpm -i --nodeps {}", file.display()))?;
    sh("systemctl is-enabled lockc && systemctl is-active lockc")?;
    if status()?["enforcing"] != true {
        bail!("not enforcing");
    }
    sh("lockc install docker --restart && docker run --rm --runtime lockc debian true")?;
    sh("rpm -e --nodeps lockc")?;
    if Path::new("/usr/bin/lockc").exists() || Path::new("/sys/fs/bpf/lockc").exists() {
        bail!("something stayed");
    }
    sh("docker run --rm debian echo works")
}
