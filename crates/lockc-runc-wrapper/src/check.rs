//! Admission in a child process that the wrapper may abandon.
//!
//! Admission and opening the grants access file systems. One that does not respond (a dead NFS
//! server, a hanging FUSE daemon) blocks the process, sometimes even against signals. The wrapper
//! therefore forks a child for these steps. The child passes the opened descriptors to the wrapper.
//! If it makes no progress for [`PATIENCE`], the wrapper reports that and exits, and the engine
//! continues.
//!
//! | message | from | what for |
//! |---|---|---|
//! | `Objects`, with descriptors | child | what is to be granted |
//! | `Register` | child | the container; the wrapper registers it and answers |
//! | `Warn`, `Report` | child | what is to be logged: the child has no standard streams |
//! | `Ready`, `Refused` | child | the end |
//! | `Registered` | wrapper | whether it worked |

use std::{
    fs::File,
    io::{IoSlice, IoSliceMut},
    os::fd::{AsFd as _, AsRawFd as _, OwnedFd},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, bail};
use lockc_core::{
    abi::ContainerEntry,
    maps::{Held, NewContainer},
};
use lockc_policy::{admission::grants::GrantedFiles, with_causes};
use nix::{
    cmsg_space,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        socket::{
            AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, recv,
            recvmsg, sendmsg, socketpair,
        },
        wait::waitpid,
    },
    unistd::Pid,
};
use serde::{Deserialize, Serialize};

use crate::{
    environment::{ContainerRegistry, Environment, Plan, Refusal},
    flow, hand, hold,
    invocation::{Call, Create},
    kernel::Pinned,
    log,
    sys::{self, LEFT_OPEN_FROM},
    watched::{Looks, Watched},
};

/// How long the child may stay without progress.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often the wrapper looks.
const LOOK: Duration = Duration::from_millis(250);
/// Descriptors in a message (`SCM_MAX_FD`, include/net/scm.h, is 253).
const AT_ONCE: usize = 200;

#[derive(Debug, Serialize, Deserialize)]
enum Message {
    Objects(Vec<(PathBuf, u32)>),
    Register(Box<NewContainer>),
    Registered(Option<String>),
    Warn(String),
    Report { in_engines_log: bool, message: String },
    Ready { runtime: PathBuf, registered: Option<(PathBuf, String)> },
    Refused(Vec<String>),
}

/// One end of the pair of sockets.
struct Line(OwnedFd);

impl Line {
    fn send(&self, message: &Message, fds: &[i32]) -> Result<()> {
        let text = serde_json::to_vec(message).context("a path is not UTF-8")?;
        let rights = [ControlMessage::ScmRights(fds)];
        let rights = if fds.is_empty() { &[][..] } else { &rights[..] };
        sendmsg::<()>(
            self.0.as_raw_fd(),
            &[IoSlice::new(&text)],
            rights,
            MsgFlags::MSG_NOSIGNAL,
            None,
        )
        .context("the wrapper's other process has exited")?;
        Ok(())
    }

    /// The next message; `Ok(None)`: the other end is closed.
    fn receive(&self) -> Result<Option<(Message, Vec<OwnedFd>)>> {
        // The kernel tells the length before the message is taken (unix(7), MSG_TRUNC): a buffer
        // for the longest would be zeroed for each.
        let length = recv(self.0.as_raw_fd(), &mut [], MsgFlags::MSG_PEEK | MsgFlags::MSG_TRUNC)?;
        if length == 0 {
            return Ok(None);
        }
        let mut text = vec![0; length];
        let mut space = cmsg_space!([i32; AT_ONCE]);
        let mut into = [IoSliceMut::new(&mut text)];
        let got = recvmsg::<()>(
            self.0.as_raw_fd(),
            &mut into,
            Some(&mut space),
            MsgFlags::MSG_CMSG_CLOEXEC,
        )?;
        let mut fds = Vec::new();
        for message in got.cmsgs()? {
            if let ControlMessageOwned::ScmRights(raw) = message {
                fds.extend(raw.into_iter().map(sys::received));
            }
        }
        let length = got.bytes;
        let message = serde_json::from_slice(&text[..length])
            .context("an invalid message between the wrapper's processes")?;
        Ok(Some((message, fds)))
    }
}

