//! Sockets of the host that `allowed_sockets` names, by the directory that they are in.

use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};

use super::{Row, Test, both, row};
use crate::bundle::Bundle;
use crate::command::{self, Run};
use crate::lab::{Lab, SOCKETS};
use crate::launch::{self, By, Running, Runtime};

pub const ROWS: &[Row] = &[
    both("sockets/named-in-a-directory", Test::Code(in_directory)).core().on_btrfs(),
    row("sockets/named-file", Test::Code(file)),
    row("sockets/named-renamed-below-an-overlay", Test::Code(below_overlay)),
];

/// A directory of the host, and another one that is called the same.
const PLACE: &str = "/srv/lockc-it/named/here";
const DECOY: &str = "/srv/lockc-it/decoy/here";

/// Servers of the host, until it is dropped.
struct Servers(Vec<Child>);

impl Servers {
    /// `KIND PATH` each.
    fn start(sockets: &[(&str, String)]) -> Result<Self> {
        let mut servers = Self(Vec::new());
        for (kind, path) in sockets {
            let _ = std::fs::remove_file(path);
            servers.0.push(
                Command::new("/usr/local/bin/lockc-probe")
                    .args(["serve", kind, path])
                    .stdin(Stdio::null())
                    .stdout(Stdio::null())
                    .spawn()
                    .context("cannot start a server")?,
            );
            command::sh(&format!(
                "for _ in $(seq 100); do [ -S {path} ] && exit; sleep 0.1; done; exit 1"
            ))?;
        }
        Ok(servers)
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        for server in &mut self.0 {
            // It may be gone already.
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

fn at(directory: &str, name: &str) -> String {
    format!("{directory}/{name}")
}

/// Lines of a shell script, of which each must succeed.
fn each(lines: &[&str]) -> String {
    lines
        .iter()
        .map(|line| {
            format!("( {line} ) > /tmp/out 2>&1 || {{ echo 'FAILED: {line}'; cat /tmp/out; }}\n")
        })
        .collect()
}

fn passes(run: &Run) -> Result<()> {
    if run.ok() && !run.stdout.contains("FAILED") { Ok(()) } else { bail!("{}", run.said()) }
}

fn prepare() -> Result<Servers> {
    command::sh(&format!(
        "rm -rf {PLACE} {DECOY}; mkdir -p {PLACE} {PLACE}/../work {DECOY}; sync"
    ))?;
    Servers::start(&[
        ("stream", at(PLACE, "app.sock")),
        ("seqpacket", at(PLACE, "w-seqpacket.sock")),
        ("dgram", at(PLACE, "w-dgram.sock")),
        ("stream", at(PLACE, "other.sock")),
        ("stream", at(DECOY, "app.sock")),
    ])
}

/// In a directory that is a volume: what is named, after the server made it again too; nothing
/// else, whatever the container does in the directory.
fn in_directory(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    let by = super::by_of(lab, runtime, "named-sockets");
    let servers = prepare()?;
    let bundle = Bundle::new(&["sleep", "1000"])
        .host("network")
        .bind(PLACE, "/n")
        .bind(DECOY, "/here")
        // Servers of these run since before `lockc load`.
        .bind(SOCKETS, "/socks");
    let running = Running::start(by, &bundle)?;
    let allowed = each(&[
        "/probe connect stream /n/app.sock",
        "/probe connect seqpacket /n/w-seqpacket.sock",
        "/probe connect dgram /n/w-dgram.sock",
        "/probe sendto /n/w-dgram.sock",
        "[ -S /n/app.sock ] && ls -l /n",
        "/probe connect stream /socks/stream.sock",
        "/probe sendto /socks/dgram.sock",
    ]);
    passes(&running.exec(&["sh", "-c", &allowed])?).context("what is named")?;
    if lab.plain {
        return Ok("possible without lockc".into());
    }
    lab.forget_events()?;
    let denied = each(&["/probe expect-fail 13 connect stream /n/other.sock"]);
    passes(&running.exec(&["sh", "-c", &denied])?).context("what is not named")?;
    let event = lab.expect_event("unix-socket")?;
    if !event.contains("allowed_sockets") {
        bail!("the denial does not name the setting: {event}");
    }
    let denied = each(&[
        "/probe expect-fail 13 connect stream /socks/notes.txt",
        "/probe expect-fail 13 connect stream /here/app.sock",
        "/probe expect-fail 13 connect stream @lockc-it-stream",
        "ln /n/other.sock /n/w-link.sock && /probe expect-fail 13 connect stream /n/w-link.sock",
        "ln -s other.sock /n/w-symlink.sock && /probe expect-fail 13 connect stream \
         /n/w-symlink.sock",
        "ln -s /socks/notes.txt /n/w-far.sock && /probe expect-fail 13 connect stream \
         /n/w-far.sock",
        // The host's directory is the identity, not what it is called.
        "mkdir /n/deeper && mv /n/other.sock /n/deeper/w-moved.sock",
        "/probe expect-fail 13 connect stream /n/deeper/w-moved.sock",
        "/probe expect-fail 13 rename-to /n/deeper/w-moved.sock /n/w-moved.sock",
        "/probe expect-fail 13 rename-to /n/deeper/w-moved.sock /n/app.sock",
        "/probe expect-fail 13 exchange /n/deeper/w-moved.sock /n/app.sock",
        "/probe expect-fail 13 exchange /n/app.sock /n/deeper/w-moved.sock",
        "mkdir /n/w-dir.sock && mv /n/deeper/w-moved.sock /n/w-dir.sock/app.sock",
        "/probe expect-fail 13 connect stream /n/w-dir.sock/app.sock",
        "mv /n/w-dir.sock/app.sock /n/deeper/w-moved.sock",
        "ln -f /n/deeper/w-moved.sock /n/w-back.sock && /probe expect-fail 13 connect stream \
         /n/w-back.sock",
        // Files are renamed as ever, and a socket of the container's own is its own under any
        // name.
        "touch /n/file && mv /n/file /n/w-file.sock && rm /n/w-file.sock",
        "/probe self-connect stream /n/own.sock && mv /n/own.sock /tmp/own.sock",
    ]);
    passes(&running.exec(&["sh", "-c", &denied])?).context("a way in of the container's own")?;
    if !lab.expect_event("unix-socket")?.contains("unix-socket") {
        bail!("no event");
    }
    drop(servers);
    let _servers =
        Servers::start(&[("stream", at(PLACE, "app.sock")), ("stream", at(PLACE, "w-late.sock"))])?;
    let again =
        each(&["/probe connect stream /n/app.sock", "/probe connect stream /n/w-late.sock"]);
    passes(&running.exec(&["sh", "-c", &again])?).context("after the server made it again")?;
    Ok(event)
}

/// The socket itself is mounted: it can be looked at and connected to.
fn file(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    let by = super::by_of(lab, runtime, "named-sockets");
    let script = each(&["[ -S /s.sock ] && ls -l /s.sock", "/probe connect stream /s.sock"]);
    let bundle = Bundle::new(&["sh", "-c", &script]).bind(&at(SOCKETS, "stream.sock"), "/s.sock");
    passes(&launch::run(by, &bundle)?)?;
    if lab.plain {
        return Ok("works without lockc".into());
    }
    // A link to another socket is another socket, whoever made it.
    let link = "/srv/lockc-it/named/link.sock";
    command::sh(&format!("mkdir -p /srv/lockc-it/named; ln -sf {SOCKETS}/notes.txt {link}"))?;
    let run = launch::run(by, &Bundle::new(&["true"]).bind(link, "/s.sock"))?;
    if run.ok() || !run.stderr.contains("allowed_sockets") {
        bail!("NOT REFUSED: {}", run.said());
    }
    Ok(run.stderr)
}

/// A container that may mount renames a socket through an overlayfs whose upper directory is the
/// host's.
fn below_overlay(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    let _servers = prepare()?;
    let bundle = |expect: &str| {
        let script = each(&[
            "mkdir -p /low /ovl && mount -t overlay overlay -o \
             lowerdir=/low,upperdir=/n/here,workdir=/n/work /ovl",
            &format!("/probe {expect} rename-to /ovl/other.sock /ovl/w-moved.sock"),
            "/probe connect stream /n/here/app.sock",
        ]);
        Bundle::new(&["sh", "-c", &script]).admin().bind("/srv/lockc-it/named", "/n")
    };
    passes(&launch::run(By::Plain(runtime), &bundle("thread"))?).context("without lockc")?;
    command::sh(&format!("mv {PLACE}/w-moved.sock {PLACE}/other.sock"))?;
    if lab.plain {
        return Ok("possible without lockc".into());
    }
    lab.forget_events()?;
    passes(&launch::run(By::Lockc("named-mounting"), &bundle("expect-fail 13"))?)?;
    lab.expect_event("unix-socket")
}
