//! System V IPC and POSIX queues with the host's IPC namespace: the host's are out of reach, a
//! container's own work.

use anyhow::{Result, bail};
use libc::EACCES;

use super::{Row, Test, by_of, row};
use crate::bundle::{Bundle, common_rootfs};
use crate::check::Works;
use crate::command;
use crate::lab::Lab;
use crate::launch::{self, By, Running, Runtime};

fn host_ipc(bundle: Bundle) -> Bundle {
    bundle.host("ipc")
}

pub const ROWS: &[Row] = &[
    row("ipc/objects-of-the-host", Test::Code(objects)).core(),
    row("ipc/queues-of-the-host", Test::Code(queues)),
    row("ipc/addresses-used-again", Test::Code(used_again)).one_kernel(),
    row("ipc/between-containers", Test::Code(between)),
    row(
        "ipc/own",
        Test::Works(Works { args: &["/probe", "ipc-own", "4712"], give: host_ipc, policy: "test" }),
    )
    .one_kernel(),
];

/// Runs the probe on the host.
fn on_host(args: &str) -> Result<String> {
    let run = command::sh(&format!("{}/probe {args}", common_rootfs()?))?;
    let attempt: lockc_integration::Attempt = serde_json::from_str(run.trim())?;
    if attempt.ok { Ok(attempt.detail) } else { bail!("{args} on the host: {}", attempt.detail) }
}

/// A container that tries everything with the objects of a key.
fn user_of(key: &str, ids: &str) -> Bundle {
    let args: Vec<&str> = ["ipc-try", key].into_iter().chain(ids.split_whitespace()).collect();
    host_ipc(Bundle::probe(&args))
}

fn denied(lab: &Lab, bundle: &Bundle, policy: &'static str) -> Result<String> {
    lab.forget_events()?;
    let under = launch::attempt(By::Lockc(policy), bundle)?;
    if under.ok || under.errno != EACCES {
        bail!("NOT DENIED under {policy} with errno {EACCES}: {} ({})", under.detail, under.errno);
    }
    lab.expect_event("ipc")?;
    Ok(under.detail)
}

fn allowed(by: By, bundle: &Bundle) -> Result<String> {
    let attempt = launch::attempt(by, bundle)?;
    if attempt.ok { Ok(attempt.detail) } else { bail!("BROKEN for {by:?}: {}", attempt.detail) }
}

/// Every call on what a process of the host made, before the container or while it runs.
fn objects(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    let make = || on_host("ipc-make 4711").map(|ids| user_of("4711", &ids));
    let plain = allowed(By::Plain(runtime), &make()?)?;
    if lab.plain {
        return Ok(format!("possible without lockc: {plain}"));
    }
    let host = make()?;
    denied(lab, &host, "test")?;
    // It is all still there, and one setting opens it.
    allowed(By::Lockc("ipc"), &host)?;
    allowed(By::Lockc("privileged"), &make()?)
}

