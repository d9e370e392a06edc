//! lockc as an OCI runtime. It parses the command line, decides, registers the container, labels
//! itself, and executes the real runtime with unchanged arguments. Every process of the container
//! inherits the label from here, so no process is ever unlabelled.
//!
//! | call | what happens before the runtime is executed |
//! |---|---|
//! | `create`, `run`, `restore` | configuration, policy, admission, registration |
//! | `exec` | admission of the process, joining |
//! | `start` | joining, where the engine wants the container's notifications |
//! | `delete` | nothing; the slot is freed afterwards (see [`lockc_runc_wrapper::delete`]) |
//! | `checkpoint`, `update`, crun's `mounts` | what the runtime is told to read, write and set |
//! | everything else | nothing (`flags` says why of each) |
#![forbid(unsafe_code)]

use std::{
    env,
    ffi::{CString, OsString},
    io::{self, Write as _},
    os::unix::ffi::OsStrExt as _,
    path::Path,
    process::ExitCode,
};

use anyhow::{Context as _, Result};
use lockc_core::paths;
use lockc_policy::{
    config::{CONFIG_PATH, SyncedFiles},
    host::{Host, privilege::Privilege},
    with_causes,
};

use lockc_runc_wrapper::{
    argv, check,
    containers::Existing,
    environment::{ContainerRegistry as _, Environment, Plan, Refusal},
    flow, hand,
    invocation::{Call, Invocation},
    kernel::Pinned,
    log, runtime,
    sys::{child, startup},
    unregistered, words,
};

const HELP: &str = "\
lockc-runc-wrapper: an OCI runtime that confines containers with lockc.

It takes the command line of runc, crun or youki, and executes that runtime once the container is
registered.
Engines call it; by hand:

    lockc-runc-wrapper run --bundle /srv/bundle web          as runc, under the configured policy
    lockc-runc-wrapper --lockc-policy restricted run -b B ID  under another policy
    lockc-runc-wrapper exec web ps                            a process under the container's policy

Docker, in /etc/docker/daemon.json:

    { \"runtimes\": { \"lockc\": { \"path\": \"/usr/bin/lockc-runc-wrapper\" } } }
    docker run --runtime lockc debian

Options of lockc, before the subcommand:
    --lockc-policy NAME   privileged, baseline, restricted, offline, or a policy of
                          /etc/lockc/lockc.toml
    --lockc-runtime PATH  one of the `runtimes` of /etc/lockc/lockc.toml, instead of the first
    --lockc-version       print lockc's version
    --lockc-help          print this text

Exit code 1 and a line `lockc: ...` on stderr (and in --log): refused, nothing was executed. Every
other exit code is the runtime's.
";

fn main() -> ExitCode {
    let args: Vec<OsString> = env::args_os().skip(1).collect();
    let (invocation, read) = argv::parse(&args);
    match invocation.call {
        Call::Help if read.is_ok() => {
            // Whoever reads it may stop early.
            let _ = io::stdout().write_all(HELP.as_bytes());
            return ExitCode::SUCCESS;
        }
        Call::Version if read.is_ok() => {
            let _ = writeln!(io::stdout(), "lockc-runc-wrapper {}", env!("CARGO_PKG_VERSION"));
            return ExitCode::SUCCESS;
        }
        _ => {}
    }
    let Err(refusal) =
        read.map_err(|unclear| Refusal(vec![unclear.to_string()])).and_then(|()| run(&invocation));
    log::error(&invocation, &refusal.0);
    if Privilege::of_this_process() == Privilege::Root {
        words::count(Path::new(paths::REFUSAL_COUNTS), &refusal.0.join("; "), false);
    }
    ExitCode::FAILURE
}

fn run(invocation: &Invocation) -> Result<std::convert::Infallible, Refusal> {
    // Commands that look at no file work from a directory that is gone, too.
    let directory = env::current_dir().unwrap_or_default();
    let environment = Environment {
        config: Path::new(CONFIG_PATH),
        synced: SyncedFiles::default(),
        directory: &directory,
        granted_file: None,
        uid: nix::unistd::geteuid().as_raw(),
        privilege: Privilege::of_this_process(),
        notify: env::var_os("NOTIFY_SOCKET").is_some_and(|socket| !socket.is_empty()),
        kernel: &Pinned,
        containers: &Existing,
        refused: Some(Path::new(paths::REFUSED)),
        view: &Host::default(),
        find: &runtime::find,
    };
    let mut held = Vec::new();
    let mut plan = match invocation.call {
        Call::Create(_) => check::prepare(&environment, invocation, &mut held)?,
        _ => flow::prepare(invocation, &environment)?,
    };
    if !held.is_empty()
        && let Err(error) = check::keep(&held)
    {
        log::warn(&format!(
            "{}; the container's grants are not kept in memory until they are mounted",
            with_causes(&error)
        ));
    }
    drop(held);
    let failed = match hand_on(invocation, &mut plan).and_then(|()| execute(&plan)) {
        Ok(never) => match never {},
        Err(error) => error,
    };
    if let Some((root, id)) = &plan.registered
        && let Err(error) = Pinned.mark_deleting(root, id, None)
    {
        log::warn(&format!(
            "{}; the slot of {id} stays in use until `lockc load`",
            with_causes(&error)
        ));
    }
    Err(failed.into())
}

/// Changes in the arguments what the runtime is to look at instead.
fn hand_on(invocation: &Invocation, plan: &mut Plan) -> Result<()> {
    if let (Some(file), Some(at)) = (&plan.handed, invocation.file_at) {
        at.put(
            &mut plan.args,
            &hand::leave(file)
                .context("a file cannot be passed to the runtime; nothing was executed")?,
        );
    }
    if plan.empty_root {
        unregistered::use_empty_root(invocation, &mut plan.args)?;
    }
    Ok(())
}

fn execute(plan: &Plan) -> Result<std::convert::Infallible> {
    let text = |bytes: &[u8]| {
        CString::new(bytes).context("an argument contains a NUL byte; nothing was executed")
    };
    let runtime = text(plan.runtime.as_os_str().as_bytes())?;
    let mut args = vec![runtime.clone()];
    for arg in &plan.args {
        args.push(text(arg.as_bytes())?);
    }
    let cannot = || {
        format!("{} cannot be executed; check `runtimes` in {CONFIG_PATH}", plan.runtime.display())
    };
    if let Some(deletion) = &plan.deletion {
        let ended = child::run(&runtime, &args).with_context(cannot)?;
        if let Err(error) = deletion.follow(ended.ok(), &Existing, &Pinned) {
            log::warn(&format!("{}; {} was deleted anyway", with_causes(&error), deletion.id));
        }
        ended.repeat();
    }
    let failed = startup::restore()
        .map_err(Into::into)
        .and_then(|()| nix::unistd::execv(&runtime, &args).with_context(cannot));
    startup::ignore_sigpipe();
    failed
}
