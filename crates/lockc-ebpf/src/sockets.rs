//! Sockets: a peer is known by the container that created its socket, never by a path or an abstract name.
//!
//! | hook | what for |
//! |---|---|
//! | socket_create | families other than unix, under `offline`; raw and packet sockets, under `restricted` |
//! | socket_connect, socket_bind, socket_listen, socket_accept, socket_sendmsg, socket_recvmsg | sockets of those families that were inherited or passed in, under `offline` |
//! | socket_post_create | a unix socket carries its container's key |
//! | unix_stream_connect | stream and seqpacket sockets of the host |
//! | unix_may_send | datagram sockets of the host |

use aya_ebpf::{macros::lsm, programs::LsmContext};
use lockc_core::{
    abi::{ENTRY_LOOPBACK, GRANT_SOCKET, Hook},
    rules::Rule,
};

use crate::{
    files,
    kernel::{self, Obj, follow},
    label, tags,
    verdict::{self, About, EACCES, ENOMEM, Judged},
};

/// include/linux/socket.h
const AF_UNSPEC: i32 = 0;
const AF_UNIX: i32 = 1;
const AF_INET: i32 = 2;
const AF_NETLINK: i32 = 16;
const AF_PACKET: i32 = 17;
/// include/linux/net.h
const SOCK_TYPE_MASK: i32 = 0xf;
const SOCK_STREAM: i32 = 1;
const SOCK_DGRAM: i32 = 2;
const SOCK_RAW: i32 = 3;

/// `int socket_create(int family, int type, int protocol, int kern)`
#[lsm(hook = "socket_create")]
pub fn socket_create(ctx: LsmContext) -> i32 {
    let earlier: i32 = ctx.arg(4);
    if earlier != 0 {
        return earlier;
    }
    let family: i32 = ctx.arg(0);
    let kern: i32 = ctx.arg(3);
    if family == AF_UNIX || kern != 0 {
        return 0;
    }
    let Some(who) = verdict::confined() else {
        return 0;
    };
    let kind: i32 = ctx.arg(1);
    // Netlink sockets are raw or not as the caller likes.
    let raw = family == AF_PACKET || (kind & SOCK_TYPE_MASK == SOCK_RAW && family != AF_NETLINK);
    let ordinary = matches!(kind & SOCK_TYPE_MASK, SOCK_STREAM | SOCK_DGRAM);
    let rule = if who.has(Rule::Network) && !(family == AF_INET && ordinary && has_loopback(&who)) {
        Rule::Network
    } else if raw && who.has(Rule::RawSocket) {
        Rule::RawSocket
    } else {
        return 0;
    };
    verdict::deny(&who, rule, Hook::SocketCreate, About::number(family as u64), EACCES)
}

/// What a call does with a socket whose family its container may not use, for those that may use loopback.
enum Use {
    /// Names an address, in kernel memory; 0: none.
    Address(u64),
    /// Relies on the address that the socket is bound to.
    Own,
    /// Relies on either of its addresses.
    Both,
}

/// 127.0.0.0/8, in network order.
#[inline(always)]
fn is_loopback(address: u32) -> bool {
    address.to_ne_bytes()[0] == 127
}

/// Whether all that a call would reach is loopback. Sockets of IPv4 only.
#[inline(always)]
fn stays_inside(sk: Obj, what: &Use) -> Result<bool, i32> {
    if i32::from(kernel::load::<u16>(sk, &kernel::SOCK_FAMILY)) != AF_INET {
        return Ok(false);
    }
    let own = is_loopback(kernel::load(sk, &kernel::SOCK_OWN_ADDRESS));
    let peer = is_loopback(kernel::load(sk, &kernel::SOCK_PEER_ADDRESS));
    match *what {
        Use::Own => Ok(own),
        Use::Both | Use::Address(0) => Ok(own || peer),
        Use::Address(address) => {
            let family: u16 = kernel::read(address, &kernel::SOCKADDR_FAMILY)?;
            // AF_UNSPEC takes a connection back; bind(2) takes it for AF_INET.
            Ok(match i32::from(family) {
                AF_INET | AF_UNSPEC => is_loopback(kernel::read(address, &kernel::SOCKADDR_ADDRESS)?),
                _ => false,
            })
        }
    }
}

