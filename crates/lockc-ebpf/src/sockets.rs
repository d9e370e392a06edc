//! Sockets: a peer is known by the container that created its socket, never by a path or an
//! abstract name.
//!
//! | hook | what for |
//! |---|---|
//! | socket_create | families, by `families` |
//! | socket_connect, socket_bind, socket_listen, socket_accept, socket_sendmsg, socket_recvmsg, socket_setsockopt | sockets of those families that were inherited, under `offline`; what leaves 127.0.0.0/8, by `loopback` |
//! | socket_bind, socket_setsockopt | the groups of the host's device events |
//! | socket_post_create | a unix socket carries its container's key |
//! | unix_stream_connect | stream and seqpacket sockets of the host |
//! | unix_may_send | datagram sockets of the host |
//! | inode_rename | the names of sockets in directories that `allowed_sockets` names |

use core::ffi::c_void;

use aya_ebpf::{helpers::generated::bpf_probe_read_kernel_str, macros::lsm, programs::LsmContext};
use lockc_core::{
    abi::{
        GRANT_SOCKET, GRANT_SOCKETS, Hook, SOCKET_NAME_LEN, SOCKET_NAMES, SocketName,
        SocketNameKey, TAG_SOCKETS,
    },
    families::{AF_INET, AF_UNIX, event_number},
    rules::Rule,
};

use crate::{
    families,
    files::{self, S_IFMT, S_IFSOCK},
    kernel::{self, Obj, follow, load},
    label,
    loopback::{Use, has_loopback, option_stays, stays_inside},
    maps::SOCKET_NAMES as SOCKETS,
    tags,
    verdict::{self, About, EACCES, ENOMEM, Subject},
};

/// include/linux/net.h
const SOCK_TYPE_MASK: u32 = 0xf;
/// include/uapi/linux/netlink.h
const SOL_NETLINK: i32 = 270;
const NETLINK_ADD_MEMBERSHIP: i32 = 1;
const ENOPROTOOPT: i32 = 92;

/// `int socket_create(int family, int type, int protocol, int kern)`
#[lsm(hook = "socket_create")]
pub fn socket_create(ctx: LsmContext) -> i32 {
    let earlier: i32 = ctx.arg(4);
    if earlier != 0 {
        return earlier;
    }
    let family: u32 = ctx.arg(0);
    let kern: i32 = ctx.arg(3);
    if family == AF_UNIX || kern != 0 {
        return 0;
    }
    let Some(who) = verdict::confined() else {
        return 0;
    };
    let (kind, protocol): (u32, u32) = (ctx.arg(1), ctx.arg(2));
    match families::refused(&who, family, kind & SOCK_TYPE_MASK, protocol) {
        Some((rule, errno)) => verdict::deny(
            &who,
            rule,
            Hook::SocketCreate,
            About::number(event_number(family, protocol)),
            errno,
        ),
        None => 0,
    }
}

/// Checks the use of a socket, however the task came by it.
#[inline(always)]
fn check_use(sock: Obj, what: Use, earlier: i32, hook: Hook) -> i32 {
    if earlier != 0 {
        return earlier;
    }
    match verdict::subject_to(Rule::Network) {
        Some(who) => check_network(&who, follow(sock, &kernel::SOCKET_SK), &what, hook),
        None => 0,
    }
}

/// Checks the use of a socket by a task of a container under the rule `network`.
#[inline(always)]
fn check_network(who: &Subject, sk: Obj, what: &Use, hook: Hook) -> i32 {
    let family: u16 = if sk.is_null() { 0 } else { kernel::load(sk, &kernel::SOCK_FAMILY) };
    let family = u32::from(family);
    if family == AF_UNIX || families::is_named(who, family) {
        return 0;
    }
    if has_loopback(who) && !sk.is_null() && stays_inside(sk.addr(), what) == Ok(true) {
        return 0;
    }
    verdict::deny(who, Rule::Network, hook, About::number(family.into()), EACCES)
}