fn queues(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    let mqueue =
        serde_json::json!({"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue"});
    let script = |by: By, script: &str, host: bool| {
        let bundle = Bundle::new(&["sh", "-c", script]).mount(mqueue.clone());
        launch::run(by, &if host { host_ipc(bundle) } else { bundle })?.must()
    };
    const USE: &str = "/probe queue-try lockc-it && /probe queue-make lockc-it && cat \
                       /dev/mqueue/lockc-it && chmod 666 /dev/mqueue/lockc-it && /probe \
                       queue-remove lockc-it && /probe queue-make lockc-it && rm \
                       /dev/mqueue/lockc-it";
    for by in [By::Plain(runtime), By::Lockc("ipc")] {
        on_host("queue-make lockc-it")?;
        script(by, &format!("ls /dev/mqueue/ && {USE}"), true)?;
        if lab.plain {
            return Ok("possible without lockc".into());
        }
    }
    on_host("queue-make lockc-it")?;
    lab.forget_events()?;
    let denied = "for what in try make remove; do /probe expect-fail 13 queue-$what lockc-it || \
                  exit 1; done; for what in cat rm 'chmod 666'; do $what /dev/mqueue/lockc-it && \
                  exit 2; done; ls /dev/mqueue/ && exit 3; true";
    script(By::Lockc("test"), denied, true)?;
    let events = lab.events()?.into_iter().filter(|event| event["rule"] == "ipc");
    let count: u64 = events.filter_map(|event| event["count"].as_u64()).sum();
    if count < 7 {
        bail!("{count} denials instead of 7");
    }
    // It is still there. What a container makes is its own, and what the host makes in its place is
    // the host's.
    on_host("queue-try lockc-it")?;
    on_host("queue-remove lockc-it")?;
    script(
        By::Lockc("test"),
        &format!("/probe queue-make lockc-it && {USE} && /probe queue-make lockc-it"),
        true,
    )?;
    script(By::Lockc("escape-baseline"), "/probe expect-fail 13 queue-try lockc-it", true)?;
    script(By::Lockc("test"), "/probe queue-try lockc-it", true)?;
    on_host("queue-remove lockc-it")?;
    on_host("queue-make lockc-it")?;
    script(By::Lockc("test"), "/probe expect-fail 13 queue-make lockc-it", true)?;
    on_host("queue-remove lockc-it")?;
    if super::launch::entries("queue_owners")? > 0 {
        bail!("queues that are gone have owners");
    }
    // In a namespace of its own everything works, without a mount too.
    script(
        By::Lockc("test"),
        &format!("/probe queue-make lockc-it && ls /dev/mqueue/ && {USE}"),
        false,
    )?;
    launch::attempt(By::Lockc("test"), &Bundle::probe(&["queue-make", "lockc-it"]))?
        .into_result()?;
    Ok("denied by ipc, own ones work".into())
}

/// What the host makes where a container's objects were is the host's, and nothing is left of
/// those.
fn used_again(lab: &mut Lab, _: Runtime) -> Result<String> {
    lab.only_with_lockc()?;
    let script = "for n in $(seq 4801 4812); do /probe ipc-make $n; done; for n in $(seq 4801 \
                  4812); do /probe ipc-own $n; done";
    launch::run(By::Lockc("test"), &host_ipc(Bundle::new(&["sh", "-c", script])))?.must()?;
    let left = super::launch::entries("ipc_owners")?;
    if left > 3 {
        bail!("{left} objects of containers are left");
    }
    for key in 4801..4813 {
        let key = key.to_string();
        let ids = on_host(&format!("ipc-make {key}"))?;
        if key.ends_with('7') {
            denied(lab, &user_of(&key, &ids), "test")?;
        }
        // This removes them.
        on_host(&format!("ipc-try {key} {ids}"))?;
    }
    Ok(format!("{left} left"))
}

/// Containers of one policy share what they made in the host's namespace, others do not; in a
/// namespace of their own all that is in it is theirs.
fn between(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    let by = by_of(lab, runtime, "test");
    let make = |key: &str| vec!["/probe".to_owned(), "ipc-make".into(), key.to_owned()];
    let start = |bundle: Bundle, key: &str| -> Result<(Running, String)> {
        let running = Running::start(by, &bundle)?;
        let words = make(key);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let made = launch::parse(&running.exec(&words)?)?;
        if made.ok { Ok((running, made.detail)) } else { bail!("BROKEN: {}", made.detail) }
    };
    let idle = || Bundle::new(&["sleep", "1000"]);
    let (own, ids) = start(idle(), "4714")?;
    let (host, shared) = start(host_ipc(idle()), "4713")?;
    if !lab.plain {
        denied(lab, &user_of("4713", &shared), "escape-baseline")?;
    }
    allowed(by, &user_of("4713", &shared))?;
    let path = format!("/proc/{}/ns/ipc", own.pid);
    let args: Vec<&str> = ["ipc-try", "4714"].into_iter().chain(ids.split_whitespace()).collect();
    let detail =
        allowed(by_of(lab, runtime, "escape-baseline"), &Bundle::probe(&args).join("ipc", &path))?;
    drop((own, host));
    Ok(detail)
}
