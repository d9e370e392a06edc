//! `lockc-probe bench [COUNT]`: what system calls cost in here, as a line of JSON ([`Measured`]).
//!
//! Meant for a machine whose clock counts instructions (`cargo xtask bench`): the time between two
//! readings is then the number of instructions that ran, in the kernel and out of it, and hardly
//! differs from boot to boot. The volume is expected at [`VOLUME`].

use std::ffi::{CStr, CString};
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::path::Path;

use lockc_integration::{Cost, Measured};
use nix::unistd::pipe;

use crate::sys::{self, CWD};
use crate::usage;

const VOLUME: &str = "/vol";
/// Runs before the first that counts: caches are filled, pages faulted in.
const WARM_UP: usize = 5;
const PAGE: usize = 4096;

/// Prints the costs; `args` may hold how often each operation is measured.
pub fn run(args: &[&str]) -> io::Result<()> {
    let count = match args {
        [] => 201,
        [count] => crate::number(count)?.max(1),
        _ => return Err(usage("bench [COUNT]")),
    };
    let mut bench = Bench { count, overhead: 0, times: vec![0; count], done: Measured::default() };
    bench.overhead = bench.median(&mut || Ok(())).map_or(0, |cost| cost.median);
    files(&mut bench)?;
    changes(&mut bench)?;
    descriptors(&mut bench)?;
    processes(&mut bench)?;
    println!("{}", serde_json::to_string(&bench.done)?);
    Ok(())
}

struct Bench {
    count: usize,
    /// Of reading the clock.
    overhead: u64,
    times: Vec<u64>,
    done: Measured,
}

impl Bench {
    fn median(&mut self, work: &mut dyn FnMut() -> io::Result<()>) -> io::Result<Cost> {
        for _ in 0..WARM_UP {
            work()?;
        }
        for time in &mut self.times {
            let start = clock();
            work()?;
            *time = clock().wrapping_sub(start);
        }
        self.times.sort_unstable();
        let at = |index: usize| {
            self.times.get(index).copied().unwrap_or(0).saturating_sub(self.overhead)
        };
        Ok(Cost { median: at(self.count / 2), least: at(0) })
    }

    /// Measures an operation; one that fails has no cost, and says why.
    fn op(&mut self, name: &str, work: &mut dyn FnMut() -> io::Result<()>) {
        match self.median(work) {
            Ok(cost) => drop(self.done.costs.insert(name.to_owned(), cost)),
            Err(error) => drop(self.done.failed.insert(name.to_owned(), error.to_string())),
        }
    }

    fn open_and_close(&mut self, name: &str, path: &str) -> io::Result<()> {
        let path = sys::text(path)?;
        self.op(name, &mut || {
            let fd = sys::call(libc::SYS_openat, &[CWD, at(&path), libc::O_RDONLY as usize])?;
            sys::call(libc::SYS_close, &[fd]).map(drop)
        });
        Ok(())
    }

    /// The same denial again and again; where nothing denies it, an open and a close.
    fn denied_open(&mut self, name: &str, path: &str) -> io::Result<()> {
        let path = sys::text(path)?;
        self.op(name, &mut || match sys::call(
            libc::SYS_openat,
            &[CWD, at(&path), libc::O_RDONLY as usize],
        ) {
            Ok(fd) => sys::call(libc::SYS_close, &[fd]).map(drop),
            Err(error) if error.raw_os_error() == Some(libc::EACCES) => Ok(()),
            Err(error) => Err(error),
        });
        Ok(())
    }
}

