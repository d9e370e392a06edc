//! Which sockets a confined task may create or receive: families, protocols of netlink, raw
//! sockets.
//!
//! socket_create checks new sockets. file_receive checks those that come over a unix socket, by
//! pidfd_getfd or from a seccomp agent. socket_bind and socket_setsockopt check the groups of the
//! host's device events.
//!
//! To the caller, a denied family does not exist: PAM and libaudit treat
//! EAFNOSUPPORT and EPROTONOSUPPORT as a kernel without audit, and every other errno as a failure
//! of `su` and `useradd`.

use lockc_core::{
    abi::Hook,
    families::{
        self, AF_INET, AF_NETLINK, AF_PACKET, AF_UNIX, Access, NETLINK_KOBJECT_UEVENT, UEVENT_BIT,
        event_number,
    },
    fields::{File, Sock, SockaddrIn, Socket},
    pointers::{ProbePtr, Ptr},
    rules::Rule,
};

use crate::{
    linux::{S_IFMT, S_IFSOCK, SOCK_DGRAM, SOCK_RAW, SOCK_STREAM},
    loopback::{self, SocketUse, has_loopback},
    verdict::{self, About, EACCES, Subject},
};

const EPROTONOSUPPORT: i32 = -93;
const EAFNOSUPPORT: i32 = -97;

/// Socket families and netlink protocols that the container's policy names.
#[inline(always)]
fn named(who: &Subject) -> u64 {
    who.entry.map_or(0, |entry| entry.families)
}

/// Whether the policy opens a family that the `network` rule would deny otherwise.
#[inline(always)]
pub fn is_named(who: &Subject, family: u32) -> bool {
    let access = families::family(family);
    access != Access::Open && access.allows(named(who))
}

/// The rule that denies such a socket, and the errno.
#[inline(always)]
pub fn refused(who: &Subject, family: u32, kind: u32, protocol: u32) -> Option<(Rule, i32)> {
    if who.has(Rule::SocketFamily) && !families::family(family).allows(named(who)) {
        return Some((Rule::SocketFamily, EAFNOSUPPORT));
    }
    if who.has(Rule::Network) && !is_named(who, family) {
        if family != AF_INET || !has_loopback(who) {
            return Some((Rule::Network, EAFNOSUPPORT));
        }
        if !matches!(kind, SOCK_STREAM | SOCK_DGRAM) {
            return Some((Rule::Network, EACCES));
        }
        // ICMP, TCP, UDP. Others have several addresses a socket (SCTP, MPTCP) or carry whole
        // frames (L2TP).
        if !matches!(protocol, 0 | 1 | 6 | 17) {
            return Some((Rule::Network, EPROTONOSUPPORT));
        }
    }
    // Netlink sockets are raw or not as the caller likes.
    let raw = family == AF_PACKET || (kind == SOCK_RAW && family != AF_NETLINK);
    if raw && who.has(Rule::RawSocket) {
        return Some((Rule::RawSocket, EACCES));
    }
    if family == AF_NETLINK
        && who.has(Rule::SocketFamily)
        && !families::netlink(protocol).allows(named(who))
    {
        return Some((Rule::SocketFamily, EPROTONOSUPPORT));
    }
    None
}

/// Whether device events of the host are out of the container's reach. The kernel sends them to
/// every network namespace that belongs to the initial user namespace (lib/kobject_uevent.c,
/// `uevent_net_broadcast_untagged`).
#[inline(always)]
fn hides_events(who: &Subject, family: u32, protocol: u32) -> bool {
    family == AF_NETLINK
        && protocol == NETLINK_KOBJECT_UEVENT
        && who.has(Rule::SocketFamily)
        && named(who) >> UEVENT_BIT & 1 == 0
}

/// Denies joining the groups of device events; `sk` is a socket, `joins` says whether the call
/// joins any. The socket itself passes: libudev in a container binds one without groups (systemd,
/// `sd_device_monitor_new_full`).
#[inline(always)]
pub fn check_events(who: &Subject, sk: Ptr<Sock>, hook: Hook, joins: impl FnOnce() -> bool) -> i32 {
    let (family, protocol) = (sk.family(), sk.protocol());
    if !hides_events(who, family.into(), protocol.into()) || !joins() {
        return 0;
    }
    let number = event_number(AF_NETLINK, NETLINK_KOBJECT_UEVENT);
    verdict::deny(who, Rule::SocketFamily, hook, About::number(number), verdict::EPERM)
}

/// Whether a netlink address names groups: `struct sockaddr_nl`, include/uapi/linux/netlink.h.
#[inline(always)]
pub fn names_groups(address: ProbePtr<SockaddrIn>) -> bool {
    const GROUPS: u64 = 8;
    ProbePtr::<u32>::new(address.addr()).byte_add(GROUPS).read() != Ok(0)
}

/// Checks a descriptor that the task is about to receive, if it is a socket.
#[inline(always)]
pub fn check_received(who: &Subject, file: Ptr<File>) -> i32 {
    let inode = file.inode();
    if inode.is_null() || inode.mode() & S_IFMT != S_IFSOCK {
        return 0;
    }
    let socket = file.socket();
    // A socket's name in a file system, opened with O_PATH.
    if socket.is_null() {
        return 0;
    }
    let deny = |rule, number, errno| {
        verdict::deny(who, rule, Hook::file_receive, About::number(number), errno)
    };
    let Ok((sk, family, kind, protocol)) = parts(socket) else {
        verdict::error(Hook::file_receive);
        return deny(Rule::SocketFamily, 0, EACCES);
    };
    if family == AF_UNIX {
        return 0;
    }
    let number = event_number(family, protocol);
    if let Some((rule, errno)) = refused(who, family, kind, protocol) {
        return deny(rule, number, errno);
    }
    if hides_events(who, family, protocol) {
        return deny(Rule::SocketFamily, number, EACCES);
    }
    // Only loopback is left of IPv4 here, and splice(2) calls no hook before Linux 6.5.
    let inside = || loopback::stays_inside(sk, &SocketUse::Received) == Ok(true);
    if family == AF_INET && who.has(Rule::Network) && !inside() {
        return deny(Rule::Network, number, EACCES);
    }
    0
}

/// The rule by which a socket that was left open at the container's first exec is denied; unix
/// sockets are not for this function.
#[inline(always)]
pub fn left_open(who: &Subject, socket: ProbePtr<Socket>) -> Result<Option<Rule>, i32> {
    let (sk, family, kind, protocol) = parts(socket)?;
    if let Some((rule, _)) = refused(who, family, kind, protocol) {
        return Ok(Some(rule));
    }
    if hides_events(who, family, protocol) {
        return Ok(Some(Rule::SocketFamily));
    }
    let outside = family == AF_INET
        && who.has(Rule::Network)
        && !loopback::stays_inside(sk, &SocketUse::Received)?;
    Ok(if outside { Some(Rule::Network) } else { None })
}

/// The `struct sock` of a socket, with its family, type and protocol.
#[inline(always)]
fn parts(socket: ProbePtr<Socket>) -> Result<(ProbePtr<Sock>, u32, u32, u32), i32> {
    let sk = socket.sk()?;
    Ok((sk, sk.family()?.into(), sk.kind()?.into(), sk.protocol()?.into()))
}
