//! Containers that share a PID namespace: files of the one by /proc/N of the other (`kubectl debug
//! --target`).

use anyhow::{Context, Result, bail};

use super::{Row, Test, both, row};
use crate::bundle::{self, Bundle};
use crate::command::Run;
use crate::lab::{Lab, SOCKETS};
use crate::launch::{self, By, Running, Runtime};

pub const ROWS: &[Row] = &[
    both("neighbours/files-of-the-same-policy", Test::Code(files_of_the_same))
        .thorough_with_runc()
        .on_btrfs_thorough(),
    row("neighbours/files-of-a-looser-one", Test::Code(files_of_looser)),
    row("neighbours/files-of-another", Test::Code(files_of_another)).core(),
];

/// A container with a root file system and a volume that no other container has.
fn target() -> Result<Bundle> {
    let script =
        "echo cfg > /app.conf; ln -sf app.conf /app.link; cd /vol; exec 5< note; exec sleep 1000";
    let mut bundle = Bundle::new(&["sh", "-c", script]).bind("/home/user/data", "/vol");
    bundle.rootfs = Some(bundle::unpack("target", "busybox")?);
    Ok(bundle)
}

/// Each of them succeeds, or (`denied`) fails as lockc lets it fail.
fn each(attempts: &[&str], denied: bool) -> String {
    let way = |attempt: &str| match denied {
        false => format!("/probe thread {attempt}"),
        true => format!("( /probe expect-fail 1 {attempt} || /probe expect-fail 13 {attempt} )"),
    };
    let one = |attempt: &&str| {
        format!(
            "{} > /tmp/out 2>&1 || {{ echo 'WRONG: {attempt}'; cat /tmp/out; }}\n",
            way(attempt)
        )
    };
    attempts.iter().map(one).collect()
}

fn right(run: &Run) -> Result<()> {
    if run.ok() && !run.stdout.contains("WRONG") { Ok(()) } else { bail!("{}", run.said()) }
}

/// What somebody who looks for a fault does.
const FILES: &[&str] = &[
    "read /proc/1/root/app.conf",
    "readlink /proc/1/root/app.link",
    "stat /proc/1/root/app.conf",
    "list /proc/1/root/",
    "read /proc/1/root/vol/note",
    "list /proc/1/cwd/",
    "read /proc/1/fd/5",
    "write /proc/1/root/app.conf cfg",
    "mkdir /proc/1/root/tmp/made",
    "chroot /proc/1/root read /app.conf",
];

fn joins(bundle: Bundle, target: &Running) -> Bundle {
    bundle.join("pid", &format!("/proc/{}/ns/pid", target.pid))
}

fn files_of_the_same(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    let by = super::by_of(lab, runtime, "baseline");
    let target = Running::start(by, &target()?)?;
    let more = "cd /proc/1/root && cat app.conf && ls -l . > /dev/null && ls -lR /proc/1/root/etc \
                > /dev/null || echo WRONG";
    let script = each(FILES, false) + more;
    let run = launch::run(by, &joins(Bundle::new(&["sh", "-c", &script]), &target))?;
    right(&run)
        .with_context(|| if lab.plain { String::new() } else { format!("{:?}", lab.events()) })?;
    Ok(run.stdout)
}

/// What the other may do and this one may not is not to be had by its files.
fn files_of_looser(lab: &mut Lab, _: Runtime) -> Result<String> {
    lab.only_with_lockc()?;
    for theirs in ["audited", "privileged", "devices"] {
        let target = Running::start(By::Lockc(theirs), &target()?)?;
        lab.forget_events()?;
        let run = launch::run(
            By::Lockc("baseline"),
            &joins(Bundle::new(&["sh", "-c", &each(FILES, true)]), &target),
        )?;
        right(&run).with_context(|| theirs.to_owned())?;
        lab.expect_event("process")?;
    }
    Ok("denied".into())
}

/// Who was let into one container is let into no third, and nowhere on the host.
fn files_of_another(lab: &mut Lab, _: Runtime) -> Result<String> {
    lab.only_with_lockc()?;
    let visit = each(&["read /proc/1/root/app.conf"], false);
    lab.forget_events()?;
    // A descriptor that lockc drops does not arrive: ENOBUFS.
    let received = [
        "expect-fail 105 receive /socks/gives-file",
        "expect-fail 105 receive /socks/gives-folder",
    ];
    let script = visit + &each(&received, false);
    // The rule about sockets is not what is to be shown.
    let first = Running::start(By::Lockc("sockets"), &target()?)?;
    let bundle = Bundle::new(&["sh", "-c", &script]).bind(SOCKETS, "/socks");
    right(&launch::run(By::Lockc("sockets"), &joins(bundle, &first))?)?;
    lab.expect_event("files")?;
    // In the host's PID namespace every container is in sight, and none within reach.
    let other = Running::start(By::Lockc("baseline"), &target()?)?;
    let own = format!("/proc/{}", other.pid);
    let attempts = [
        format!("read {own}/root/app.conf"),
        format!("list {own}/cwd/"),
        format!("read {own}/fd/5"),
    ];
    let attempts: Vec<&str> = attempts.iter().map(String::as_str).collect();
    right(&launch::run(
        By::Lockc("test"),
        &Bundle::new(&["sh", "-c", &each(&attempts, true)]).host("pid"),
    )?)?;
    Ok("denied".into())
}