/// `int socket_connect(struct socket *sock, struct sockaddr *address, int addrlen)`
#[lsm(hook = "socket_connect")]
pub fn socket_connect(ctx: LsmContext) -> i32 {
    check_use(
        Obj(ctx.arg::<*const u8>(0)),
        Use::Connect(ctx.arg(1)),
        ctx.arg(3),
        Hook::SocketConnect,
    )
}

/// `int socket_bind(struct socket *sock, struct sockaddr *address, int addrlen)`
#[lsm(hook = "socket_bind")]
pub fn socket_bind(ctx: LsmContext) -> i32 {
    let earlier: i32 = ctx.arg(3);
    if earlier != 0 {
        return earlier;
    }
    let Some(who) = verdict::confined() else {
        return 0;
    };
    let (sk, address) =
        (follow(Obj(ctx.arg::<*const u8>(0)), &kernel::SOCKET_SK), ctx.arg::<u64>(1));
    if !sk.is_null() {
        let verdict =
            families::check_events(&who, sk, Hook::SocketBind, || families::names_groups(address));
        if verdict != 0 {
            return verdict;
        }
    }
    if who.has(Rule::Network) {
        check_network(&who, sk, &Use::Bind(address), Hook::SocketBind)
    } else {
        0
    }
}

/// `int socket_listen(struct socket *sock, int backlog)`
#[lsm(hook = "socket_listen")]
pub fn socket_listen(ctx: LsmContext) -> i32 {
    check_use(Obj(ctx.arg::<*const u8>(0)), Use::Own, ctx.arg(2), Hook::SocketListen)
}

/// `int socket_accept(struct socket *sock, struct socket *newsock)`
#[lsm(hook = "socket_accept")]
pub fn socket_accept(ctx: LsmContext) -> i32 {
    check_use(Obj(ctx.arg::<*const u8>(0)), Use::Own, ctx.arg(2), Hook::SocketAccept)
}

/// `int socket_sendmsg(struct socket *sock, struct msghdr *msg, int size)`
#[lsm(hook = "socket_sendmsg")]
pub fn socket_sendmsg(ctx: LsmContext) -> i32 {
    let message = Obj(ctx.arg::<*const u8>(1));
    check_use(Obj(ctx.arg::<*const u8>(0)), Use::Send(message), ctx.arg(3), Hook::SocketSendmsg)
}

/// `int socket_recvmsg(struct socket *sock, struct msghdr *msg, int size, int flags)`
#[lsm(hook = "socket_recvmsg")]
pub fn socket_recvmsg(ctx: LsmContext) -> i32 {
    check_use(Obj(ctx.arg::<*const u8>(0)), Use::Both, ctx.arg(4), Hook::SocketRecvmsg)
}

/// `int socket_setsockopt(struct socket *sock, int level, int optname)`
#[lsm(hook = "socket_setsockopt")]
pub fn socket_setsockopt(ctx: LsmContext) -> i32 {
    let earlier: i32 = ctx.arg(3);
    if earlier != 0 {
        return earlier;
    }
    let Some(who) = verdict::confined() else {
        return 0;
    };
    let sk = follow(Obj(ctx.arg::<*const u8>(0)), &kernel::SOCKET_SK);
    if sk.is_null() {
        return 0;
    }
    let (level, option): (i32, i32) = (ctx.arg(1), ctx.arg(2));
    let joins = || level == SOL_NETLINK && option == NETLINK_ADD_MEMBERSHIP;
    let verdict = families::check_events(&who, sk, Hook::SocketSetsockopt, joins);
    if verdict != 0 || !who.has(Rule::Network) {
        return verdict;
    }
    let family = u32::from(kernel::load::<u16>(sk, &kernel::SOCK_FAMILY));
    if family == AF_UNIX || families::is_named(&who, family) {
        return 0;
    }
    // "No such option" is an answer that programs expect.
    let errno = if family == AF_INET && has_loopback(&who) { ENOPROTOOPT } else { EACCES };
    if errno == ENOPROTOOPT && option_stays(level, option) {
        return 0;
    }
    let about = About::number(u64::from(level as u32) << 32 | u64::from(option as u32));
    verdict::deny(&who, Rule::Network, Hook::SocketSetsockopt, about, errno)
}

