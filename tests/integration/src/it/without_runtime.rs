//! Containers and execs by lockc's library alone: a registration, or a task that joins, the turn to
//! confined at the exec of the container's program, the end. What a runtime does beside that takes
//! ten times as long.

use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use lockc_core::abi::MODE_ENFORCE;
use lockc_core::maps::{NewContainer, Registry};
use lockc_core::rules::{Level, RuleMask};
use lockc_policy::admission::grants::{GrantedFiles, Tree};
use lockc_policy::host::{Host, HostView as _};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};
use nix::unistd::pivot_root;

use crate::bundle;
use crate::launch::STATE;

/// The program in the container.
const PROGRAM: &str = "/bin/true";

/// Runs `count` of them; `exec`: the id of a container, and the PID of its init, or nothing for new
/// containers.
pub fn run(count: usize, exec: &[String]) -> Result<()> {
    let rootfs = bundle::common_rootfs()?;
    for at in 0..count {
        let id = format!("without-runtime-{}-{at}", std::process::id());
        let mut program = Command::new(PROGRAM);
        program.stdin(Stdio::null()).stdout(Stdio::null());
        let (id, root) = (exec.first().cloned().unwrap_or(id), rootfs.clone());
        let namespace =
            exec.get(1).map(|pid| File::open(format!("/proc/{pid}/ns/mnt"))).transpose()?;
        let (joined, new) = (namespace.is_some(), id.clone());
        // SAFETY: this program has one thread, so that the child may do what it likes.
        unsafe {
            program.pre_exec(move || match &namespace {
                Some(namespace) => join(&new, namespace).map_err(io::Error::other),
                None => create(&new, &root).map_err(io::Error::other),
            });
        }
        let output = program.output().with_context(|| format!("{id} at {at}"))?;
        if !output.status.success() {
            bail!("{id} at {at}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr));
        }
        if !joined && !Registry::open()?.mark_deleting(Path::new(STATE), &id, None)? {
            bail!("{id} was not registered");
        }
    }
    Ok(())
}

fn join(id: &str, namespace: &File) -> Result<()> {
    Registry::open()?.join(Path::new(STATE), id)?;
    setns(namespace, CloneFlags::CLONE_NEWNS)?;
    Ok(std::env::set_current_dir("/")?)
}

fn create(id: &str, rootfs: &str) -> Result<()> {
    let new = NewContainer {
        root: STATE.into(),
        id: id.to_owned(),
        level: Level::Baseline,
        rules: Level::Baseline.rules(),
        audited: RuleMask::NONE,
        mode: MODE_ENFORCE,
        capabilities: 0,
        root_uid: 0,
        loopback: false,
        sandboxed: false,
        hook_mounts: false,
        policy_grants: false,
        policy: "baseline".into(),
        origin: "a test".into(),
        propagates: false,
        cgroups: false,
        reads: Vec::new(),
        families: 0,
        devices: Vec::new(),
        about: String::new(),
    };
    let top = Host::default().open(Path::new(rootfs))?;
    let rootfs_alone = Tree { top, below: Vec::new(), propagates: false };
    let files = GrantedFiles { rootfs: rootfs_alone, ..GrantedFiles::default() };
    let held = lockc_runc_wrapper::hold::hold(files, &new.root, &|_| {})?;
    Registry::open()?.register(&new, &held)?;
    drop(held);
    unshare(CloneFlags::CLONE_NEWNS)?;
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
    mount(Some(rootfs), rootfs, none, MsFlags::MS_BIND, none)?;
    std::env::set_current_dir(rootfs)?;
    pivot_root(".", ".")?;
    umount2(".", MntFlags::MNT_DETACH)?;
    Ok(std::env::set_current_dir("/")?)
}
