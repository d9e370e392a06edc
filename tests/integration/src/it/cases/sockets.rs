//! Unix sockets: the host's under any name, and the container's own.

use anyhow::{Result, bail};
use libc::EACCES;

use super::{Row, Test, both, denied, row, same, works};
use crate::bundle::Bundle;
use crate::config;
use crate::lab::{Lab, SOCKETS};
use crate::launch::{self, By, Runtime};

/// The folder with the host's sockets as a volume.
fn volume(bundle: Bundle) -> Bundle {
    bundle.bind(SOCKETS, "/socks")
}

/// In the host's network namespace, where its abstract sockets are.
fn host_network(bundle: Bundle) -> Bundle {
    bundle.host("network")
}

const fn path(args: &'static [&'static str]) -> Test {
    denied(args, volume, "baseline", EACCES, "unix-socket")
}

const fn abstr(args: &'static [&'static str]) -> Test {
    denied(args, host_network, "test", EACCES, "unix-socket")
}

const fn own(args: &'static [&'static str]) -> Test {
    works(args, same)
}

const LONG: &str = "/socks/nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn";

pub const ROWS: &[Row] = &[
    both("sockets/stream", path(&["connect", "stream", "/socks/stream.sock"])),
    row("sockets/renamed", path(&["connect", "stream", "/socks/notes.txt"])),
    row("sockets/long-name", path(&["connect", "stream", LONG])),
    row("sockets/relative", path(&["connect", "stream", "/bin/../socks/./notes.txt"])),
    row("sockets/dgram", path(&["connect", "dgram", "/socks/dgram.sock"])),
    row("sockets/dgram-sendto", path(&["sendto", "/socks/dgram.sock"])),
    row("sockets/seqpacket", path(&["connect", "seqpacket", "/socks/seqpacket.sock"])),
    row("sockets/abstract-stream", abstr(&["connect", "stream", "@lockc-it-stream"])),
    row("sockets/abstract-dgram", abstr(&["connect", "dgram", "@lockc-it-dgram"])),
    row("sockets/abstract-sendto", abstr(&["sendto", "@lockc-it-dgram"])),
    row("sockets/thread", path(&["thread", "connect", "stream", "/socks/stream.sock"])),
    row("sockets/double-fork", path(&["double-fork", "setsid", "connect", "stream", "/socks/stream.sock"])),
    row("sockets/chroot", path(&["chroot", "/socks", "connect", "stream", "/notes.txt"])),
    both("sockets/own-stream", own(&["/probe", "self-connect", "stream", "/tmp/s"])),
    row("sockets/own-seqpacket", own(&["/probe", "self-connect", "seqpacket", "/tmp/s"])),
    row("sockets/own-dgram", own(&["/probe", "self-connect", "dgram", "/tmp/s"])),
    row("sockets/own-abstract", own(&["/probe", "self-connect", "stream", "@own"])),
    row("sockets/own-socketpair", own(&["/probe", "socketpair"])),
    row(
        "sockets/own-other-process",
        own(&["sh", "-c", "/probe serve stream /tmp/o & sleep 1; /probe connect stream /tmp/o && kill %1"]),
    ),
    row("network/inet", own(&["/probe", "socket", "inet"])),
    row("network/offline-inet", denied(&["socket", "inet"], same, "offline", EACCES, "network")),
    row("network/offline-inet6", denied(&["socket", "inet6"], same, "offline", EACCES, "network")),
    row("network/offline-netlink", denied(&["socket", "netlink"], same, "offline", EACCES, "network")),
    row("network/offline-packet", denied(&["socket", "packet"], same, "offline", EACCES, "network")),
    row("network/offline-loopback", Test::Code(loopback)),
];

/// By configuration, containers without network have loopback.
fn loopback(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    const WORK: [&[&str]; 2] = [&["tcp", "127.0.0.1"], &["udp", "127.0.0.1", "127.0.0.1"]];
    // Every address, the one that stands for "this host", and families that have none.
    const DENIED: [&[&str]; 5] = [
        &["tcp", "0.0.0.0"],
        &["udp", "127.0.0.1", "0.0.0.0"],
        &["udp", "0.0.0.0", "127.0.0.1"],
        &["socket", "inet6"],
        &["socket", "packet"],
    ];
    for args in WORK.into_iter().chain(DENIED) {
        let plain = launch::attempt(By::Plain(runtime), &Bundle::probe(args))?;
        if !plain.ok {
            bail!("proves nothing: without lockc {args:?} fails too: {plain:?}");
        }
    }
    if lab.plain {
        return Ok("works without lockc".into());
    }
    let denied = |lab: &Lab, args: &[&str]| -> Result<()> {
        lab.forget_events()?;
        let under = launch::attempt(By::Lockc("offline"), &Bundle::probe(args))?;
        if under.ok || under.errno != EACCES {
            bail!("NOT DENIED with EACCES: {args:?}: {under:?}");
        }
        lab.expect_event("network").map(|_| ())
    };
    for args in WORK {
        denied(lab, args)?;
    }
    config::put(&format!("runtimes = [\"{}\"]\noffline_loopback = true\n", runtime.path()))?;
    for args in WORK {
        let under = launch::attempt(By::Lockc("offline"), &Bundle::probe(args))?;
        if !under.ok {
            bail!("BROKEN: {args:?}: {under:?}; {:?}", lab.events()?);
        }
    }
    for args in DENIED {
        denied(lab, args)?;
    }
    Ok("two work, five are denied".into())
}