/// `int socket_post_create(struct socket *sock, int family, int type, int protocol, int kern)`
#[lsm(hook = "socket_post_create")]
pub fn socket_post_create(ctx: LsmContext) -> i32 {
    let earlier: i32 = ctx.arg(5);
    if earlier != 0 {
        return earlier;
    }
    let family: u32 = ctx.arg(1);
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
    // A socket without its mark would be taken for the host's, and the container's own peers could
    // not reach it.
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
    check(Obj(ctx.arg::<*const u8>(1)), Hook::UnixStreamConnect)
}

/// `int unix_may_send(struct socket *sock, struct socket *other)`
#[lsm(hook = "unix_may_send")]
pub fn unix_may_send(ctx: LsmContext) -> i32 {
    let earlier: i32 = ctx.arg(2);
    if earlier != 0 {
        return earlier;
    }
    check(follow(Obj(ctx.arg::<*const u8>(1)), &kernel::SOCKET_SK), Hook::UnixMaySend)
}

#[inline(always)]
fn check(other: Obj, hook: Hook) -> i32 {
    let Some(who) = verdict::subject_to(Rule::UnixSocket) else {
        return 0;
    };
    if other.is_null() {
        verdict::error(hook);
        return verdict::deny(&who, Rule::UnixSocket, hook, About::NOTHING, EACCES);
    }
    if !label::of_sock(other).is_null() {
        // Another container's, which this one can only reach through something that both were
        // granted.
        return 0;
    }
    let dentry = kernel::read::<u64>(other.addr(), &kernel::UNIX_SOCK_DENTRY).unwrap_or(0);
    if dentry != 0 && named(&who, dentry) {
        return 0;
    }
    verdict::deny(&who, Rule::UnixSocket, hook, About::dentry(dentry), EACCES)
}

/// Whether the policy names the socket of the host that is bound to this dentry: the socket itself,
/// or its name in the directory that it is in. The dentry is the one that the server made: another
/// mount, hard link or symbolic link that leads to the socket does not change it.
#[inline(always)]
fn named(who: &Subject, dentry: u64) -> bool {
    let tag_of =
        |dentry: u64| kernel::read::<u64>(dentry, &kernel::DENTRY_INODE).map_or(0, tags::tag_at);
    let tag = tag_of(dentry);
    if tag != 0 && files::kind_of(who, tag) & GRANT_SOCKET != 0 {
        return true;
    }
    let directory = tag_of(kernel::read::<u64>(dentry, &kernel::DENTRY_PARENT).unwrap_or(0));
    directory != 0
        && files::kind_of(who, directory) & GRANT_SOCKETS != 0
        && is_called(who, directory, dentry)
}

/// Whether a dentry is called as the container is granted sockets in a directory. A function of its
/// own, for its stack.
#[inline(never)]
fn is_called(who: &Subject, directory: u64, dentry: u64) -> bool {
    let Ok(at) = kernel::read::<u64>(dentry, &kernel::DENTRY_NAME) else {
        return false;
    };
    let mut text = [0u64; SOCKET_NAME_LEN / 8];
    let Some(length) = text_at(&mut text, at) else {
        return false;
    };
    let mut key = SocketNameKey { key: who.key, directory, index: 0, pad: 0 };
    for index in 0..SOCKET_NAMES {
        key.index = index;
        let Some(name) = SOCKETS.get_ptr(&key) else {
            return false;
        };
        // SAFETY: a live cell of the map.
        let name = unsafe { &*name };
        // One branch for each name: the verifier would follow every combination of more.
        let mut differs = length.wrapping_sub(u64::from(name.least)) >> 63;
        for (word, (head, mask)) in text.iter().zip(name.head.iter().zip(&name.mask)) {
            differs |= (word & mask) ^ head;
        }
        if differs | differs_at_end(at.wrapping_add(length), name) == 0 {
            return true;
        }
    }
    false
}