/// Judges the use of a socket, however the task came by it.
#[inline(always)]
fn judge_use(sock: Obj, what: Use, earlier: i32, hook: Hook) -> i32 {
    if earlier != 0 {
        return earlier;
    }
    let Some(who) = verdict::judged(Rule::Network) else {
        return 0;
    };
    let sk = follow(sock, &kernel::SOCKET_SK);
    let family: u16 = if sk.is_null() { 0 } else { kernel::load(sk, &kernel::SOCK_FAMILY) };
    if i32::from(family) == AF_UNIX {
        return 0;
    }
    if has_loopback(&who) && !sk.is_null() && stays_inside(sk, &what) == Ok(true) {
        return 0;
    }
    verdict::deny(&who, Rule::Network, hook, About::number(u64::from(family)), EACCES)
}

#[inline(always)]
fn has_loopback(who: &Judged) -> bool {
    who.entry.is_some_and(|entry| entry.flags & ENTRY_LOOPBACK != 0)
}

/// `int socket_connect(struct socket *sock, struct sockaddr *address, int addrlen)`
#[lsm(hook = "socket_connect")]
pub fn socket_connect(ctx: LsmContext) -> i32 {
    judge_use(Obj(ctx.arg::<*const u8>(0)), Use::Address(ctx.arg(1)), ctx.arg(3), Hook::SocketConnect)
}

/// `int socket_bind(struct socket *sock, struct sockaddr *address, int addrlen)`
#[lsm(hook = "socket_bind")]
pub fn socket_bind(ctx: LsmContext) -> i32 {
    judge_use(Obj(ctx.arg::<*const u8>(0)), Use::Address(ctx.arg(1)), ctx.arg(3), Hook::SocketBind)
}

/// `int socket_listen(struct socket *sock, int backlog)`
#[lsm(hook = "socket_listen")]
pub fn socket_listen(ctx: LsmContext) -> i32 {
    judge_use(Obj(ctx.arg::<*const u8>(0)), Use::Own, ctx.arg(2), Hook::SocketListen)
}

/// `int socket_accept(struct socket *sock, struct socket *newsock)`
#[lsm(hook = "socket_accept")]
pub fn socket_accept(ctx: LsmContext) -> i32 {
    judge_use(Obj(ctx.arg::<*const u8>(0)), Use::Own, ctx.arg(2), Hook::SocketAccept)
}

/// `int socket_sendmsg(struct socket *sock, struct msghdr *msg, int size)`
#[lsm(hook = "socket_sendmsg")]
pub fn socket_sendmsg(ctx: LsmContext) -> i32 {
    let name = follow(Obj(ctx.arg::<*const u8>(1)), &kernel::MSG_NAME).addr();
    judge_use(Obj(ctx.arg::<*const u8>(0)), Use::Address(name), ctx.arg(3), Hook::SocketSendmsg)
}

/// `int socket_recvmsg(struct socket *sock, struct msghdr *msg, int size, int flags)`
#[lsm(hook = "socket_recvmsg")]
pub fn socket_recvmsg(ctx: LsmContext) -> i32 {
    judge_use(Obj(ctx.arg::<*const u8>(0)), Use::Both, ctx.arg(4), Hook::SocketRecvmsg)
}

/// `int socket_post_create(struct socket *sock, int family, int type, int protocol, int kern)`
#[lsm(hook = "socket_post_create")]
pub fn socket_post_create(ctx: LsmContext) -> i32 {
    let earlier: i32 = ctx.arg(5);
    if earlier != 0 {
        return earlier;
    }
    let family: i32 = ctx.arg(1);
    if family != AF_UNIX {
        return 0;
    }
    // Sockets of the runtime are the container's too: it listens for the container's notifications.
    // SAFETY: null or a live cell of the storage.
    let Some(label) = (unsafe { label::of(label::current()).as_ref() }) else {
        return 0;
    };
    let key = label.key;
    let sk = follow(Obj(ctx.arg::<*const u8>(0)), &kernel::SOCKET_SK);
    // A socket without its mark would be taken for the host's, and the container's own peers could not reach it.
    if sk.is_null() || label::mark_sock(sk, key).is_err() {
        verdict::error(Hook::SocketPostCreate);
        return -ENOMEM;
    }
    0
}

