//! Sockets: a peer is identified by the container that created its socket, never by a path or an
//! abstract name. `families` decides which sockets there are, `loopback` what a container without
//! network may do with those of IPv4.

use lockc_core::{
    abi::{
        GRANT_SOCKET, GRANT_SOCKETS, SOCKET_NAME_LEN, SOCKET_NAMES, SocketName, SocketNameKey,
        TAG_SOCKETS,
    },
    families::{AF_INET, AF_UNIX, event_number},
    fields::{Dentry, Inode, Msghdr, Sock, SockaddrIn, Socket, UnixSock},
    pointers::{ProbePtr, Ptr},
    rules::Rule,
};

use crate::{
    families, granted,
    hook::{Check, lsm},
    kernel, label,
    linux::{S_IFMT, S_IFSOCK},
    loopback::{SocketUse, has_loopback, option_stays, stays_inside},
    maps::SOCKET_NAMES as SOCKETS,
    tags,
    verdict::{self, About, EACCES, ENOMEM, Subject},
};

/// include/linux/net.h
const SOCK_TYPE_MASK: u32 = 0xf;
/// include/uapi/linux/netlink.h
const SOL_NETLINK: i32 = 270;
const NETLINK_ADD_MEMBERSHIP: i32 = 1;
const ENOPROTOOPT: i32 = -92;

/// Checks the use of a socket by a task of a container under the rule `network`, however the task
/// came by the socket.
#[inline(always)]
fn check_network(check: &Check, sk: Ptr<Sock>, what: &SocketUse) -> i32 {
    let family = u32::from(if sk.is_null() { 0 } else { sk.family() });
    if (family == AF_UNIX || families::is_named(check.who, family)) && !check.who.is_quarantined() {
        return 0;
    }
    if has_loopback(check.who) && !sk.is_null() && stays_inside(sk.probe(), what) == Ok(true) {
        return 0;
    }
    check.deny(About::number(family.into()), EACCES)
}

lsm! {
    /// socket(2) and socketpair(2).
    fn socket_create(family: u32, kind: u32, protocol: u32, kern: i32) -> verdict {
        if family == AF_UNIX || kern != 0 {
            return 0;
        }
        let Some(who) = verdict::confined() else {
            return 0;
        };
        let about = About::number(event_number(family, protocol));
        match families::refused(&who, family, kind & SOCK_TYPE_MASK, protocol) {
            Some((rule, errno)) => verdict::deny(&who, rule, HOOK, about, errno),
            None => 0,
        }
    }

    /// connect(2).
    fn socket_connect(
        sock: Ptr<Socket>, address: ProbePtr<SockaddrIn>, _addrlen
    ) -> rule Network |check| {
        check_network(&check, sock.sk(), &SocketUse::Connect(address))
    }

    /// bind(2).
    fn socket_bind(
        sock: Ptr<Socket>, address: ProbePtr<SockaddrIn>, _addrlen
    ) -> confined |who| {
        let sk = sock.sk();
        if !sk.is_null() {
            let joins = || families::names_groups(address);
            let verdict = families::check_events(&who, sk, HOOK, joins);
            if verdict != 0 {
                return verdict;
            }
        }
        if !who.has(Rule::Network) {
            return 0;
        }
        let check = Check { who: &who, rule: Rule::Network, hook: HOOK };
        check_network(&check, sk, &SocketUse::Bind(address))
    }

    /// listen(2).
    fn socket_listen(sock: Ptr<Socket>, _backlog) -> rule Network |check| {
        check_network(&check, sock.sk(), &SocketUse::Own)
    }

    /// accept(2).
    fn socket_accept(sock: Ptr<Socket>, _newsock) -> rule Network |check| {
        check_network(&check, sock.sk(), &SocketUse::Own)
    }

    /// send(2) and similar calls.
    fn socket_sendmsg(sock: Ptr<Socket>, message: Ptr<Msghdr>, _size) -> rule Network |check| {
        check_network(&check, sock.sk(), &SocketUse::Send(message))
    }

    /// recv(2) and similar calls.
    fn socket_recvmsg(sock: Ptr<Socket>, _message, _size, _flags) -> rule Network |check| {
        check_network(&check, sock.sk(), &SocketUse::Both)
    }

    /// setsockopt(2).
    fn socket_setsockopt(sock: Ptr<Socket>, level: i32, option: i32) -> confined |who| {
        let sk = sock.sk();
        if sk.is_null() {
            return 0;
        }
        let joins = || level == SOL_NETLINK && option == NETLINK_ADD_MEMBERSHIP;
        let verdict = families::check_events(&who, sk, HOOK, joins);
        if verdict != 0 || !who.has(Rule::Network) {
            return verdict;
        }
        let family = u32::from(sk.family());
        if family == AF_UNIX || families::is_named(&who, family) {
            return 0;
        }
        // "No such option" is an answer that programs expect.
        let errno = if family == AF_INET && has_loopback(&who) { ENOPROTOOPT } else { EACCES };
        if errno == ENOPROTOOPT && option_stays(level, option) {
            return 0;
        }
        let about = About::number(u64::from(level as u32) << 32 | u64::from(option as u32));
        verdict::deny(&who, Rule::Network, HOOK, about, errno)
    }

    /// A new socket: one of the unix family carries its container.
    fn socket_post_create(sock: Ptr<Socket>, family: u32, _type, _protocol, _kern) -> verdict {
        if family != AF_UNIX {
            return 0;
        }
        // Sockets of the runtime are the container's too: it listens for the container's
        // notifications. SAFETY: null or a live cell of the storage.
        let Some(label) = (unsafe { label::for_task(label::current()).as_ref() }) else {
            return 0;
        };
        let key = label.key;
        let sk = sock.sk();
        // A socket without its mark would be taken for the host's, and the container's own peers
        // could not reach it.
        if sk.is_null() || label::mark_sock(sk, key).is_err() {
            verdict::error(HOOK);
            return -ENOMEM;
        }
        0
    }

    /// connect(2) of a stream or seqpacket socket of the unix family.
    fn unix_stream_connect(_sock, other: Ptr<Sock>, _newsk) -> rule UnixSocket |check| {
        check_peer(&check, other)
    }

    /// A datagram, or connect(2) of a datagram socket of the unix family.
    fn unix_may_send(_sock, other: Ptr<Socket>) -> rule UnixSocket |check| {
        check_peer(&check, other.sk())
    }

    /// rename(2) of a socket's name: called twice for an exchange, and for what an overlayfs of the
    /// container's own does in its upper directory. Whoever serves a socket decides under which
    /// name it may be connected to.
    fn inode_rename(
        _old_dir, old_dentry: Ptr<Dentry>, new_dir: ProbePtr<Inode>, _new_dentry
    ) -> rule UnixSocket |check| {
        let inode = old_dentry.inode();
        if inode.is_null() || inode.mode() & S_IFMT != S_IFSOCK {
            return 0;
        }
        // SAFETY: null or a live cell of the map.
        match unsafe { tags::get(new_dir).as_ref() } {
            Some(directory) if directory.flags & TAG_SOCKETS != 0 => {
                check.deny(About::dentry(old_dentry.probe()), EACCES)
            }
            _ => 0,
        }
    }
}

