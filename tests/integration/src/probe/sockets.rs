//! Attempts at sockets: unix ones by path and abstract name, of every type, and other families.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{
    AddressFamily, Backlog, MsgFlags, SockFlag, SockType, UnixAddr, accept, bind, connect, listen,
    send, sendto, socket, socketpair,
};

use crate::usage;

pub fn attempt(name: &str, args: &[&str]) -> Option<io::Result<String>> {
    Some(match (name, args) {
        ("connect", [kind, address]) => connected(kind, address),
        ("sendto", [address]) => sent(address, b"x"),
        ("notify", [address]) => sent(address, b"READY=1\n"),
        ("self-connect", [kind, address]) => serve(kind, address)
            .and_then(|server| connected(kind, address).inspect(|_| drop(server))),
        ("socketpair", []) => {
            socketpair(AddressFamily::Unix, SockType::Stream, None, SockFlag::empty())
                .map(|_| "pair".into())
                .map_err(io::Error::from)
        }
        ("serve", [kind, address]) => serve_always(kind, address),
        ("docker-ps", [path]) => docker_ps(path),
        ("inherited", []) => inherited(),
        ("socket", [family]) => family_socket(family),
        ("tcp", [address]) => tcp(address),
        ("udp", [own, peer]) => udp(own, peer),
        _ => return None,
    })
}

/// A byte by the connected socket that the engine left open as descriptor 3.
fn inherited() -> io::Result<String> {
    Ok(format!("{} byte", send(3, b"x", MsgFlags::MSG_NOSIGNAL)?))
}

fn kind_of(kind: &str) -> io::Result<SockType> {
    match kind {
        "stream" => Ok(SockType::Stream),
        "dgram" => Ok(SockType::Datagram),
        "seqpacket" => Ok(SockType::SeqPacket),
        _ => Err(usage(kind)),
    }
}

/// `@NAME` is an abstract address.
fn address_of(address: &str) -> io::Result<UnixAddr> {
    Ok(match address.strip_prefix('@') {
        Some(name) => UnixAddr::new_abstract(name.as_bytes())?,
        None => UnixAddr::new(address)?,
    })
}

fn unix(kind: &str) -> io::Result<OwnedFd> {
    Ok(socket(AddressFamily::Unix, kind_of(kind)?, SockFlag::SOCK_CLOEXEC, None)?)
}

fn connected(kind: &str, address: &str) -> io::Result<String> {
    let socket = unix(kind)?;
    connect(socket.as_raw_fd(), &address_of(address)?)?;
    if kind == "dgram" {
        send(socket.as_raw_fd(), b"x", MsgFlags::MSG_NOSIGNAL)?;
    }
    Ok("connected".into())
}

fn sent(address: &str, what: &[u8]) -> io::Result<String> {
    let socket = unix("dgram")?;
    sendto(socket.as_raw_fd(), what, &address_of(address)?, MsgFlags::MSG_NOSIGNAL)?;
    Ok("sent".into())
}

fn serve(kind: &str, address: &str) -> io::Result<OwnedFd> {
    let socket = unix(kind)?;
    let _ = std::fs::remove_file(address);
    bind(socket.as_raw_fd(), &address_of(address)?)?;
    if kind != "dgram" {
        listen(&socket, Backlog::new(4)?)?;
    }
    Ok(socket)
}

/// For other processes to connect to, as often as they like.
fn serve_always(kind: &str, address: &str) -> io::Result<String> {
    let server = serve(kind, address)?;
    loop {
        if kind == "dgram" {
            let mut byte = [0; 8];
            nix::sys::socket::recv(server.as_raw_fd(), &mut byte, MsgFlags::empty())?;
        } else {
            nix::unistd::close(accept(server.as_raw_fd())?)?;
        }
    }
}

/// A server on `address` and its client.
fn tcp(address: &str) -> io::Result<String> {
    use std::io::{Read, Write};
    let server = std::net::TcpListener::bind((address, 0))?;
    let mut client = std::net::TcpStream::connect(("127.0.0.1", server.local_addr()?.port()))?;
    client.write_all(b"said")?;
    drop(client);
    let mut heard = String::new();
    server.accept()?.0.read_to_string(&mut heard)?;
    Ok(heard)
}

/// Two sockets bound to `own`; one hears the other, which sends to `peer`.
fn udp(own: &str, peer: &str) -> io::Result<String> {
    let (one, other) = (std::net::UdpSocket::bind((own, 0))?, std::net::UdpSocket::bind((own, 0))?);
    one.send_to(b"said", (peer, other.local_addr()?.port()))?;
    let mut heard = [0; 8];
    let length = other.recv(&mut heard)?;
    Ok(String::from_utf8_lossy(&heard[..length]).into_owned())
}

fn family_socket(family: &str) -> io::Result<String> {
    let (family, kind, protocol) = match family {
        "inet" => (libc::AF_INET, libc::SOCK_STREAM, 0),
        "inet6" => (libc::AF_INET6, libc::SOCK_DGRAM, 0),
        "netlink" => (libc::AF_NETLINK, libc::SOCK_RAW, 0),
        "packet" => (libc::AF_PACKET, libc::SOCK_RAW, 0),
        "vsock" => (libc::AF_VSOCK, libc::SOCK_STREAM, 0),
        "unix" => (libc::AF_UNIX, libc::SOCK_STREAM, 0),
        _ => return Err(usage(family)),
    };
    crate::sys::open(libc::SYS_socket, &[family as usize, kind as usize, protocol])
        .map(|_| "socket".into())
}

/// What `docker ps` asks the engine, as any program in the container could.
fn docker_ps(path: &str) -> io::Result<String> {
    use std::io::{Read, Write};
    let mut stream = std::os::unix::net::UnixStream::connect(path)?;
    stream.write_all(b"GET /containers/json HTTP/1.0\r\nHost: docker\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let running = answer.matches("\"Names\"").count();
    if answer.contains(" 200 ") {
        Ok(format!("{running} containers of the host's"))
    } else {
        Err(io::Error::other(answer))
    }
}