/// `int unix_stream_connect(struct sock *sock, struct sock *other, struct sock *newsk)`
#[lsm(hook = "unix_stream_connect")]
pub fn unix_stream_connect(ctx: LsmContext) -> i32 {
    let earlier: i32 = ctx.arg(3);
    if earlier != 0 {
        return earlier;
    }
    judge(Obj(ctx.arg::<*const u8>(1)), Hook::UnixStreamConnect)
}

/// `int unix_may_send(struct socket *sock, struct socket *other)`
#[lsm(hook = "unix_may_send")]
pub fn unix_may_send(ctx: LsmContext) -> i32 {
    let earlier: i32 = ctx.arg(2);
    if earlier != 0 {
        return earlier;
    }
    judge(follow(Obj(ctx.arg::<*const u8>(1)), &kernel::SOCKET_SK), Hook::UnixMaySend)
}

#[inline(always)]
fn judge(other: Obj, hook: Hook) -> i32 {
    let Some(who) = verdict::judged(Rule::UnixSocket) else {
        return 0;
    };
    if other.is_null() {
        verdict::error(hook);
        return verdict::deny(&who, Rule::UnixSocket, hook, About::NOTHING, EACCES);
    }
    if !label::of_sock(other).is_null() {
        // Another container's, which this one can only reach through something that both were given.
        return 0;
    }
    let dentry = kernel::read::<u64>(other.addr(), &kernel::UNIX_SOCK_DENTRY).unwrap_or(0);
    if dentry != 0 && named(&who, dentry) {
        return 0;
    }
    verdict::deny(&who, Rule::UnixSocket, hook, About::dentry(dentry), EACCES)
}

/// Whether the policy names the socket of the host that is bound to this dentry.
#[inline(always)]
fn named(who: &Judged, dentry: u64) -> bool {
    let tag = kernel::read::<u64>(dentry, &kernel::DENTRY_INODE).map_or(0, tags::tag_at);
    tag != 0 && files::kind_of(who, tag) & GRANT_SOCKET != 0
}

/// `TCP_LISTEN`, include/net/tcp_states.h: unix sockets use the same numbers.
const LISTENS: u8 = 10;

/// The rule by which a socket that was left open at the container's first exec is denied; `socket` is the address of its
/// `struct socket`. It was handed over on purpose unless the network is forbidden, or it is connected to a named socket of
/// the host's, to which the container could not connect by itself.
#[inline(always)]
pub fn left_open(who: &Judged, socket: u64) -> Result<Option<Rule>, i32> {
    let sk: u64 = kernel::read(socket, &kernel::SOCKET_SK)?;
    let family = i32::from(kernel::read::<u16>(sk, &kernel::SOCK_FAMILY)?);
    if family != AF_UNIX {
        let loopback = family == AF_INET
            && has_loopback(who)
            && (is_loopback(kernel::read(sk, &kernel::SOCK_OWN_ADDRESS)?)
                || is_loopback(kernel::read(sk, &kernel::SOCK_PEER_ADDRESS)?));
        return Ok(if loopback { None } else { Some(Rule::Network) });
    }
    if kernel::read::<u8>(sk, &kernel::SOCK_STATE)? == LISTENS {
        return Ok(None);
    }
    let peer: u64 = kernel::read(sk, &kernel::UNIX_SOCK_PEER)?;
    let named = peer != 0 && kernel::read::<u64>(peer, &kernel::UNIX_SOCK_ADDRESS)? != 0;
    Ok(if named { Some(Rule::UnixSocket) } else { None })
}