/// 0 where the text that ends at an address has the end of a name.
#[inline(never)]
fn differs_at_end(end: u64, name: &SocketName) -> u64 {
    let mut text = [0u64; SOCKET_NAME_LEN / 8];
    let mut differs =
        u64::from(text_at(&mut text, end.wrapping_sub(u64::from(name.tail_len))).is_none());
    for (word, tail) in text.iter().zip(&name.tail) {
        differs |= word ^ tail;
    }
    differs
}

/// Reads a text of the kernel's into zeros, and returns its length; `None`: it does not fit, so
/// that it is no socket's name.
#[inline(always)]
fn text_at(into: &mut [u64; SOCKET_NAME_LEN / 8], at: u64) -> Option<u64> {
    // SAFETY: the helper checks the address, and writes no more than the length that it is told.
    let read = unsafe {
        bpf_probe_read_kernel_str(
            into.as_mut_ptr().cast(),
            SOCKET_NAME_LEN as u32,
            at as *const c_void,
        )
    };
    // With the zero at the end.
    if read > 0 && read < SOCKET_NAME_LEN as i64 { Some(read as u64 - 1) } else { None }
}

/// `int inode_rename(struct inode *old_dir, struct dentry *old_dentry, struct inode *new_dir,
/// struct dentry *new_dentry)`: called twice for an exchange, and for what an overlayfs of the
/// container's own does in its upper directory. Under which name a socket may be connected to is
/// for whoever serves it to say.
#[lsm(hook = "inode_rename")]
pub fn inode_rename(ctx: LsmContext) -> i32 {
    let earlier: i32 = ctx.arg(4);
    if earlier != 0 {
        return earlier;
    }
    let Some(who) = verdict::subject_to(Rule::UnixSocket) else {
        return 0;
    };
    let dentry = Obj(ctx.arg::<*const u8>(1));
    let inode = tags::inode(dentry);
    if inode.is_null() || load::<u16>(inode, &kernel::INODE_MODE) & S_IFMT != S_IFSOCK {
        return 0;
    }
    // SAFETY: null or a live cell of the map.
    match unsafe { tags::at(ctx.arg(2)).as_ref() } {
        Some(directory) if directory.flags & TAG_SOCKETS != 0 => verdict::deny(
            &who,
            Rule::UnixSocket,
            Hook::InodeRename,
            About::dentry(dentry.addr()),
            EACCES,
        ),
        _ => 0,
    }
}

/// `TCP_LISTEN`, include/net/tcp_states.h: unix sockets use the same numbers.
const LISTENS: u8 = 10;

/// The rule by which a socket that was left open at the container's first exec is denied; `socket`
/// is the address of its `struct socket`. It was handed over on purpose unless the container could
/// not have such a socket by itself, or it is connected to a named socket of the host's, to which
/// the container could not connect.
#[inline(always)]
pub fn left_open(who: &Subject, socket: u64) -> Result<Option<Rule>, i32> {
    let sk: u64 = kernel::read(socket, &kernel::SOCKET_SK)?;
    if u32::from(kernel::read::<u16>(sk, &kernel::SOCK_FAMILY)?) != AF_UNIX {
        return families::left_open(who, socket);
    }
    if kernel::read::<u8>(sk, &kernel::SOCK_STATE)? == LISTENS {
        return Ok(None);
    }
    let peer: u64 = kernel::read(sk, &kernel::UNIX_SOCK_PEER)?;
    let named = peer != 0 && kernel::read::<u64>(peer, &kernel::UNIX_SOCK_ADDRESS)? != 0;
    Ok(if named { Some(Rule::UnixSocket) } else { None })
}

/// As [`left_open`], of a standard stream, which may be any socket of the unix family.
#[inline(always)]
pub fn standard_stream(who: &Subject, socket: u64) -> Result<Option<Rule>, i32> {
    let sk: u64 = kernel::read(socket, &kernel::SOCKET_SK)?;
    if u32::from(kernel::read::<u16>(sk, &kernel::SOCK_FAMILY)?) == AF_UNIX {
        return Ok(None);
    }
    families::left_open(who, socket)
}
