//! Unix sockets: the host's under any name, and the container's own.

use libc::{EACCES, EAFNOSUPPORT};

use super::{Row, Test, both, denied, row, same, works};
use crate::bundle::Bundle;
use crate::lab::SOCKETS;

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
    both("sockets/stream", path(&["connect", "stream", "/socks/stream.sock"]))
        .core()
        .thorough_with_runc(),
    row("sockets/renamed", path(&["connect", "stream", "/socks/notes.txt"])),
    row("sockets/long-name", path(&["connect", "stream", LONG])).one_kernel(),
    row("sockets/relative", path(&["connect", "stream", "/bin/../socks/./notes.txt"])).one_kernel(),
    row("sockets/dgram", path(&["connect", "dgram", "/socks/dgram.sock"])),
    row("sockets/dgram-sendto", path(&["sendto", "/socks/dgram.sock"])),
    row("sockets/seqpacket", path(&["connect", "seqpacket", "/socks/seqpacket.sock"])),
    row("sockets/abstract-stream", abstr(&["connect", "stream", "@lockc-it-stream"])).core(),
    row("sockets/abstract-dgram", abstr(&["connect", "dgram", "@lockc-it-dgram"])),
    row("sockets/abstract-sendto", abstr(&["sendto", "@lockc-it-dgram"])),
    row("sockets/thread", path(&["thread", "connect", "stream", "/socks/stream.sock"])),
    row(
        "sockets/double-fork",
        path(&["double-fork", "setsid", "connect", "stream", "/socks/stream.sock"]),
    ),
    row("sockets/chroot", path(&["chroot", "/socks", "connect", "stream", "/notes.txt"])),
    both("sockets/own-stream", own(&["/probe", "self-connect", "stream", "/tmp/s"]))
        .thorough_with_runc(),
    row("sockets/own-seqpacket", own(&["/probe", "self-connect", "seqpacket", "/tmp/s"])),
    row("sockets/own-dgram", own(&["/probe", "self-connect", "dgram", "/tmp/s"])),
    row("sockets/own-abstract", own(&["/probe", "self-connect", "stream", "@own"])),
    row("sockets/own-socketpair", own(&["/probe", "socketpair"])),
    row(
        "sockets/own-other-process",
        own(&[
            "sh",
            "-c",
            "/probe serve stream /tmp/o & sleep 1; /probe connect stream /tmp/o && kill %1",
        ]),
    ),
    row("network/inet", own(&["/probe", "socket", "inet"])),
    row(
        "network/offline-inet",
        denied(&["socket", "inet"], same, "offline", EAFNOSUPPORT, "network"),
    )
    .core(),
    row(
        "network/offline-inet6",
        denied(&["socket", "inet6"], same, "offline", EAFNOSUPPORT, "network"),
    ),
    row(
        "network/offline-netlink",
        denied(&["socket", "netlink"], same, "offline", EAFNOSUPPORT, "network"),
    ),
    row(
        "network/offline-packet",
        denied(&["socket", "packet"], same, "offline", EAFNOSUPPORT, "network"),
    ),
];