/// As [`flow::prepare`](crate::flow::prepare), in a child.
///
/// # Errors
///
/// What refuses the container, a file system that does not answer included. Nothing is registered
/// then.
pub fn prepare(
    environment: &Environment<'_>,
    invocation: &crate::invocation::Invocation,
    held: &mut Vec<Held>,
) -> Result<Plan, Refusal> {
    let granted_file = granted_file(environment, invocation)?;
    let environment = &Environment { granted_file: granted_file.as_deref(), ..*environment };
    let (own, childs) =
        socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
            .context("cannot create a socket pair; nothing was executed")?;
    let note = sys::Note::new().context("out of memory; nothing was executed")?;
    match sys::fork().context("cannot fork; nothing was executed")? {
        Some(child) => {
            drop(childs);
            let plan = serve(&Line(own), &note, child, invocation, held);
            if plan.is_err() {
                held.clear();
            }
            plan
        }
        None => {
            drop(own);
            let end = work(childs, &note, environment, invocation);
            std::process::exit(i32::from(end.is_err()));
        }
    }
}

/// What the engine gives as an open descriptor, which the child does not have.
fn granted_file(
    environment: &Environment<'_>,
    invocation: &crate::invocation::Invocation,
) -> Result<Option<Vec<u8>>> {
    let Call::Create(Create { config: Some(file), .. }) = &invocation.call else { return Ok(None) };
    let file = environment.directory.join(file);
    hand::read_own(&file)
        .with_context(|| format!("{} cannot be read", file.display()))
        .context("the container is not started")
}

/// The wrapper's half.
fn serve(
    line: &Line,
    note: &sys::Note,
    child: Pid,
    invocation: &crate::invocation::Invocation,
    held: &mut Vec<Held>,
) -> Result<Plan, Refusal> {
    let mut registered = false;
    let result = loop {
        if let Err(error) = wait(line, note, child) {
            break Err(Refusal::from(error));
        }
        match line.receive().context("the container is not started")? {
            Some((Message::Objects(list), fds)) => {
                let objects = list.into_iter().zip(fds);
                held.extend(objects.map(|((path, grant), fd)| hold::held(fd.into(), path, grant)));
            }
            Some((Message::Register(new), _)) => {
                let outcome = Pinned.register_held(&new, held);
                registered = outcome.is_ok();
                line.send(
                    &Message::Registered(outcome.err().map(|error| with_causes(&error))),
                    &[],
                )?;
            }
            Some((Message::Warn(message), _)) => log::warn(&message),
            Some((Message::Report { in_engines_log, message }, _)) => {
                log::report(in_engines_log.then_some(invocation), &message);
            }
            Some((Message::Ready { runtime, registered }, mut fds)) => {
                let args = invocation.passed.clone();
                break Ok(Plan { args, registered, handed: fds.pop(), ..Plan::of(runtime) });
            }
            Some((Message::Refused(lines), _)) => break Err(Refusal(lines)),
            Some((Message::Registered(_), _)) => {}
            None => {
                break Err(Refusal(vec![
                    "the process that checks the container exited early; the container is not \
                     started"
                        .to_owned(),
                ]));
            }
        }
    };
    match &result {
        // It has nothing more to do: a runtime would not expect a child that it does not know.
        Ok(_) => drop(waitpid(child, None)),
        Err(_) if registered => {
            log::warn("the container stays registered until its slot is reused")
        }
        Err(_) => {}
    }
    result
}

/// Waits for a message of the child's, as long as it makes progress.
fn wait(line: &Line, note: &sys::Note, child: Pid) -> Result<()> {
    let mut last = (note.read(), Instant::now());
    loop {
        let mut fds = [PollFd::new(line.0.as_fd(), PollFlags::POLLIN)];
        let timeout = PollTimeout::try_from(LOOK).unwrap_or(PollTimeout::ZERO);
        match poll(&mut fds, timeout) {
            Ok(0) | Err(nix::errno::Errno::EINTR) => {}
            Ok(_) => return Ok(()),
            Err(errno) => return Err(errno.into()),
        }
        let now = note.read();
        if now != last.0 || is_running(child) {
            last = (now, Instant::now());
        } else if last.1.elapsed() >= PATIENCE {
            // Where the file system never answers, it is left to whoever reaps orphans.
            let _ = nix::sys::signal::kill(child, nix::sys::signal::Signal::SIGKILL);
            let at = String::from_utf8_lossy(note_path(&last.0)).into_owned();
            bail!(
                "{at} does not respond: no reply from its file system for {} s; the container is \
                 not started; check the server of that mount (NFS, FUSE, …), unmount it, or remove \
                 the volume",
                PATIENCE.as_secs()
            );
        }
    }
}

