//! Attempts at socket families, netlink groups, and at leaving 127.0.0.0/8 by options and control
//! messages.

use std::io::{self, IoSlice, IoSliceMut, Read};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};

use crate::{number, sys, usage};

pub fn attempt(name: &str, args: &[&str]) -> Option<io::Result<String>> {
    Some(match (name, args) {
        ("family", [family, kind, protocol]) => {
            family_socket(family, kind, protocol).map(|_| "socket".into())
        }
        ("uring-socket", [family, kind, protocol]) => uring_socket(family, kind, protocol),
        ("uevents", [way]) => device_events(way),
        ("udp-option", [level, option, value]) => option_set(level, option, value),
        ("udp-control", [level, kind, value]) => control(level, kind, value, false),
        ("uring-control", [level, kind, value]) => control(level, kind, value, true),
        ("udp-batch", ["connected"]) => batch(None),
        ("udp-batch", ["named", level, kind, value]) => {
            Control::new(level, kind, value).and_then(|control| batch(Some(control)))
        }
        ("udp-disconnect", []) => {
            UdpSocket::bind("127.0.0.1:0").and_then(|socket| disconnected(&socket))
        }
        ("tcp-disconnect", []) => TcpListener::bind("127.0.0.1:0")
            .and_then(|server| TcpStream::connect(server.local_addr()?))
            .and_then(|client| disconnected(&client)),
        ("tcp-fast-open", [address]) => fast_open(address),
        ("pass-own-socket", []) => pass_own(),
        _ => return None,
    })
}

fn family_socket(family: &str, kind: &str, protocol: &str) -> io::Result<OwnedFd> {
    sys::open(libc::SYS_socket, &[number(family)?, number(kind)?, number(protocol)?])
}

/// A socket for the kernel's device events; `way` says how it joins their group.
fn device_events(way: &str) -> io::Result<String> {
    const KERNEL: u32 = 1;
    let socket = family_socket("16", "3", "15")?;
    let groups = if way == "bind" { KERNEL } else { 0 };
    let address = [libc::AF_NETLINK as u32, 0, groups];
    let fd = socket.as_raw_fd() as usize;
    sys::call(libc::SYS_bind, &[fd, address.as_ptr() as usize, size_of_val(&address)])?;
    if way == "join" {
        set(
            fd,
            libc::SOL_NETLINK as usize,
            libc::NETLINK_ADD_MEMBERSHIP as usize,
            &KERNEL.to_ne_bytes(),
        )?;
    }
    Ok("bound".into())
}

fn set(fd: usize, level: usize, option: usize, value: &[u8]) -> io::Result<usize> {
    sys::call(libc::SYS_setsockopt, &[fd, level, option, value.as_ptr() as usize, value.len()])
}

fn bytes(hex: &str) -> io::Result<Vec<u8>> {
    let digits: Vec<char> = hex.chars().collect();
    let byte = |pair: &[char]| {
        u8::from_str_radix(&pair.iter().collect::<String>(), 16).map_err(|_| usage(hex))
    };
    digits.chunks(2).map(byte).collect()
}

fn option_set(level: &str, option: &str, value: &str) -> io::Result<String> {
    let socket = family_socket("2", "2", "0")?;
    set(socket.as_raw_fd() as usize, number(level)?, number(option)?, &bytes(value)?)
        .map(|_| "set".into())
}

/// A control message in the kernel's layout.
struct Control(Vec<u64>);

impl Control {
    fn new(level: &str, kind: &str, value: &str) -> io::Result<Self> {
        let value = bytes(value)?;
        let mut buffer = (16 + value.len() as u64).to_ne_bytes().to_vec();
        buffer.extend((number(level)? as u32).to_ne_bytes());
        buffer.extend((number(kind)? as u32).to_ne_bytes());
        buffer.extend(value);
        buffer.resize(buffer.len().next_multiple_of(8), 0);
        let word = |word: &[u8]| word.try_into().map(u64::from_ne_bytes).unwrap_or_default();
        Ok(Self(buffer.chunks(8).map(word).collect()))
    }
}

/// `struct sockaddr_in` of 127.0.0.1 with the discard port.
fn loopback() -> [u8; 16] {
    let mut address = [0; 16];
    address[..2].copy_from_slice(&(libc::AF_INET as u16).to_ne_bytes());
    address[2..8].copy_from_slice(&[0, 9, 127, 0, 0, 1]);
    address
}

/// `struct msghdr` with an address and a control message; what it points at outlives it.
fn message(address: &[u8], part: &[u64; 2], control: &[u64]) -> [u64; 7] {
    let at = |slice: &[u64]| if slice.is_empty() { 0 } else { slice.as_ptr() as u64 };
    let name = if address.is_empty() { 0 } else { address.as_ptr() as u64 };
    [
        name,
        address.len() as u64,
        part.as_ptr() as u64,
        1,
        at(control),
        size_of_val(control) as u64,
        0,
    ]
}

fn control(level: &str, kind: &str, value: &str, uring: bool) -> io::Result<String> {
    let control = Control::new(level, kind, value)?;
    let (socket, address) = (family_socket("2", "2", "0")?, loopback());
    let part = [b"x".as_ptr() as u64, 1];
    let message = message(&address, &part, &control.0);
    let fd = socket.as_raw_fd() as usize;
    if uring {
        const SENDMSG: u64 = 9;
        return ring([SENDMSG | (fd as u64) << 32, 0, message.as_ptr() as u64, 1, 0, 0, 0, 0])
            .map(|_| "sent".into());
    }
    sys::call(libc::SYS_sendmsg, &[fd, message.as_ptr() as usize, 0]).map(|_| "sent".into())
}

