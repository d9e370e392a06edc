//! Loopback for containers without network: with `network = "loopback"`, an IPv4 socket may reach
//! 127.0.0.0/8 and nothing else.
//!
//! The address alone does not decide where a packet goes. A socket may be bound to a device, carry
//! a source route, or name a device in a control message: what is known not to change the
//! destination is allowed, the rest is denied.

use lockc_core::{
    abi::ENTRY_LOOPBACK,
    families::AF_INET,
    fields::{InetSock, Msghdr, Sock, SockaddrIn},
    pointers::{Plain, ProbePtr, Ptr},
};

use crate::{label, linux::SOCK_STREAM, verdict::Subject};

const AF_UNSPEC: u32 = 0;
/// include/net/net_namespace.h: `lo` has this index in every network namespace.
const LOOPBACK_IFINDEX: i32 = 1;
/// include/linux/socket.h: more messages of a sendmmsg(2) follow.
const MSG_BATCH: u32 = 0x4_0000;

/// What a call does with a socket.
pub enum SocketUse {
    /// Connects to an address in kernel memory.
    Connect(ProbePtr<SockaddrIn>),
    /// Binds to an address in kernel memory.
    Bind(ProbePtr<SockaddrIn>),
    /// Sends a message.
    Send(Ptr<Msghdr>),
    /// Relies on the address that the socket is bound to.
    Own,
    /// Relies on either of its addresses.
    Both,
    /// Makes it one of the task's descriptors.
    Received,
}

#[inline(always)]
pub fn has_loopback(who: &Subject) -> bool {
    who.entry.is_some_and(|entry| entry.flags & ENTRY_LOOPBACK != 0)
}

/// 127.0.0.0/8, in network order.
#[inline(always)]
fn is_loopback(address: u32) -> bool {
    address.to_ne_bytes()[0] == 127
}

/// Whether all that a use of a socket would reach is loopback. Sockets of IPv4 only.
#[inline(always)]
pub fn stays_inside(sk: ProbePtr<Sock>, what: &SocketUse) -> Result<bool, i32> {
    if u32::from(sk.family()?) != AF_INET || !is_plain(sk)? {
        return Ok(false);
    }
    let own = sk.own_address()?;
    let peer = sk.peer_address()?;
    let both = is_loopback(own) || is_loopback(peer);
    match *what {
        SocketUse::Own => Ok(is_loopback(own)),
        SocketUse::Both => Ok(both),
        SocketUse::Received => {
            Ok((own == 0 || is_loopback(own)) && (peer == 0 || is_loopback(peer)))
        }
        SocketUse::Bind(address) => names_loopback(address),
        SocketUse::Connect(address) => {
            if u32::from(address.family()?) != AF_UNSPEC {
                return names_loopback(address);
            }
            // Takes the connection back. A datagram socket would hear everybody then, by a call
            // that waits already.
            Ok(u32::from(sk.kind()?) == SOCK_STREAM)
        }
        SocketUse::Send(message) => {
            let name = message.name();
            // The kernel does not ask again for the next message of a sendmmsg(2) if it has the
            // same address, whatever its control messages are (net/socket.c,
            // `____sys_sendmsg`).
            if !name.is_null() && message.flags() & MSG_BATCH != 0 {
                return Ok(false);
            }
            let there = if name.is_null() { both } else { names_loopback(name)? };
            Ok(there && controls_stay(message)?)
        }
    }
}

/// Whether a socket is of the task's own network namespace, and nothing but addresses decides where
/// it sends: another task may have made it, and set its options before.
#[inline(always)]
fn is_plain(sk: ProbePtr<Sock>) -> Result<bool, i32> {
    let net = label::current().nsproxy().net_ns().probe();
    let device = sk.bound_dev()?;
    let inet = sk.downcast::<InetSock>();
    Ok(sk.net()? == net
        && matches!(device, 0 | LOOPBACK_IFINDEX)
        && inet.options()?.is_null()
        && inet.unicast_if()? == 0)
}

/// Whether an address is one of loopback. sendto(2) takes `AF_UNSPEC` for IPv4.
#[inline(always)]
fn names_loopback(address: ProbePtr<SockaddrIn>) -> Result<bool, i32> {
    let family = u32::from(address.family()?);
    Ok(matches!(family, AF_INET | AF_UNSPEC) && is_loopback(address.address()?))
}

/// include/linux/socket.h
const SOL_IP: i32 = 0;
const SOL_SOCKET: i32 = 1;
const SOL_TCP: i32 = 6;
const SOL_UDP: i32 = 17;
/// include/uapi/linux/in.h
const IP_PKTINFO: i32 = 8;

/// `struct cmsghdr`
#[derive(Clone, Copy)]
#[repr(C)]
struct ControlHeader {
    length: u64,
    level: i32,
    kind: i32,
}

/// `struct in_pktinfo`, include/uapi/linux/in.h
#[derive(Clone, Copy)]
#[repr(C)]
struct PacketInfo {
    device: i32,
    source: u32,
    address: u32,
}

