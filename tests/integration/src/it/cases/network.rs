//! Socket families and netlink protocols; what containers without network keep with
//! `offline_loopback`.

use anyhow::{Result, bail};
use libc::{EACCES, EAFNOSUPPORT, ENOBUFS, ENOPROTOOPT, EPERM, EPROTONOSUPPORT};

use super::{Row, Test, denied, row, same, works};
use crate::bundle::Bundle;
use crate::config;
use crate::lab::{Lab, SOCKETS};
use crate::launch::{self, By, Running, Runtime};

fn sockets(bundle: Bundle) -> Bundle {
    bundle.bind(SOCKETS, "/socks")
}

/// A family that is denied, and let where the policy names it.
const fn family(args: &'static [&'static str]) -> Test {
    denied(args, same, "baseline", EAFNOSUPPORT, "socket-family")
}

const fn named(args: &'static [&'static str]) -> Test {
    Test::Works(super::Works { args, give: same, policy: "families" })
}

pub const ROWS: &[Row] = &[
    row("network/vsock", family(&["socket", "vsock"])),
    row("network/vsock-thread", family(&["thread", "socket", "vsock"])),
    row("network/vsock-uring", family(&["uring-socket", "40", "1", "0"])),
    row("network/vsock-named", named(&["/probe", "socket", "vsock"])),
    row(
        "network/connector",
        denied(&["family", "16", "3", "11"], same, "baseline", EPROTONOSUPPORT, "socket-family"),
    ),
    row("network/connector-named", named(&["/probe", "family", "16", "3", "11"])),
    row(
        "network/device-events",
        denied(&["uevents", "bind"], same, "baseline", EPERM, "socket-family"),
    ),
    row(
        "network/device-events-join",
        denied(&["uevents", "join"], same, "baseline", EPERM, "socket-family"),
    ),
    row("network/device-events-named", named(&["/probe", "uevents", "join"])),
    // What libudev makes where no udevd runs.
    row("network/device-events-quiet", works(&["/probe", "uevents", "none"], same)),
    row("network/netlink-route", works(&["/probe", "family", "16", "3", "0"], same)),
    row("network/netlink-diag", works(&["/probe", "family", "16", "3", "4"], same)),
    row("network/netlink-audit", works(&["/probe", "family", "16", "3", "9"], same)),
    row("network/netlink-generic", works(&["/probe", "family", "16", "3", "16"], same)),
    row("network/ping-socket", works(&["/probe", "family", "2", "3", "1"], same)),
    row(
        "network/received-inet",
        denied(&["receive", "/socks/gives-inet"], sockets, "offline-sockets", ENOBUFS, "network"),
    ),
    row(
        "network/received-packet",
        denied(
            &["receive", "/socks/gives-packet"],
            sockets,
            "tight-sockets",
            ENOBUFS,
            "raw-socket",
        ),
    ),
    row(
        "network/received-vsock",
        denied(&["receive", "/socks/gives-vsock"], sockets, "sockets", ENOBUFS, "socket-family"),
    ),
    row(
        "network/received-device-events",
        denied(&["receive", "/socks/gives-uevents"], sockets, "sockets", ENOBUFS, "socket-family"),
    ),
    row(
        "network/received-inet-baseline",
        Test::Works(super::Works {
            args: &["/probe", "receive", "/socks/gives-inet"],
            give: sockets,
            policy: "sockets",
        }),
    ),
    row("network/offline-loopback", Test::Code(loopback)).core(),
    row("network/offline-loopback-received", Test::Code(loopback_received)),
    row("network/by-policy-and-annotation", Test::Code(beside_the_level)),
];

/// `IPOPT_LSRR` by 127.0.0.1, padded.
const ROUTE: &str = "8307047f00000100";

