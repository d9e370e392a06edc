//! Who may write in a directory exchanges a part of a path for a link to the host, again and again,
//! while containers start whose mounts lead through it: what was not judged is never reached.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, bail};
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};

use super::{Row, Test, row};
use crate::bundle::{Bundle, common_rootfs};
use crate::command;
use crate::lab::Lab;
use crate::launch::{self, By, Runtime};

pub const ROWS: &[Row] = &[
    row("races/directory", Test::Code(|lab, runtime| race(lab, runtime, &directory))),
    row("races/file", Test::Code(|lab, runtime| race(lab, runtime, &file))),
    row("races/root", Test::Code(|lab, runtime| race(lab, runtime, &root))),
];

/// What is exchanged: the directory of the container's own, and the link.
const OWN: &str = "/srv/races/own";
const LINK: &str = "/srv/races/link";

fn directory() -> Bundle {
    Bundle::new(&["sh", "-c", "cat /x/secret; echo x > /x/raced; true"]).bind("/srv/races/own/etc/races", "/x")
}

fn file() -> Bundle {
    Bundle::new(&["sh", "-c", "cat /file; true"]).bind("/srv/races/own/etc/races/secret", "/file")
}

fn root() -> Bundle {
    let mut bundle = Bundle::new(&["sh", "-c", "cat /secret; echo x > /raced; true"]);
    bundle.rootfs = Some("/srv/races/own/etc/races-root".into());
    bundle
}

/// As many starts as there is time for: the environment variable says how many.
fn starts() -> usize {
    std::env::var("LOCKC_IT_RACES").ok().and_then(|text| text.parse().ok()).unwrap_or(8)
}

fn race(lab: &mut Lab, runtime: Runtime, bundle: &dyn Fn() -> Bundle) -> Result<String> {
    let rootfs = common_rootfs()?;
    let script = format!(
        "set -e; rm -rf /srv/races /etc/races /etc/races-root; mkdir -p {OWN}/etc/races /etc/races; ln -s / {LINK}; \
         echo own > {OWN}/etc/races/secret; echo of-the-host > /etc/races/secret; \
         cp -a {rootfs} {OWN}/etc/races-root; cp -a {rootfs} /etc/races-root; \
         echo own > {OWN}/etc/races-root/secret; echo of-the-host > /etc/races-root/secret"
    );
    command::sh(&script).context("cannot make what is exchanged")?;
    let over = AtomicBool::new(false);
    let result = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                // Only the exchange itself matters.
                let _ = renameat2(AT_FDCWD, OWN, AT_FDCWD, LINK, RenameFlags::RENAME_EXCHANGE);
            }
        });
        let result = exchanged(lab, runtime, bundle);
        over.store(true, Ordering::Relaxed);
        result
    });
    command::sh("rm -rf /srv/races /etc/races /etc/races-root")?;
    result
}

fn reached(stdout: &str) -> bool {
    let raced = ["/etc/races/raced", "/etc/races-root/raced"].iter().any(|path| Path::new(path).exists());
    raced || stdout.contains("of-the-host")
}

fn exchanged(lab: &mut Lab, runtime: Runtime, bundle: &dyn Fn() -> Bundle) -> Result<String> {
    let plain = |_| launch::run(By::Plain(runtime), &bundle()).map(|run| reached(&run.stdout)).unwrap_or(false);
    if !(0..40).any(plain) {
        bail!("proves nothing: without lockc the host is not reached either");
    }
    if lab.plain {
        return Ok("reached without lockc".into());
    }
    for path in ["/etc/races/raced", "/etc/races-root/raced"] {
        // There where the runtime without lockc wrote it.
        let _ = fs::remove_file(path);
    }
    let mut started = 0;
    let count = starts();
    for _ in 0..count {
        let run = launch::run(By::Lockc("baseline"), &bundle())?;
        if reached(&run.stdout) {
            bail!("REACHED: {}", run.said());
        }
        started += usize::from(run.stdout.contains("own"));
    }
    Ok(format!("{started} of {count} started with their own, none with the host's"))
}