// SAFETY: integers, without padding.
unsafe impl Plain for ControlHeader {}
// SAFETY: as above.
unsafe impl Plain for PacketInfo {}

/// Control messages of one message that are looked at; more are denied.
const MAX_CONTROLS: usize = 6;

/// Whether control messages leave a packet where its address sends it. They are in kernel memory by
/// now (net/socket.c, `____sys_sendmsg`), for io_uring too.
#[inline(always)]
fn controls_stay(message: Ptr<Msghdr>) -> Result<bool, i32> {
    const HEADER: u64 = size_of::<ControlHeader>() as u64;
    let length = message.control_len();
    if length < HEADER {
        return Ok(true);
    }
    let start = message.control();
    let mut at = 0u64;
    for _ in 0..MAX_CONTROLS {
        let position = start.byte_add(at);
        let header = ProbePtr::<ControlHeader>::new(position.addr()).read()?;
        let stays = match (header.level, header.kind) {
            // SO_PRIORITY, SO_TIMESTAMPING_OLD, SCM_TXTIME, SO_TIMESTAMPING_NEW
            (SOL_SOCKET, 12 | 37 | 61 | 65) => true,
            // IP_TOS, IP_TTL
            (SOL_IP, 1 | 2) => true,
            // UDP_SEGMENT
            (SOL_UDP, 103) => true,
            // How a server answers from the address at which it was asked.
            (SOL_IP, IP_PKTINFO) => {
                let data = position.byte_add(HEADER);
                let info = ProbePtr::<PacketInfo>::new(data.addr()).read()?;
                matches!(info.device, 0 | LOOPBACK_IFINDEX)
                    && (info.source == 0 || is_loopback(info.source))
            }
            _ => false,
        };
        if !stays || header.length < HEADER || header.length > length {
            return Ok(false);
        }
        at += (header.length + 7) & !7;
        if at + HEADER > length {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A set of numbers below 64, from `from` on.
const fn set(from: u32, numbers: &[u32]) -> u64 {
    let mut bits = 0;
    let mut index = 0;
    while index < numbers.len() {
        bits |= 1 << (numbers[index] - from);
        index += 1;
    }
    bits
}

/// include/uapi/asm-generic/socket.h: addresses, buffers, time-outs, filters, time stamps. Not
/// `SO_BINDTODEVICE` (25), `SO_MARK` (36), `SO_BINDTOIFINDEX` (62), `SO_DONTROUTE` (5), `SO_DEBUG`
/// (1).
const SOCKET: [u64; 2] = [
    set(
        0,
        &[
            2, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 18, 19, 20, 21, 26, 27, 29, 32, 33, 34, 35,
            37, 40, 42, 44, 45, 46, 47, 49, 50, 51, 52, 53, 60, 61, 63,
        ],
    ),
    set(64, &[64, 65, 66, 67, 68, 69, 70, 72, 73, 74, 76]),
];
/// include/uapi/linux/in.h: type of service and time to live, what is told at receiving, path MTU,
/// `IP_FREEBIND`, `IP_BIND_ADDRESS_NO_PORT`, `IP_MULTICAST_{TTL,LOOP}`, `IP_LOCAL_PORT_RANGE`. Not
/// `IP_OPTIONS` (4), `IP_TRANSPARENT` (19), `IP_{IPSEC,XFRM}_POLICY`, memberships of groups (the
/// kernel announces those), `IP_{UNICAST,MULTICAST}_IF`.
const IP: u64 =
    set(0, &[1, 2, 6, 7, 8, 10, 11, 12, 13, 15, 18, 20, 21, 23, 24, 25, 26, 33, 34, 51]);
/// include/uapi/linux/tcp.h: all but `TCP_REPAIR*` (19 to 22, 29), `TCP_MD5SIG*` (14, 32),
/// `TCP_ULP` (31), `TCP_AO_*` (38 on).
const TCP: u64 = set(
    0,
    &[
        1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 13, 16, 17, 18, 23, 24, 25, 27, 30, 33, 34, 35, 36, 37,
        44, 45, 46,
    ],
);
/// include/uapi/linux/udp.h: `UDP_CORK`, `UDP_SEGMENT`, `UDP_GRO`. Not `UDP_ENCAP`.
const UDP: [i32; 3] = [1, 103, 104];

/// Whether a socket option leaves packets where their addresses send them.
#[inline(always)]
pub fn option_stays(level: i32, option: i32) -> bool {
    let has = |bits: u64| (0..64).contains(&option) && bits >> (option as u32 & 63) & 1 != 0;
    match level {
        SOL_SOCKET if option >= 64 => option < 128 && SOCKET[1] >> (option as u32 & 63) & 1 != 0,
        SOL_SOCKET => has(SOCKET[0]),
        SOL_IP => has(IP),
        SOL_TCP => has(TCP),
        SOL_UDP => UDP.contains(&option),
        _ => false,
    }
}
