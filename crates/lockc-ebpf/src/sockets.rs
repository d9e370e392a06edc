//! Sockets: a peer is known by the container that created its socket, never by a path or an abstract name.
//!
//! | hook | what for |
//! |---|---|
//! | socket_create | families other than unix, under `offline` |
//! | socket_post_create | a unix socket carries its container's key |
//! | unix_stream_connect | stream and seqpacket sockets of the host |
//! | unix_may_send | datagram sockets of the host |

use aya_ebpf::{macros::lsm, programs::LsmContext};
use lockc_core::{
    abi::{FileId, GIVEN_SOCKET, GivenKey, Hook},
    rules::Rule,
};

use crate::{
    kernel::{self, Obj, follow},
    label,
    maps::GIVEN,
    verdict::{self, About, EACCES, ENOMEM, Judged},
};

/// include/linux/socket.h
const AF_UNIX: i32 = 1;

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
    match verdict::judged(Rule::Network) {
        Some(who) => verdict::deny(&who, Rule::Network, Hook::SocketCreate, About::number(family as u64), EACCES),
        None => 0,
    }
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
    let Ok(id) = identity(dentry) else {
        return false;
    };
    let key = GivenKey { key: who.key, id };
    // SAFETY: the value is copied at once.
    matches!(unsafe { GIVEN.get(key) }, Some(kind) if *kind == GIVEN_SOCKET)
}

#[inline(always)]
fn identity(dentry: u64) -> Result<FileId, i32> {
    let inode: u64 = kernel::read(dentry, &kernel::DENTRY_INODE)?;
    let sb: u64 = kernel::read(dentry, &kernel::DENTRY_SB)?;
    Ok(FileId { ino: kernel::read(inode, &kernel::INODE_INO)?, dev: kernel::read(sb, &kernel::SB_DEV)?, pad: 0 })
}
