//! Ways to make an attempt: the kinds of tasks that a confinement by process must not lose.

use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use lockc_integration::Attempt;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, pipe, setsid};

use crate::{number, sys, usage};

/// `clone3(2)`'s argument, up to `set_tid_size`.
#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
}

/// The same with what came after it.
#[repr(C)]
struct IntoCgroup {
    head: CloneArgs,
    cgroup: u64,
}

pub fn attempt(way: &str, args: &[&str]) -> Option<io::Result<String>> {
    Some(match (way, args) {
        ("thread", next) => thread(next),
        ("fork", next) => forked(next, &|| Ok(())),
        ("double-fork", next) => forked(next, &|| match sys::fork()? {
            None => Ok(()),
            // The one in the middle goes at once: init adopts the grandchild.
            Some(_) => sys::exit(0),
        }),
        ("setsid", next) => forked(next, &|| setsid().map(|_| ()).map_err(io::Error::from)),
        ("vfork", next) => cloned(libc::CLONE_VM | libc::CLONE_VFORK, next),
        ("clone-files", next) => {
            cloned(libc::CLONE_VM | libc::CLONE_FS | libc::CLONE_FILES | libc::CLONE_VFORK, next)
        }
        ("clone-parent", next) => {
            cloned(libc::CLONE_VM | libc::CLONE_PARENT | libc::CLONE_VFORK, next)
        }
        ("spawn", next) => spawn(next),
        ("thread-exec", next) => thread_exec(next),
        ("clone-into-cgroup", [directory]) => clone_into_cgroup(directory),
        ("unshare", [kinds, next @ ..]) => unshare(kinds).and_then(|()| crate::attempt(next)),
        ("forks", [count, next @ ..]) => storm(count).and_then(|()| crate::attempt(next)),
        ("with-pid", [pid, next @ ..]) => with_pid(pid, next),
        ("chroot", [root, next @ ..]) => chroot(root).and_then(|()| crate::attempt(next)),
        ("orphan", [go, out, next @ ..]) => orphan(go, out, next),
        ("expect-fail", [errno, next @ ..]) => expect_fail(errno, next),
        _ => return None,
    })
}

/// `clone3(2)` of a process that starts in another cgroup, named by a descriptor that nothing
/// checks the opening of.
fn clone_into_cgroup(directory: &str) -> io::Result<String> {
    const CLONE_INTO_CGROUP: u64 = 1 << 33;
    let directory = crate::files::open(directory, libc::O_PATH | libc::O_DIRECTORY)?;
    let head = CloneArgs {
        flags: CLONE_INTO_CGROUP,
        exit_signal: libc::SIGCHLD as u64,
        ..CloneArgs::default()
    };
    let args = IntoCgroup { head, cgroup: directory.as_raw_fd() as u64 };
    match sys::call(libc::SYS_clone3, &[(&raw const args) as usize, size_of::<IntoCgroup>()])? {
        0 => sys::exit(0),
        child => sys::wait(child as i32).map(|_| "started elsewhere".into()),
    }
}

fn thread(next: &[&str]) -> io::Result<String> {
    std::thread::scope(|scope| {
        scope
            .spawn(|| crate::attempt(next))
            .join()
            .unwrap_or_else(|_| Err(usage("the thread died")))
    })
}

/// In a child process that runs `first` before the attempt; the result comes back through a pipe.
fn forked(next: &[&str], first: &dyn Fn() -> io::Result<()>) -> io::Result<String> {
    let (read, write) = pipe()?;
    match sys::fork()? {
        None => {
            drop(read);
            report(write, first().and_then(|()| crate::attempt(next)));
            sys::exit(0);
        }
        Some(child) => {
            drop(write);
            let result = collect(read);
            sys::wait(child)?;
            result
        }
    }
}

pub fn report(pipe: OwnedFd, result: io::Result<String>) {
    let line = serde_json::to_vec(&Attempt::from(result)).unwrap_or_default();
    // The reader sees an empty pipe as a failure.
    let _ = fs::File::from(pipe).write_all(&line);
}

pub fn collect(pipe: OwnedFd) -> io::Result<String> {
    let mut line = Vec::new();
    fs::File::from(pipe).read_to_end(&mut line)?;
    serde_json::from_slice::<Attempt>(&line)
        .map_err(|_| io::Error::other("the child reported nothing"))?
        .into_result()
}

fn cloned(flags: i32, next: &[&str]) -> io::Result<String> {
    let mut result = Err(io::Error::other("the child did not run"));
    sys::cloned(flags, &mut || result = crate::attempt(next))?;
    result
}