/// What works with `offline_loopback`.
const WORK: [&[&str]; 14] = [
    &["tcp", "127.0.0.1"],
    &["udp", "127.0.0.1", "127.0.0.1"],
    // SO_REUSEADDR, SO_SNDBUF, SO_RCVTIMEO, IP_TOS, IP_PKTINFO, IP_RECVERR, UDP_GRO
    &["udp-option", "1", "2", "01000000"],
    &["udp-option", "1", "7", "00400000"],
    &["udp-option", "1", "20", "01000000000000000000000000000000"],
    &["udp-option", "0", "1", "10000000"],
    &["udp-option", "0", "8", "01000000"],
    &["udp-option", "0", "11", "01000000"],
    &["udp-option", "17", "104", "01000000"],
    // IP_TTL; IP_PKTINFO as a server answers, by `lo` and from 127.0.0.1
    &["udp-control", "0", "2", "40000000"],
    &["udp-control", "0", "8", "010000007f00000100000000"],
    &["udp-batch", "connected"],
    &["tcp-disconnect"],
    &["family", "2", "2", "17"],
];

/// What does not, and the errno: every address, the one that stands for "this host"; families,
/// types and protocols; options, control messages and calls that lead elsewhere.
const DENIED: [(&[&str], i32); 19] = [
    (&["tcp", "0.0.0.0"], EACCES),
    (&["udp", "127.0.0.1", "0.0.0.0"], EACCES),
    (&["udp", "0.0.0.0", "127.0.0.1"], EACCES),
    (&["tcp-fast-open", "0.0.0.0"], EACCES),
    (&["socket", "inet6"], EAFNOSUPPORT),
    (&["socket", "packet"], EAFNOSUPPORT),
    (&["family", "2", "3", "1"], EACCES),
    (&["family", "2", "1", "262"], EPROTONOSUPPORT),
    // IP_OPTIONS, SO_BINDTODEVICE, SO_BINDTOIFINDEX, IP_UNICAST_IF, IP_MULTICAST_IF,
    // IP_ADD_MEMBERSHIP, SO_DONTROUTE
    (&["udp-option", "0", "4", ROUTE], ENOPROTOOPT),
    (&["udp-option", "1", "25", "6c6f0000"], ENOPROTOOPT),
    (&["udp-option", "1", "62", "01000000"], ENOPROTOOPT),
    (&["udp-option", "0", "50", "00000001"], ENOPROTOOPT),
    (&["udp-option", "0", "32", "7f000001"], ENOPROTOOPT),
    (&["udp-option", "0", "35", "e00000050000000001000000"], ENOPROTOOPT),
    (&["udp-option", "1", "5", "01000000"], ENOPROTOOPT),
    // IP_RETOPTS in a control message: alone, and in the second of two messages, for which the
    // kernel asks no more
    (&["udp-control", "0", "7", ROUTE], EACCES),
    (&["udp-batch", "named", "0", "7", ROUTE], EACCES),
    (&["thread", "udp-control", "0", "7", ROUTE], EACCES),
    (&["udp-disconnect"], EACCES),
];

/// By configuration, containers without network have loopback.
fn loopback(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    for args in WORK.into_iter().chain(DENIED.map(|(args, _)| args)) {
        let plain = launch::attempt(By::Plain(runtime), &Bundle::probe(args))?;
        if !plain.ok {
            bail!("proves nothing: without lockc {args:?} fails too: {plain:?}");
        }
    }
    if lab.plain {
        return Ok("works without lockc".into());
    }
    let denied = |lab: &Lab, args: &[&str], errno: i32| -> Result<()> {
        lab.forget_events()?;
        let under = launch::attempt(By::Lockc("offline"), &Bundle::probe(args))?;
        if under.ok || under.errno != errno {
            bail!("NOT DENIED with errno {errno}: {args:?}: {under:?}");
        }
        lab.expect_event("network").map(|_| ())
    };
    for args in &WORK[..2] {
        denied(lab, args, EAFNOSUPPORT)?;
    }
    config::put(&format!("runtimes = [\"{}\"]\noffline_loopback = true\n", runtime.path()))?;
    for args in WORK {
        let under = launch::attempt(By::Lockc("offline"), &Bundle::probe(args))?;
        if !under.ok {
            bail!("BROKEN: {args:?}: {under:?}; {:?}", lab.events()?);
        }
    }
    for (args, errno) in DENIED {
        denied(lab, args, errno)?;
    }
    Ok(format!("{} work, {} are denied", WORK.len(), DENIED.len()))
}

