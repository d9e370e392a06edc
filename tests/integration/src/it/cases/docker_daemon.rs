//! Ordinary containers under a dockerd that is set up in another way, or beside containers that
//! have the host's root.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use serde_json::json;

use super::{Row, Test, row};
use crate::command;
use crate::docker::{self, IMAGE};
use crate::lab::Lab;
use crate::launch::Runtime;

pub const ROWS: &[Row] = &[
    row("docker/beside-a-volume-of-the-root", Test::Code(beside)),
    row("docker/uninstall-beside-a-container", Test::Code(uninstalled)),
    row("docker/userns-remap", Test::Code(remapped)).thorough(),
];

/// A container starts again only while its runtime has its name: `uninstall` stops, or keeps it.
fn uninstalled(lab: &mut Lab, _: Runtime) -> Result<String> {
    if lab.plain {
        return Ok("lockc is no runtime".into());
    }
    let docker = lab.docker()?;
    let container = docker.background("lockc", &[IMAGE, "sleep", "1000"])?;
    let before = fs::read_to_string(docker::CONFIG).context("cannot read daemon.json")?;
    let stopped = command::run(&["lockc", "uninstall", "docker"])?;
    ensure!(stopped.status == 3 && stopped.said().contains(&container.name), "{}", stopped.said());
    let text = fs::read_to_string(docker::CONFIG).context("cannot read daemon.json")?;
    ensure!(text == before, "it was changed: {text}");
    let kept = command::run(&["lockc", "uninstall", "docker", "--keep-name"])?.must()?;
    ensure!(kept.contains("checked by dockerd"), "{kept}");
    let leads_to = |wrapper: bool| {
        command::sh("kill -HUP $(pidof dockerd)")?;
        command::patiently("the runtime lockc", || {
            let words = ["docker", "info", "--format", "{{json .Runtimes.lockc}}"];
            Ok(command::run(&words)?.must()?.contains("lockc-runc-wrapper") == wrapper)
        })
    };
    let started = leads_to(false).and_then(|()| {
        container.call(&["restart", "-t", "0"])?.must()?;
        container.exec(&["ls", "/sys/fs/ext4"])?.must()
    });
    fs::write(docker::CONFIG, before).context("cannot write daemon.json")?;
    let _ = fs::remove_dir_all("/var/lib/lockc/install");
    leads_to(true)?;
    let said = started.context("it does not start by its runtime's name")?;
    drop(container);
    let denied = lab.docker()?.run("lockc", &[IMAGE, "ls", "/sys/fs/ext4"])?;
    ensure!(!denied.ok(), "the name is not lockc's again: {}", denied.said());
    Ok(said)
}

/// Below a volume that shows the host's root, every mount of dockerd's appears a second time. (A
/// slave: what is unmounted in the volume stays on the host.)
fn beside(lab: &mut Lab, _: Runtime) -> Result<String> {
    let runtime = if lab.plain { "" } else { "lockc" };
    let plain = lab.plain;
    let docker = lab.docker()?;
    command::sh(
        "docker volume rm -f root > /dev/null; docker volume create -o type=none -o o=bind,slave \
         -o device=/ root",
    )?;
    let other = docker.background("", &["-v", "root:/host", IMAGE, "sleep", "1000"])?;
    let said = docker
        .run(runtime, &["-v", "beside:/v", IMAGE, "sh", "-c", "echo works > /v/f; cat /v/f"])?
        .must()?;
    if !plain {
        let run = docker.run(runtime, &["-v", "root:/host", IMAGE, "true"])?;
        command::shows(&run, &["host-mounts: ", "/var/lib/docker/volumes/root/_data at /host"])?;
    }
    drop(other);
    command::sh("docker volume rm -f root beside")?;
    Ok(said)
}

/// `userns-remap`: another data root, another namespace of containerd's, and uid 0 is an ordinary
/// user of the host.
fn remapped(lab: &mut Lab, _: Runtime) -> Result<String> {
    lab.docker()?;
    command::sh(
        "for file in /etc/subuid /etc/subgid; do grep -qs dockremap $file || echo \
         dockremap:100000:65536 >> $file; done; getent group dockremap > /dev/null || groupadd -r \
         dockremap; getent passwd dockremap > /dev/null || useradd -r -g dockremap dockremap; \
         mkdir -p /srv/remapped",
    )?;
    docker::restart_with(&[("userns-remap", json!("default"))])?;
    let result = ordinary(lab);
    docker::restart_with(&[("userns-remap", json!(""))])?;
    result
}

fn ordinary(lab: &mut Lab) -> Result<String> {
    let plain = lab.plain;
    let docker = lab.docker()?;
    let act = "cat /proc/self/uid_map && touch /v/f /tmp/x && ls /d && cat /etc/resolv.conf \
               /etc/hosts > /dev/null && ! ls /sys/fs/ext4";
    let mut said = String::new();
    for (level, user) in
        [("baseline", &[][..]), ("restricted", &["--user", "1000", "--cap-drop", "ALL"])]
    {
        let runtime = if plain { "runc".to_owned() } else { docker::Docker::for_level(level) };
        let act = if plain { "cat /proc/self/uid_map" } else { act };
        let act = if level == "restricted" {
            act.replace("touch /v/f /tmp/x", "ls /v")
        } else {
            act.to_owned()
        };
        let data = if level == "restricted" { "/d" } else { "/srv/remapped:/d:ro" };
        let words =
            [user, &["-v", "remapped:/v", "-v", data, IMAGE, "sh", "-c", act.as_str()]].concat();
        said = docker.run(&runtime, &words)?.must().with_context(|| level.to_owned())?;
        ensure!(said.split_whitespace().nth(1) == Some("100000"), "not remapped: {said}");
    }
    if !plain {
        command::shows(&docker.run("lockc", &["-v", "/etc:/e", IMAGE, "true"])?, &["/etc at /e"])?;
    }
    command::sh("docker volume rm -f remapped")?;
    Ok(said)
}
