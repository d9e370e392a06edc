//! Overlays of directories of the host: checked as if they were bind-mounted, and made of what was
//! checked, whoever mounts them.

use anyhow::{Context as _, Result};
use serde_json::json;

use super::{Row, Test, by_of, row};
use crate::bundle::Bundle;
use crate::check;
use crate::command;
use crate::docker::IMAGE;
use crate::lab::Lab;
use crate::launch::{self, Runtime};

pub const ROWS: &[Row] = &[row("overlays/layers-granted", Test::Code(granted)).core()];
pub const DOCKER: &[Row] = &[row("docker/overlay-exchanged", Test::Code(exchanged)).smoke()];
pub const PODMAN: &[Row] = &[row("podman/overlay-of-the-host", Test::Code(of_the_host)).smoke()];

const MAKE: &str = "set -e; cd /srv; rm -rf overlays; mkdir -p overlays/a overlays/b overlays/c; \
                    echo of-a > overlays/a/f; echo of-b > overlays/b/f";

/// An overlay that the runtime mounts without an upper directory, of two directories of the host.
pub fn mounted(lower: &str, act: &str) -> Bundle {
    let mount = json!({ "destination": "/x", "type": "overlay", "source": "overlay",
        "options": [format!("lowerdir={lower}")] });
    Bundle::new(&["sh", "-c", act]).mount(mount)
}

/// What is beside a layer is not the container's, nor is the layer by itself.
fn granted(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    command::sh(MAKE)?;
    for (policy, lower) in [
        ("baseline", "/etc:/srv/overlays/a"),
        ("baseline", "/srv/overlays/a:/srv/overlays/b/../../../etc"),
        ("restricted", "/srv/overlays/a:/srv/overlays/b"),
    ] {
        check::refused(lab, runtime, &mounted(lower, "true"), policy, "is an overlay of /")?;
    }
    let by = by_of(lab, runtime, "baseline");
    let said = launch::run(
        by,
        &mounted("/srv/overlays/a:/srv/overlays/b", "cat /x/f && ! echo x > /x/g"),
    )?
    .must()?;
    Ok(said)
}

/// A volume that is mounted for one container; then a directory takes the place of one that the
/// volume's options name, and another container wants the volume.
fn exchanged(lab: &mut Lab, _: Runtime) -> Result<String> {
    let plain = lab.plain;
    let docker = lab.docker()?;
    let options = "-o type=overlay -o device=overlay -o \
                   o=lowerdir=/srv/overlays/a,upperdir=/srv/overlays/up/d,workdir=/srv/overlays/\
                   work/d";
    command::sh(&format!(
        "{MAKE}; mkdir -p overlays/up/d overlays/up/e overlays/work/d overlays/work/e; docker \
         volume rm -f ovx > /dev/null; docker volume create {options} ovx"
    ))?;
    let runtime = if plain { "" } else { "lockc" };
    let words = ["-v", "ovx:/x", IMAGE, "cat", "/x/f"];
    let first = docker.background(runtime, &["-v", "ovx:/x", IMAGE, "sleep", "1000"])?;
    let own =
        docker.run(runtime, &words)?.must().context("while the options name what is mounted")?;
    anyhow::ensure!(own.contains("of-a"), "{own}");
    first.exec(&["sh", "-c", "echo changed > /x/f"])?.must()?;
    let restricted = docker.run(
        "lockc-restricted",
        &["--user", "1000", "--cap-drop", "ALL", "-v", "ovx:/x", IMAGE, "true"],
    );
    for (layer, other) in [("a", "b"), ("up/d", "up/e"), ("work/d", "work/e")] {
        let exchange = format!("cd /srv/overlays; mv {layer} x; mv {other} {layer}; mv x {other}");
        command::sh(&exchange)?;
        let run = docker.run(runtime, &words)?;
        command::sh(&exchange)?;
        if plain {
            run.must()?;
        } else {
            command::shows(&run, &["are not the directories that its options name"])
                .with_context(|| layer.to_owned())?;
        }
    }
    if !plain {
        command::shows(&restricted?, &["is an overlay of /srv/overlays/a"])?;
    }
    let again = docker.run(runtime, &words)?.must().context("after the directories are back")?;
    drop(first);
    command::sh("docker volume rm -f ovx")?;
    Ok(again)
}

/// `-v DIR:/d:O`: changes go to a directory of Podman's own.
fn of_the_host(lab: &mut Lab, _: Runtime) -> Result<String> {
    let plain = lab.plain;
    let podman = lab.podman()?;
    command::sh(MAKE)?;
    let act = "cat /d/f && echo changed > /d/f && grep changed /d/f && rm /d/f && mkdir /d/f";
    let runtime = if plain { "crun" } else { "lockc-baseline" };
    let said =
        podman.run(runtime, &["-v", "/srv/overlays/a:/d:O", IMAGE, "sh", "-c", act])?.must()?;
    command::sh("grep -q of-a /srv/overlays/a/f").context("the host's own file was changed")?;
    for (runtime, source) in [("lockc-baseline", "/etc"), ("lockc-restricted", "/srv/overlays/a")] {
        let volume = format!("{source}:/d:O");
        let words = ["--user", "1000", "--cap-drop", "ALL", "-v", &volume, IMAGE, "true"];
        podman.run("crun", &words)?.must().context("proves nothing: it fails without lockc too")?;
        if !plain {
            command::shows(&podman.run(runtime, &words)?, &["is an overlay of ", source])?;
        }
    }
    // Directories for the changes that Podman's user chose: the runtime would look them up again.
    command::sh("mkdir -p /srv/overlays/up /srv/overlays/work")?;
    let words = [
        "-v",
        "/srv/overlays/a:/d:O,upperdir=/srv/overlays/up,workdir=/srv/overlays/work",
        IMAGE,
        "true",
    ];
    podman.run("crun", &words)?.must()?;
    if !plain {
        command::shows(&podman.run(runtime, &words)?, &["remove upperdir and workdir"])?;
    }
    Ok(said)
}