/// Checks a peer of the unix family.
#[inline(always)]
fn check_peer(check: &Check, other: Ptr<Sock>) -> i32 {
    if other.is_null() {
        check.error();
        return check.deny(About::NOTHING, EACCES);
    }
    if !label::for_sock(other).is_null() {
        // Another container's, which this one can only reach through something that both were
        // granted.
        return 0;
    }
    let dentry = other.probe().downcast::<UnixSock>().dentry().unwrap_or(ProbePtr::NULL);
    if !dentry.is_null() && is_named(check.who, dentry) {
        return 0;
    }
    check.deny(About::dentry(dentry), EACCES)
}

/// Whether the policy names the socket of the host that is bound to this dentry: the socket itself,
/// or its name in the directory that it is in. The dentry is the one that the server made: another
/// mount, hard link or symbolic link that leads to the socket does not change it.
#[inline(always)]
fn is_named(who: &Subject, dentry: ProbePtr<Dentry>) -> bool {
    let tag_of = |dentry: ProbePtr<Dentry>| dentry.inode().map_or(0, tags::tag);
    let tag = tag_of(dentry);
    if tag != 0 && granted::grant_kind(who, tag) & GRANT_SOCKET != 0 {
        return true;
    }
    let directory = tag_of(dentry.parent().unwrap_or(ProbePtr::NULL));
    directory != 0
        && granted::grant_kind(who, directory) & GRANT_SOCKETS != 0
        && is_called(who, directory, dentry)
}

/// Whether a dentry is called as the container is granted sockets in a directory. A function of its
/// own, for its stack.
#[inline(never)]
fn is_called(who: &Subject, directory: u64, dentry: ProbePtr<Dentry>) -> bool {
    let Ok(at) = dentry.name() else {
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
        if differs | differs_at_end(at.byte_add(length), name) == 0 {
            return true;
        }
    }
    false
}

/// 0 where the text that ends at an address has the end of a name.
#[inline(never)]
fn differs_at_end(end: ProbePtr<u8>, name: &SocketName) -> u64 {
    let mut text = [0u64; SOCKET_NAME_LEN / 8];
    let mut differs =
        u64::from(text_at(&mut text, end.byte_sub(u64::from(name.tail_len))).is_none());
    for (word, tail) in text.iter().zip(&name.tail) {
        differs |= word ^ tail;
    }
    differs
}

/// Reads a text of the kernel's into zeros, and returns its length; `None`: it does not fit, so
/// that it is no socket's name.
#[inline(always)]
fn text_at(into: &mut [u64; SOCKET_NAME_LEN / 8], at: ProbePtr<u8>) -> Option<u64> {
    let read = kernel::read_text(into, at);
    // With the zero at the end.
    if read > 0 && read < SOCKET_NAME_LEN as i64 { Some(read as u64 - 1) } else { None }
}

/// `TCP_LISTEN`, include/net/tcp_states.h: unix sockets use the same numbers.
const LISTENS: u8 = 10;

/// The rule by which a socket that was left open at the container's first exec is denied. It
/// was handed over on purpose unless the container could
/// not have such a socket by itself, or it is connected to a named socket of the host, to which
/// the container could not connect.
#[inline(always)]
pub fn left_open(who: &Subject, socket: ProbePtr<Socket>) -> Result<Option<Rule>, i32> {
    let sk = socket.sk()?;
    if u32::from(sk.family()?) != AF_UNIX {
        return families::left_open(who, socket);
    }
    if sk.state()? == LISTENS {
        return Ok(None);
    }
    let peer = sk.downcast::<UnixSock>().peer()?;
    let named = !peer.is_null() && !peer.downcast::<UnixSock>().address()?.is_null();
    Ok(if named { Some(Rule::UnixSocket) } else { None })
}

/// As [`left_open`], of a standard stream, which may be any socket of the unix family.
#[inline(always)]
pub fn standard_stream(who: &Subject, socket: ProbePtr<Socket>) -> Result<Option<Rule>, i32> {
    if u32::from(socket.sk()?.family()?) == AF_UNIX {
        return Ok(None);
    }
    families::left_open(who, socket)
}
