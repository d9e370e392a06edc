//! What Rust's runtime changes before `main` (library/std/src/sys/pal/unix/mod.rs, `init`): it
//! ignores SIGPIPE, and opens /dev/null for standard streams that are closed. execve(2) keeps
//! both, so the runtime, its hooks and the container would inherit them. The state before that is
//! noted by a constructor, and given back to the program that this process executes.

use std::{
    io,
    sync::atomic::{AtomicBool, AtomicU8, Ordering},
};

static IGNORES_SIGPIPE: AtomicBool = AtomicBool::new(false);
/// Standard streams that were closed, as bits.
static CLOSED: AtomicU8 = AtomicU8::new(0);

/// The C library calls it before `main`, and so before Rust's runtime begins.
#[used]
// SAFETY: the section holds addresses of functions that take nothing they have to look at.
#[unsafe(link_section = ".init_array")]
static CONSTRUCTOR: extern "C" fn() = note;

extern "C" fn note() {
    // SAFETY: sigaction(2) writes a structure that lives until it returns; fcntl(2) has no
    // pointers.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        let asked = libc::sigaction(libc::SIGPIPE, std::ptr::null(), &raw mut action);
        IGNORES_SIGPIPE
            .store(asked == 0 && action.sa_sigaction == libc::SIG_IGN, Ordering::Relaxed);
        for fd in 0..3 {
            if libc::fcntl(fd, libc::F_GETFD) < 0 {
                CLOSED.fetch_or(1 << fd, Ordering::Relaxed);
            }
        }
    }
}

/// Gives the program that is executed next what this process was started with. Until then
/// everything works as before, but that SIGPIPE may end this process.
///
/// # Errors
///
/// Where the kernel refuses; none is known.
pub fn restore() -> io::Result<()> {
    // The linker keeps what is referred to.
    std::hint::black_box(&CONSTRUCTOR);
    if !IGNORES_SIGPIPE.load(Ordering::Relaxed) {
        set_sigpipe(libc::SIG_DFL)?;
    }
    for fd in (0..3).filter(|fd| CLOSED.load(Ordering::Relaxed) & 1 << fd != 0) {
        // SAFETY: no pointers.
        if unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) } < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Ignores SIGPIPE again, where the other program could not be executed.
pub fn ignore_sigpipe() {
    // A failure would change nothing but how this process ends.
    let _ = set_sigpipe(libc::SIG_IGN);
}

fn set_sigpipe(to: libc::sighandler_t) -> io::Result<()> {
    // SAFETY: either disposition runs no code of this process.
    if unsafe { libc::signal(libc::SIGPIPE, to) } == libc::SIG_ERR {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}
