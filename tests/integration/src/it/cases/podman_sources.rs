//! What a mount is decides, not what Podman calls it: overlays, images, builds, root file systems.

use anyhow::{Context, Result, bail};

use super::{Row, Test, row};
use crate::command;
use crate::lab::Lab;
use crate::podman::IMAGE;

pub const ROWS: &[Row] = &[
    row("podman/rootfs-of-the-host", Test::Code(rootfs)),
    row("podman/volume-over-the-host", Test::Code(volumes)),
    row("podman/overlay-of-a-volume", Test::Code(overlay)),
    row("podman/image-mount", Test::Code(image)),
    row("podman/build", Test::Code(build)),
];

/// A container with the host's own directory as its root file system: `--rootfs DIR`, `--rootfs
/// DIR:O`.
fn rootfs(lab: &mut Lab, _: crate::launch::Runtime) -> Result<String> {
    let plain = lab.plain;
    let podman = lab.podman()?;
    let mut said = String::new();
    for root in ["/usr", "/usr:O"] {
        let options = ["--rootfs", root, "/bin/true"];
        podman.run("crun", &options)?.must().with_context(|| format!("proves nothing: {root}"))?;
        if !plain {
            for runtime in ["lockc-baseline", "lockc-restricted"] {
                said = command::shows(&podman.run(runtime, &options)?, &["rootfs: ", "/usr"])?;
            }
        }
    }
    // A root file system in an allowed directory, as buildroot's and debootstrap's users have it.
    let unpack = "mkdir -p /srv/sources/root/bin; cp /bin/busybox /srv/sources/root/bin/true";
    command::sh(unpack).context("cannot make a root file system")?;
    let runtime = if plain { "crun" } else { "lockc-baseline" };
    podman.run(runtime, &["--rootfs", "/srv/sources/root", "/bin/true"])?.must()?;
    Ok(said)
}

fn volumes(lab: &mut Lab, _: crate::launch::Runtime) -> Result<String> {
    let plain = lab.plain;
    let podman = lab.podman()?;
    let mut said = String::new();
    for (name, options) in [
        ("over", "type=overlay -o device=overlay -o o=lowerdir=/etc:/root"),
        ("trace", "type=tracefs -o device=tracefs"),
        ("etc", "type=none -o device=/etc -o o=bind"),
    ] {
        command::sh(&format!("podman volume exists p-{name} || podman volume create -o {} p-{name}", options))?;
        let mount = format!("p-{name}:/c");
        let words = ["-v", mount.as_str(), IMAGE, "true"];
        podman.run("crun", &words)?.must().with_context(|| format!("proves nothing: {name}"))?;
        if !plain {
            said = command::shows(&podman.run("lockc-baseline", &words)?, &["host-mounts: ", " at /c "])?;
        }
    }
    Ok(said)
}

fn overlay(lab: &mut Lab, _: crate::launch::Runtime) -> Result<String> {
    let plain = lab.plain;
    let podman = lab.podman()?;
    command::sh("podman volume exists ov || podman volume create ov")?;
    for (runtime, options) in
        [("lockc-baseline", &[][..]), ("lockc-restricted", &["--user", "1000", "--cap-drop", "ALL"])]
    {
        let runtime = if plain { "crun" } else { runtime };
        let words = [options, &["-v", "ov:/d:O", "--tmpfs", "/t", IMAGE, "sh", "-c", "ls /d; echo x > /t/f"]].concat();
        podman.run(runtime, &words)?.must().with_context(|| runtime.to_owned())?;
    }
    Ok("changes go to the container's own directory".into())
}

fn image(lab: &mut Lab, _: crate::launch::Runtime) -> Result<String> {
    let runtime = if lab.plain { "crun" } else { "lockc-baseline" };
    let podman = lab.podman()?;
    let mut said = String::new();
    for more in ["", ",rw=true"] {
        let mount = format!("type=image,source={IMAGE},destination=/img{more}");
        said = podman.run(runtime, &["--mount", &mount, IMAGE, "ls", "/img/bin/busybox"])?.must()?;
    }
    Ok(said)
}

/// `podman build`, whose steps buildah runs by the runtime that it is told.
fn build(lab: &mut Lab, _: crate::launch::Runtime) -> Result<String> {
    let runtime = if lab.plain { "/usr/bin/crun" } else { crate::launch::WRAPPER };
    lab.podman()?;
    let file = format!(
        "FROM {IMAGE}\nCOPY f /f\nRUN cat /f && id -u && touch /made\n\
         RUN --mount=type=cache,target=/c touch /c/x\nRUN --mount=type=secret,id=s cat /run/secrets/s\n\
         RUN --mount=type=tmpfs,target=/t touch /t/x\nUSER 1000\nRUN id -u\n"
    );
    command::sh("mkdir -p /srv/sources/ctx && echo hi > /srv/sources/ctx/f && echo s3 > /srv/sources/secret")?;
    std::fs::write("/srv/sources/ctx/Dockerfile", file)?;
    let build = || {
        let line = format!(
            "cd /srv/sources && podman build --runtime {runtime} -q --network none --no-cache \
             --secret id=s,src=/srv/sources/secret -t lockc-built ctx"
        );
        // Seven steps, each in a container of its own.
        command::run_for(400, &["bash", "-c", &line], "")?.must()
    };
    build().context("podman build")?;
    std::fs::write("/srv/sources/ctx/Dockerfile", format!("FROM {IMAGE}\nRUN ls /sys/fs/ext4\n"))?;
    match build() {
        Ok(said) if lab.plain => Ok(said),
        Ok(said) => bail!("a step is NOT CONFINED: {said}"),
        Err(error) => Ok(format!("{error:#}")),
    }
}