#[cfg(target_arch = "x86_64")]
fn clock() -> u64 {
    // SAFETY: reads a register; every x86-64 processor has both instructions.
    unsafe {
        core::arch::x86_64::_mm_lfence();
        core::arch::x86_64::_rdtsc()
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn clock() -> u64 {
    nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC)
        .map_or(0, |now| now.tv_sec() as u64 * 1_000_000_000 + now.tv_nsec() as u64)
}

fn at(text: &CStr) -> usize {
    text.as_ptr() as usize
}

/// A directory ten components below the root.
fn deep(top: &str) -> io::Result<String> {
    let path = format!("{top}/1/2/3/4/5/6/7/8");
    fs::create_dir_all(&path)?;
    Ok(path)
}

fn file_in(directory: &str) -> io::Result<CString> {
    let path = format!("{directory}/file");
    fs::write(&path, [7; PAGE])?;
    sys::text(&path)
}

fn files(bench: &mut Bench) -> io::Result<()> {
    let (root, deep_root, volume, deep_volume) =
        (file_in("/")?, file_in(&deep("/bench")?)?, file_in(VOLUME)?, file_in(&deep(VOLUME)?)?);
    bench.op("getppid", &mut || sys::call(libc::SYS_getppid, &[]).map(drop));
    for (name, path) in [
        ("open+close rootfs", &root),
        ("open+close rootfs, 10 deep", &deep_root),
        ("open+close volume", &volume),
        ("open+close volume, 10 deep", &deep_volume),
    ] {
        bench.open_and_close(name, &path.to_string_lossy())?;
    }
    bench.open_and_close("open+close /dev/null", "/dev/null")?;
    bench.open_and_close("open+close /proc/self/status", "/proc/self/status")?;
    bench.open_and_close("open+close sysfs cpu/online", "/sys/devices/system/cpu/online")?;
    bench.denied_open("open denied, sysfs", "/sys/kernel/uevent_seqnum")?;
    let mut stat = [0u64; 64];
    let to = stat.as_mut_ptr() as usize;
    let proc_status = sys::text("/proc/self/status")?;
    let sys_online = sys::text("/sys/devices/system/cpu/online")?;
    for (name, path) in [
        ("stat rootfs", &root),
        ("stat volume", &volume),
        ("stat /proc/self/status", &proc_status),
        ("stat sysfs cpu/online", &sys_online),
    ] {
        bench.op(name, &mut || sys::call(libc::SYS_newfstatat, &[CWD, at(path), to, 0]).map(drop));
    }
    let link = format!("{VOLUME}/link");
    if !Path::new(&link).is_symlink() {
        std::os::unix::fs::symlink("file", &link)?;
    }
    let (link, own) = (sys::text(&link)?, sys::text("/proc/self/exe")?);
    let mut target = [0u8; 256];
    let to = target.as_mut_ptr() as usize;
    for (name, path) in [("readlink volume", &link), ("readlink /proc/self/exe", &own)] {
        bench.op(name, &mut || {
            sys::call(libc::SYS_readlinkat, &[CWD, at(path), to, target.len()]).map(drop)
        });
    }
    let name = sys::text("user.lockc-bench")?;
    for (what, path) in [("getxattr rootfs", &root), ("getxattr volume, 10 deep", &deep_volume)] {
        bench.op(what, &mut || match sys::call(
            libc::SYS_getxattr,
            &[at(path), at(&name), to, target.len()],
        ) {
            Err(error) if error.raw_os_error() != Some(libc::ENODATA) => Err(error),
            _ => Ok(()),
        });
    }
    for (what, path) in [("utimensat volume", &volume), ("utimensat volume, 10 deep", &deep_volume)]
    {
        bench.op(what, &mut || sys::call(libc::SYS_utimensat, &[CWD, at(path), 0, 0]).map(drop));
    }
    Ok(())
}

fn changes(bench: &mut Bench) -> io::Result<()> {
    for (what, directory) in [("rootfs", "/bench"), ("volume", VOLUME), ("tmpfs", "/mnt/a")] {
        let (new, old) =
            (sys::text(&format!("{directory}/new"))?, sys::text(&format!("{directory}/old"))?);
        let _ = fs::remove_file(format!("{directory}/new"));
        fs::write(format!("{directory}/old"), "")?;
        let flags = (libc::O_CREAT | libc::O_EXCL | libc::O_WRONLY) as usize;
        bench.op(&format!("create+close+unlink {what}"), &mut || {
            let fd = sys::call(libc::SYS_openat, &[CWD, at(&new), flags, 0o644])?;
            sys::call(libc::SYS_close, &[fd])?;
            sys::call(libc::SYS_unlinkat, &[CWD, at(&new), 0]).map(drop)
        });
        bench.op(&format!("rename there and back {what}"), &mut || {
            sys::call(libc::SYS_renameat2, &[CWD, at(&old), CWD, at(&new), 0])?;
            sys::call(libc::SYS_renameat2, &[CWD, at(&new), CWD, at(&old), 0]).map(drop)
        });
    }
    Ok(())
}

fn raw(fd: RawFd) -> usize {
    fd as usize
}

fn descriptors(bench: &mut Bench) -> io::Result<()> {
    let mut page = [0u8; PAGE];
    let to = page.as_mut_ptr() as usize;
    let open =
        |path: &str| fs::File::options().read(true).write(true).open(path).map(OwnedFd::from);
    for (what, path) in [("rootfs", "/file"), ("volume", "/vol/file")] {
        let file = open(path)?;
        let fd = raw(file.as_raw_fd());
        bench.op(&format!("read 4k {what}"), &mut || {
            sys::call(libc::SYS_pread64, &[fd, to, PAGE, 0]).map(drop)
        });
        bench.op(&format!("write 4k {what}"), &mut || {
            sys::call(libc::SYS_pwrite64, &[fd, to, PAGE, 0]).map(drop)
        });
    }
    let file = open("/vol/file")?;
    let fd = raw(file.as_raw_fd());
    bench.op("fstat volume", &mut || sys::call(libc::SYS_fstat, &[fd, to]).map(drop));
    bench.op("ioctl volume", &mut || {
        sys::call(libc::SYS_ioctl, &[fd, libc::FIONREAD as usize, to]).map(drop)
    });
    bench.op("mmap+munmap volume", &mut || {
        let (prot, flags) = (libc::PROT_READ as usize, libc::MAP_SHARED as usize);
        let address = sys::call(libc::SYS_mmap, &[0, PAGE, prot, flags, fd, 0])?;
        sys::call(libc::SYS_munmap, &[address, PAGE]).map(drop)
    });
    bench.op("ftruncate volume", &mut || sys::call(libc::SYS_ftruncate, &[fd, PAGE]).map(drop));
    let mut lock =
        libc::flock { l_type: 0, l_whence: libc::SEEK_SET as i16, l_start: 0, l_len: 0, l_pid: 0 };
    bench.op("fcntl lock+unlock volume", &mut || {
        for kind in [libc::F_WRLCK, libc::F_UNLCK] {
            lock.l_type = kind as i16;
            sys::call(libc::SYS_fcntl, &[fd, libc::F_SETLK as usize, (&raw mut lock) as usize])?;
        }
        Ok(())
    });
    let (from, into) = pipe()?;
    let (from, into) = (raw(from.as_raw_fd()), raw(into.as_raw_fd()));
    bench.op("pipe write+read", &mut || {
        sys::call(libc::SYS_write, &[into, to, 1])?;
        sys::call(libc::SYS_read, &[from, to, 1]).map(drop)
    });
    let mut pair = [0i32; 2];
    bench.op("socketpair+close", &mut || {
        let (family, kind) = (libc::AF_UNIX as usize, libc::SOCK_STREAM as usize);
        sys::call(libc::SYS_socketpair, &[family, kind, 0, pair.as_mut_ptr() as usize])?;
        sys::call(libc::SYS_close, &[raw(pair[0])])?;
        sys::call(libc::SYS_close, &[raw(pair[1])]).map(drop)
    });
    Ok(())
}

fn processes(bench: &mut Bench) -> io::Result<()> {
    let own = std::process::id() as usize;
    bench.op("kill 0", &mut || sys::call(libc::SYS_kill, &[own, 0]).map(drop));
    bench.op("fork+exit", &mut || match sys::fork()? {
        None => sys::exit(0),
        Some(child) => sys::wait(child).map(drop),
    });
    let program = sys::text("/bin/true")?;
    let (args, environment) = ([at(&program), 0], [0usize]);
    bench.op("fork+exec", &mut || match sys::fork()? {
        None => {
            // It comes back only where it failed.
            let _ = sys::call(
                libc::SYS_execve,
                &[at(&program), args.as_ptr() as usize, environment.as_ptr() as usize],
            );
            sys::exit(1)
        }
        Some(child) if sys::wait(child)? => Ok(()),
        Some(_) => Err(io::Error::other("the program did not run")),
    });
    Ok(())
}

/// So that a name is never measured twice.
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_without_the_clock() {
        let mut bench =
            Bench { count: 3, overhead: 0, times: vec![0; 3], done: Measured::default() };
        bench.op("nothing", &mut || Ok(()));
        bench.op("fails", &mut || Err(io::Error::from_raw_os_error(libc::EACCES)));
        assert!(
            bench.done.costs.contains_key("nothing")
                && bench.done.failed["fails"].contains("denied")
        );
    }
}