/// The path in a note: a counter stands before it, so that looking at a path twice is progress.
fn note_path(note: &[u8]) -> &[u8] {
    note.iter().position(|byte| *byte == b' ').map_or(note, |space| &note[space + 1..])
}

/// Whether the child computes instead of waiting (proc_pid_stat(5)): a machine may be busy.
fn is_running(child: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('R'))
}

/// The child's half.
fn work(
    line: OwnedFd,
    note: &sys::Note,
    environment: &Environment<'_>,
    invocation: &crate::invocation::Invocation,
) -> Result<()> {
    let line = Line(alone_with(line)?);
    let relay = Line(line.0.try_clone()?);
    log::relay(move |relayed| {
        let message = match relayed {
            log::Relayed::Warn(message) => Message::Warn(message),
            log::Relayed::Report { in_engines_log, message } => {
                Message::Report { in_engines_log, message }
            }
        };
        // Without the wrapper nobody is left to be told.
        let _ = relay.send(&message, &[]);
    });
    let looks = Looks::new(note);
    let kernel = Client { line: &line, looks: &looks };
    let view = Watched { host: environment.view, looks: &looks };
    let environment = Environment { kernel: &kernel, view: &view, ..*environment };
    let (message, handed) = match flow::prepare(invocation, &environment) {
        Ok(plan) => {
            (Message::Ready { runtime: plan.runtime, registered: plan.registered }, plan.handed)
        }
        Err(refusal) => (Message::Refused(refusal.0), None),
    };
    let fds: Vec<i32> = handed.iter().map(|file| file.as_raw_fd()).collect();
    line.send(&message, &fds)
}

/// Keeps nothing of the engine's but standard input: who waits for the end of a pipe shall not wait
/// for this process.
fn alone_with(line: OwnedFd) -> Result<OwnedFd> {
    let null = File::options().read(true).write(true).open("/dev/null")?;
    nix::unistd::dup2_stdout(&null)?;
    nix::unistd::dup2_stderr(&null)?;
    // Its number may be the one that is kept.
    drop(null);
    let kept = sys::keep_only(line).context("closing descriptors")?;
    Ok(kept)
}

/// The kernel side as the child sees it.
struct Client<'a> {
    line: &'a Line,
    looks: &'a Looks<'a>,
}

impl ContainerRegistry for Client<'_> {
    fn register(&self, new: &NewContainer, grants: GrantedFiles) -> Result<()> {
        let held = hold::hold(grants, &new.root, &|path| self.looks.at(path))?;
        for part in held.chunks(AT_ONCE) {
            let list = part.iter().map(|object| (object.path.clone(), object.grant)).collect();
            let fds: Vec<i32> = part.iter().map(|object| object.file.as_raw_fd()).collect();
            self.line.send(&Message::Objects(list), &fds)?;
        }
        self.line.send(&Message::Register(Box::new(new.clone())), &[])?;
        match self.line.receive()? {
            Some((Message::Registered(None), _)) => Ok(()),
            Some((Message::Registered(Some(error)), _)) => Err(anyhow!(error)),
            _ => bail!("the wrapper's other process has exited"),
        }
    }

    fn join(&self, root: &Path, id: &str) -> Result<()> {
        Pinned.join(root, id)
    }

    fn entry(&self, root: &Path, id: &str) -> Result<Option<ContainerEntry>> {
        Pinned.entry(root, id)
    }

    fn mark_deleting(&self, root: &Path, id: &str, generation: Option<u32>) -> Result<()> {
        Pinned.mark_deleting(root, id, generation)
    }
}

/// Keeps the kernel from dropping what was granted before the runtime has mounted it: the
/// descriptors lie unread in a socket that the runtime inherits and nobody reads. What it does with
/// the socket itself is all the same.
///
/// # Errors
///
/// Where the kernel has no memory.
pub fn keep(held: &[Held]) -> Result<()> {
    let (to, from) =
        socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?;
    for part in held.chunks(AT_ONCE) {
        let fds: Vec<i32> = part.iter().map(|object| object.file.as_raw_fd()).collect();
        sendmsg::<()>(
            to.as_raw_fd(),
            &[IoSlice::new(b"lockc")],
            &[ControlMessage::ScmRights(&fds)],
            MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT,
            None,
        )?;
    }
    sys::leave_open(&from, LEFT_OPEN_FROM)?;
    Ok(())
}
