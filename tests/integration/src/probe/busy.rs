//! `lockc-probe busy FILE`: a program that goes on with its work and writes down how that goes:
//! sockets that have been open since the start, new programs, a file.

use std::ffi::CString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, execv, fexecve, fork};

/// Works until it is killed. FILE gets a line of JSON: errno of each kind of work, 0 where it went
/// well.
pub fn run(args: &[&str]) -> io::Result<()> {
    let &[file] = args else { return Err(io::Error::other("usage: busy FILE")) };
    let server = TcpListener::bind("127.0.0.1:0")?;
    let mut tcp = TcpStream::connect(server.local_addr()?)?;
    let (mut accepted, _) = server.accept()?;
    let (mut one, mut other) = UnixStream::pair()?;
    let program = memfd_create(c"program", MFdFlags::empty())?;
    File::from(program.try_clone()?).write_all(&fs::read("/proc/self/exe")?)?;
    for round in 0_u64.. {
        let state = serde_json::json!({
            "round": round,
            "tcp": errno(exchange(&mut tcp, &mut accepted)),
            "unix": errno(exchange(&mut one, &mut other)),
            "socket": errno(TcpListener::bind("127.0.0.1:0")),
            "exec": executed(|| { let _ = execv(c"/probe", &[c"/probe"; 2]); })?,
            "memfd": executed(|| {
                let _ = fexecve(program.as_fd(), &[c"program"; 2], &[] as &[CString]);
            })?,
        });
        fs::write(file, format!("{state}\n"))?;
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

fn exchange(from: &mut impl Write, to: &mut impl io::Read) -> io::Result<()> {
    from.write_all(b"x")?;
    to.read_exact(&mut [0])
}

fn errno<T>(result: io::Result<T>) -> i32 {
    result.err().map_or(0, |error| error.raw_os_error().unwrap_or(-1))
}

/// The errno with which a child could not execute; 0: it did, and the program said that it was
/// called wrongly.
fn executed(execute: impl Fn()) -> io::Result<i32> {
    // SAFETY: the only thread of this process; the child executes or exits.
    match unsafe { fork() }? {
        ForkResult::Child => {
            // What the program would print does not matter.
            // SAFETY: closes descriptors of this child.
            unsafe { libc::close(1) };
            execute();
            let errno = io::Error::last_os_error().raw_os_error().unwrap_or(1);
            // SAFETY: exits.
            unsafe { libc::_exit(100 + errno) }
        }
        ForkResult::Parent { child } => Ok(match waitpid(child, None)? {
            WaitStatus::Exited(_, code) if code >= 100 => code - 100,
            _ => 0,
        }),
    }
}