/// A policy's `network`, and the annotation that gives some of it away, at any level.
fn beside_the_level(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    lab.only_with_lockc()?;
    config::put(&format!(
        "runtimes = [\"{}\"]\n[policies.local]\nextends = \"restricted\"\nnetwork = \
         \"loopback\"\nadmit = [\"capabilities\", \"proc-mount\", \"apparmor\", \"seccomp\"]\n\
         [policies.none]\n\
         extends = \"local\"\nnetwork = \"none\"\n",
        runtime.path()
    ))?;
    let probe = |args: &[&str], network: Option<&str>| {
        let bundle = Bundle::probe(args).user(1000);
        match network {
            Some(network) => bundle.annotation("org.lockc.network", network),
            None => bundle,
        }
    };
    let (loopback, everywhere) = (["tcp", "127.0.0.1"], ["tcp", "0.0.0.0"]);
    for (policy, network, args, errno) in [
        ("local", None, loopback, 0),
        ("local", None, everywhere, EACCES),
        ("none", None, loopback, EAFNOSUPPORT),
        ("local", Some("none"), loopback, EAFNOSUPPORT),
        ("baseline", Some("loopback"), loopback, 0),
        ("baseline", Some("loopback"), everywhere, EACCES),
        ("baseline", Some("none"), loopback, EAFNOSUPPORT),
        ("baseline", Some("full"), everywhere, 0),
        ("offline", Some("none"), loopback, EAFNOSUPPORT),
    ] {
        lab.forget_events()?;
        let under = launch::attempt(By::Lockc(policy), &probe(&args, network))?;
        if under.ok != (errno == 0) || under.errno != errno {
            bail!("{policy} with network {network:?}: {args:?} gives {under:?}");
        }
        if errno != 0 {
            lab.expect_event("network")?;
        }
    }
    for (policy, network, says) in [
        ("offline", "full", "looser than network none"),
        ("local", "full", "looser than network loopback"),
        ("privileged", "none", "denies nothing"),
        ("baseline", "off", "use full, loopback or none"),
    ] {
        let run = launch::run(By::Lockc(policy), &probe(&loopback, Some(network)))?;
        if run.ok() || !run.said().contains(says) {
            bail!("{policy} with network {network}: {}", run.said());
        }
    }
    for (policy, network) in [("baseline", "full"), ("local", "loopback"), ("none", "none")] {
        let bundle = Bundle::new(&["sleep", "1000"]).user(1000);
        let running = Running::start(By::Lockc(policy), &bundle)?;
        let entry = super::podman_select::entry(&running.id)?;
        if entry["network"] != network {
            bail!("lockc status shows another network than {network}: {entry}");
        }
    }
    Ok("9 as asked, 4 refused, 3 shown by lockc status".into())
}

/// With loopback too, no socket of another network namespace is taken.
fn loopback_received(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    lab.only_with_lockc()?;
    config::put(&format!(
        "runtimes = [\"{}\"]\noffline_loopback = true\n[policies.sockets]\nextends = \
         \"offline\"\nadmit = [\"capabilities\", \"proc-mount\", \"apparmor\", \
         \"seccomp\"]\nwithout_rules = [\"unix-socket\"]\n",
        runtime.path()
    ))?;
    let bundle = sockets(Bundle::probe(&["receive", "/socks/gives-inet"]));
    lab.forget_events()?;
    let under = launch::attempt(By::Lockc("sockets"), &bundle)?;
    if under.ok || under.errno != ENOBUFS {
        bail!("NOT DENIED: {under:?}");
    }
    lab.expect_event("network")?;
    let own = launch::attempt(By::Lockc("sockets"), &Bundle::probe(&["pass-own-socket"]))?;
    if !own.ok {
        bail!("BROKEN: its own socket: {own:?}; {:?}", lab.events()?);
    }
    Ok("the host's is denied, its own is not".into())
}