/// `posix_spawn`: vfork and exec of this program.
fn spawn(next: &[&str]) -> io::Result<String> {
    let output = Command::new("/proc/self/exe").args(next).stdin(Stdio::null()).output()?;
    serde_json::from_slice::<Attempt>(&output.stdout)
        .map_err(|_| io::Error::other("the child reported nothing"))?
        .into_result()
}

/// An exec by a thread that does not lead its group: the thread takes the leader's place and ids.
fn thread_exec(next: &[&str]) -> io::Result<String> {
    use std::os::unix::process::CommandExt;
    let error = std::thread::scope(|scope| {
        scope.spawn(|| Command::new("/proc/self/exe").args(next).exec()).join()
    });
    Err(error.unwrap_or_else(|_| usage("the thread died")))
}

fn unshare(kinds: &str) -> io::Result<()> {
    let mut flags = 0;
    for kind in kinds.split(',') {
        flags |= match kind {
            "mnt" => libc::CLONE_NEWNS,
            "user" => libc::CLONE_NEWUSER,
            "pid" => libc::CLONE_NEWPID,
            "net" => libc::CLONE_NEWNET,
            "fs" => libc::CLONE_FS,
            "files" => libc::CLONE_FILES,
            _ => return Err(usage(kind)),
        };
    }
    sys::call(libc::SYS_unshare, &[flags as usize]).map(|_| ())
}

/// Many short tasks: by vfork, and each hundredth by a whole fork.
fn storm(count: &str) -> io::Result<()> {
    for n in 0..number(count)? {
        if n % 100 == 0 {
            match sys::fork()? {
                None => sys::exit(0),
                Some(child) => sys::wait(child).map(|_| ())?,
            }
        } else {
            sys::cloned(libc::CLONE_VM | libc::CLONE_VFORK, &mut || {})?;
        }
    }
    Ok(())
}

/// In a child with the chosen PID: what a reused PID looks like.
fn with_pid(pid: &str, next: &[&str]) -> io::Result<String> {
    let tid = number(pid)? as i32;
    let mut args =
        CloneArgs { exit_signal: libc::SIGCHLD as u64, set_tid_size: 1, ..CloneArgs::default() };
    args.set_tid = (&raw const tid) as u64;
    let (read, write) = pipe()?;
    match sys::call(libc::SYS_clone3, &[(&raw const args) as usize, size_of::<CloneArgs>()])? {
        0 => {
            drop(read);
            report(write, crate::attempt(next));
            sys::exit(0);
        }
        child => {
            drop(write);
            let result = collect(read);
            sys::wait(child as i32)?;
            result
        }
    }
}

fn chroot(root: &str) -> io::Result<()> {
    nix::unistd::chroot(root)?;
    nix::unistd::chdir("/")?;
    Ok(())
}

/// Leaves a process behind that waits for the file `go`, makes the attempt and writes the result to
/// `out`.
fn orphan(go: &str, out: &str, next: &[&str]) -> io::Result<String> {
    if let Some(child) = sys::fork()? {
        sys::wait(child)?;
        return Ok("left behind".into());
    }
    setsid()?;
    if sys::fork()?.is_some() {
        sys::exit(0);
    }
    for fd in 0..3 {
        let _ = nix::unistd::close(fd);
    }
    let _ = fs::write(format!("{out}.pid"), std::process::id().to_string());
    // 100 s: longer than any case waits
    for _ in 0..1000 {
        if Path::new(go).exists() {
            let line = serde_json::to_vec(&Attempt::from(crate::attempt(next))).unwrap_or_default();
            let _ = fs::write(format!("{out}.part"), line)
                .and_then(|()| fs::rename(format!("{out}.part"), out));
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    sys::exit(0)
}

/// Succeeds if the attempt fails with this errno.
fn expect_fail(errno: &str, next: &[&str]) -> io::Result<String> {
    let errno = number(errno)? as i32;
    match crate::attempt(next) {
        Err(error) if error.raw_os_error() == Some(errno) => {
            Ok(format!("failed as expected: {error}"))
        }
        Err(error) => Err(error),
        Ok(_) => Err(io::Error::other("succeeded, which it must not")),
    }
}

/// Used by the attempts on other tasks.
pub fn signal(pid: i32, number: i32) -> io::Result<()> {
    let signal = if number == 0 { None } else { Some(Signal::try_from(number)?) };
    Ok(kill(Pid::from_raw(pid), signal)?)
}