/// Two messages by one call: to the same address, the second one with a control message; or both to
/// where the socket is connected.
fn batch(control: Option<Control>) -> io::Result<String> {
    let (socket, address) = (family_socket("2", "2", "0")?, loopback());
    let fd = socket.as_raw_fd() as usize;
    let part = [b"x".as_ptr() as u64, 1];
    let (name, control): (&[u8], Vec<u64>) = match control {
        Some(control) => (&address, control.0),
        None => {
            sys::call(libc::SYS_connect, &[fd, address.as_ptr() as usize, address.len()])?;
            (&[], Vec::new())
        }
    };
    let mut messages = Vec::new();
    for control in [&[][..], &control] {
        messages.extend(message(name, &part, control));
        messages.push(0);
    }
    match sys::call(libc::SYS_sendmmsg, &[fd, messages.as_ptr() as usize, 2, 0])? {
        2 => Ok("both".into()),
        // What stopped the second one.
        _ => sys::call(libc::SYS_sendmsg, &[fd, messages[8..].as_ptr() as usize, 0])
            .map(|_| "one".into()),
    }
}

/// `connect(2)` with `AF_UNSPEC`, which takes a connection back.
fn disconnected(socket: &impl AsRawFd) -> io::Result<String> {
    let address = [0u8; 16];
    sys::call(
        libc::SYS_connect,
        &[socket.as_raw_fd() as usize, address.as_ptr() as usize, address.len()],
    )
    .map(|_| "disconnected".into())
}

/// A connection by `sendto(2)`.
fn fast_open(address: &str) -> io::Result<String> {
    let server = TcpListener::bind("127.0.0.1:0")?;
    let mut peer = loopback();
    peer[2..4].copy_from_slice(&server.local_addr()?.port().to_be_bytes());
    let host: std::net::Ipv4Addr = address.parse().map_err(|_| usage(address))?;
    peer[4..8].copy_from_slice(&host.octets());
    let client = family_socket("2", "1", "0")?;
    let (fd, flags) = (client.as_raw_fd() as usize, libc::MSG_FASTOPEN as usize);
    sys::call(
        libc::SYS_sendto,
        &[fd, b"said".as_ptr() as usize, 4, flags, peer.as_ptr() as usize, peer.len()],
    )?;
    drop(client);
    let mut heard = String::new();
    server.accept()?.0.read_to_string(&mut heard)?;
    Ok(heard)
}

/// An unused socket of IPv4 over a pair of unix sockets, as servers hand theirs to workers.
fn pass_own() -> io::Result<String> {
    let (here, there) = std::os::unix::net::UnixDatagram::pair()?;
    let socket = family_socket("2", "1", "0")?;
    let fds = [socket.as_raw_fd()];
    sendmsg::<()>(
        here.as_raw_fd(),
        &[IoSlice::new(b"x")],
        &[ControlMessage::ScmRights(&fds)],
        MsgFlags::empty(),
        None,
    )?;
    let (mut byte, mut space) = ([0; 1], nix::cmsg_space!([i32; 1]));
    let mut parts = [IoSliceMut::new(&mut byte)];
    let got = recvmsg::<()>(there.as_raw_fd(), &mut parts, Some(&mut space), MsgFlags::empty())?;
    let passed = got
        .cmsgs()?
        .any(|message| matches!(message, ControlMessageOwned::ScmRights(fds) if !fds.is_empty()));
    if passed { Ok("passed".into()) } else { Err(io::Error::from_raw_os_error(libc::ENOBUFS)) }
}

fn uring_socket(family: &str, kind: &str, protocol: &str) -> io::Result<String> {
    const SOCKET: u64 = 45;
    let entry = [
        SOCKET | (number(family)? as u64) << 32,
        number(kind)? as u64,
        0,
        number(protocol)? as u64,
        0,
        0,
        0,
        0,
    ];
    ring(entry).map(|fd| format!("descriptor {fd}"))
}

/// Has one submission queue entry done by an io_uring of its own; its result.
fn ring(entry: [u64; 8]) -> io::Result<u32> {
    const OFFSETS: usize = 10;
    const ENTRIES_AT: usize = 0x1000_0000;
    const GETEVENTS: usize = 1;
    let mut params = [0u32; 30];
    let ring = sys::open(libc::SYS_io_uring_setup, &[1, params.as_mut_ptr() as usize])?;
    let fd = ring.as_raw_fd() as usize;
    let map = |at: usize| {
        let protection = (libc::PROT_READ | libc::PROT_WRITE) as usize;
        sys::call(libc::SYS_mmap, &[0, 4096, protection, libc::MAP_SHARED as usize, fd, at])
    };
    // Both queues are in one mapping since Linux 5.4; the offsets of `struct io_sqring_offsets` and
    // `io_cqring_offsets`.
    let (queues, entries) = (map(0)?, map(ENTRIES_AT)?);
    let (tail, array, completions) =
        (params[OFFSETS + 1], params[OFFSETS + 6], params[OFFSETS + 10 + 5]);
    let at = |offset: u32| (queues + offset as usize) as *mut u32;
    // SAFETY: the kernel has just mapped both pages and said where their parts are.
    unsafe {
        (entries as *mut [u64; 8]).write_volatile(entry);
        at(array).write_volatile(0);
        at(tail).write_volatile(1);
    }
    sys::call(libc::SYS_io_uring_enter, &[fd, 1, 1, GETEVENTS, 0, 0])?;
    // SAFETY: as above; the call has waited for the completion, whose result is its third word.
    let result = unsafe { at(completions).add(2).read_volatile() }.cast_signed();
    u32::try_from(result).map_err(|_| io::Error::from_raw_os_error(-result))
}
