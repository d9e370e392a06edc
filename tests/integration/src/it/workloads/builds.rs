//! `docker build`, by the classic builder and by BuildKit.
//!
//! The classic builder starts its containers through the daemon's default runtime. BuildKit calls a
//! program named `runc` by itself and asks no setting of the daemon's but the variable
//! `DOCKER_BUILDKIT_RUNC_COMMAND`: to confine its steps, dockerd is started with that variable
//! naming lockc's wrapper.

use std::fs;
use std::os::unix::fs::symlink;

use anyhow::{Context, Result, bail};

use super::way::{IMAGE, Way, docker};
use super::{Work, Workload};
use crate::command;
use crate::docker::{self as engine, BUILDER};
use crate::launch::{Runtime, WRAPPER};

pub const ROWS: &[Workload] = &[
    Workload::new(
        "build-classic",
        "a Dockerfile with RUN, COPY, ARG, USER, two stages: the classic builder",
        "gcc",
        Work::Engine(classic),
    )
    .thorough()
    .baseline_only("its steps are root's"),
    Workload::new(
        "build-kit",
        "the same by BuildKit, with mounts of caches, stages and secrets",
        "docker-buildx, gcc",
        Work::Engine(buildkit),
    )
    .thorough()
    .baseline_only("its steps are root's")
    .exception(
        "BuildKit runs a program named `runc` whatever the daemon's default runtime is: to have \
         its steps confined, start dockerd with \
         `DOCKER_BUILDKIT_RUNC_COMMAND=/usr/local/bin/lockc-runc-wrapper`, or `lockc load \
         --guard-runtimes`",
    ),
];

const FOLDER: &str = "/tmp/lockc-build";

/// Two stages; `more` stands in the first, `last` at the end of the second's work.
fn dockerfile(more: &str, last: &str) -> String {
    format!(
        "FROM {IMAGE} AS first\nARG WHO=nobody\nWORKDIR /src\nCOPY a.c .\nRUN gcc -o a a.c && \
         useradd builder && echo $WHO > who\n{more}FROM {IMAGE}\nCOPY --from=first /src/a \
         /src/who /opt/\nRUN chmod 755 /opt/a && id -un > /opt/by\n{last}USER 1000\nCMD [\"sh\", \
         \"-c\", \"/opt/a; cat /opt/who /opt/by; id -u\"]\n"
    )
}

/// What only BuildKit has: mounts of caches, of other stages and images whole and in part, and of
/// secrets.
fn mounts() -> String {
    let small = crate::docker::IMAGE;
    format!(
        "FROM {small} AS second\nRUN --mount=type=bind,from={small},source=/bin,target=/f test -x \
         /f/busybox && echo part > /a\nFROM {small} AS third\nRUN \
         --mount=type=bind,from=second,target=/f test -s /f/a && echo whole > /b\nRUN \
         --mount=type=secret,id=s grep -q hidden /run/secrets/s\n"
    )
}

fn prepare(dockerfile: &str) -> Result<()> {
    let _ = fs::remove_dir_all(FOLDER);
    fs::create_dir_all(FOLDER).context("cannot create a directory")?;
    fs::write(
        format!("{FOLDER}/a.c"),
        "#include <stdio.h>\nint main(void) { puts(\"built\"); return 0; }\n",
    )
    .context("cannot write a source")?;
    fs::write(format!("{FOLDER}/Dockerfile"), dockerfile).context("cannot write a Dockerfile")
}

/// Runs what was built, and forgets it.
fn result(way: &Way, tag: &str) -> Result<String> {
    let text = way.says(&[tag])?;
    docker(&["rmi", "-f", tag])?;
    Ok(text)
}

fn classic(way: &Way) -> Result<String> {
    prepare(&dockerfile("", ""))?;
    engine::default_runtime(way.runtime())?;
    let built = command::run_for(
        240,
        &[
            "env",
            "DOCKER_BUILDKIT=0",
            "docker",
            "build",
            "--no-cache",
            "--build-arg",
            "WHO=me",
            "-t",
            "lockc-built",
            FOLDER,
        ],
        "",
    );
    engine::default_runtime("runc")?;
    built?.must().context("docker build")?;
    result(way, "lockc-built")
}

fn buildkit(way: &Way) -> Result<String> {
    let cache = "RUN --mount=type=cache,target=/cache echo x > /cache/x && test -s /cache/x\nRUN \
                 --mount=type=tmpfs,target=/t touch /t/x\n";
    prepare(&dockerfile(&format!("{cache}{}", mounts()), "COPY --from=third /b /opt/b\n"))?;
    let runtime = if *way == Way::PLAIN { Runtime::Runc.path() } else { WRAPPER };
    let _ = fs::remove_file(BUILDER);
    symlink(runtime, BUILDER).with_context(|| format!("cannot link {BUILDER}"))?;
    let words = [
        "env",
        "DOCKER_BUILDKIT=1",
        "SECRET=hidden",
        "BUILDX_NO_DEFAULT_ATTESTATIONS=1",
        "docker",
        "build",
        "--no-cache",
        "--progress",
        "plain",
        "--secret",
        "id=s,env=SECRET",
    ];
    let built = command::run_for(
        300,
        &[&words[..], &["--build-arg", "WHO=me", "-t", "lockc-built-kit", FOLDER]].concat(),
        "",
    )?;
    if !built.ok() {
        bail!("docker build: {}", built.said());
    }
    result(way, "lockc-built-kit")
}
