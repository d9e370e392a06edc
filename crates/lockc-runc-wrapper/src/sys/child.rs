//! A program that runs as a child, as if this process had executed it: standard streams, signals
//! and the way in which it ends are the child's.
//!
//! What reaches this process reaches the child: signals are passed on, but for those of a terminal,
//! which go to both; SIGKILL ends the child too (`PR_SET_PDEATHSIG`, set by [`fork`](super::fork)).

use std::{
    ffi::{CStr, CString},
    io, mem, ptr,
};

use nix::{
    errno::Errno,
    sys::{
        prctl,
        signal::{SigHandler, SigSet, SigmaskHow, Signal, raise, signal, sigprocmask},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};

use super::{fork, startup};

/// How the program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// By itself, with a status.
    Status(i32),
    /// By a signal.
    Signal(Signal),
}

impl Ended {
    /// Whether it says that it did what it was asked for.
    pub fn ok(self) -> bool {
        self == Self::Status(0)
    }

    /// Ends this process in the same way.
    pub fn repeat(self) -> ! {
        let code = match self {
            Self::Status(status) => status,
            Self::Signal(number) => {
                // The child has left the core dump that there is to leave.
                let _ = prctl::set_dumpable(false);
                // SAFETY: the default disposition runs no code of this process.
                let _ = unsafe { signal(number, SigHandler::SigDfl) };
                let _ = SigSet::from(number).thread_unblock();
                let _ = raise(number);
                128 + number as i32
            }
        };
        std::process::exit(code)
    }
}

/// Executes a program in a child and waits for its end.
///
/// # Errors
///
/// Where no child can be made; *in the child*, where the program cannot be executed: then this
/// returns there, and the caller should tell why and end.
pub fn run(program: &CStr, args: &[CString]) -> io::Result<Ended> {
    let mut before = SigSet::empty();
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), Some(&mut before))?;
    // Where SIGCHLD is ignored, nobody learns how the child ended.
    // SAFETY: the default disposition runs no code of this process.
    let disposition = unsafe { signal(Signal::SIGCHLD, SigHandler::SigDfl) };
    let ended = match (disposition, fork()) {
        (Ok(disposition), Ok(None)) => return Err(execute(program, args, disposition, &before)),
        (Ok(_), Ok(Some(child))) => wait(child),
        (Err(errno), _) => Err(errno.into()),
        (_, Err(error)) => Err(error),
    };
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&before), None)?;
    ended
}

fn execute(program: &CStr, args: &[CString], disposition: SigHandler, mask: &SigSet) -> io::Error {
    let run = || {
        // SAFETY: the disposition that the process had; it had no handler of its own.
        unsafe { signal(Signal::SIGCHLD, disposition) }?;
        startup::restore()?;
        sigprocmask(SigmaskHow::SIG_SETMASK, Some(mask), None)?;
        nix::unistd::execv(program, args)?;
        Ok(())
    };
    let error =
        run().err().unwrap_or_else(|| io::Error::other("execve(2) returned without an error"));
    startup::ignore_sigpipe();
    error
}

/// Waits for the child's end. Every signal is blocked.
fn wait(child: Pid) -> io::Result<Ended> {
    loop {
        let (number, from_kernel) = next_signal()?;
        if number != libc::SIGCHLD {
            if !from_kernel {
                // SAFETY: no pointers. The child is not reaped yet, so its PID is its own.
                let _ = unsafe { libc::kill(child.as_raw(), number) };
            }
            continue;
        }
        match waitpid(child, Some(WaitPidFlag::WNOHANG | WaitPidFlag::WUNTRACED))? {
            WaitStatus::Exited(_, status) => return Ok(Ended::Status(status)),
            WaitStatus::Signaled(_, number, _) => return Ok(Ended::Signal(number)),
            // A shell learns of a stopped job by the process that it started.
            WaitStatus::Stopped(..) => raise(Signal::SIGSTOP)?,
            _ => {}
        }
    }
}

/// Takes the next signal, real-time ones too; whether the kernel sent it, as for a key of the
/// terminal (drivers/tty/n_tty.c, `isig`), to the whole process group.
fn next_signal() -> io::Result<(i32, bool)> {
    loop {
        // SAFETY: the set and the structure live until the call returns.
        let (number, code) = unsafe {
            let mut all: libc::sigset_t = mem::zeroed();
            libc::sigfillset(&raw mut all);
            let mut about: libc::siginfo_t = mem::zeroed();
            (libc::sigwaitinfo(ptr::from_ref(&all), &raw mut about), about.si_code)
        };
        match Errno::result(number) {
            Ok(number) => return Ok((number, code == libc::SI_KERNEL)),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In a process of its own: the runner of the tests has several threads.
    fn ended(script: &str) -> Option<Ended> {
        let args = ["sh", "-c", script].map(|word| CString::new(word).unwrap());
        run(c"/bin/sh", &args).ok()
    }

    #[test]
    fn a_process_with_threads_is_not_forked() {
        // The test's own thread is the second.
        assert_eq!(ended("exit 3"), None);
    }
}
