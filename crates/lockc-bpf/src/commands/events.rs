//! `lockc events`: prints denials from the ring buffer. Each event is delivered to one reader only.

use std::{
    io::{self, Write as _},
    os::fd::AsFd as _,
    process::ExitCode,
};

use anyhow::{Context as _, Result};
use aya::maps::{Map, RingBuf};
use lockc_core::maps::registry;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::denial::Denial;

const EXAMPLES: &str = "\
Examples:
  lockc events              unread denials
  lockc events --follow --json";

/// Prints denials. Each denial is delivered to one reader only.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// JSON output, one object per line.
    #[arg(long)]
    json: bool,
    /// Keeps waiting for new denials.
    #[arg(long, short)]
    follow: bool,
}

/// Runs it; with `--follow`, until it is ended by a signal.
///
/// # Errors
///
/// Where the ring buffer cannot be opened (not loaded, not root) or the output is closed.
pub fn run(args: &Args) -> Result<ExitCode> {
    let mut out = io::stdout().lock();
    let map = registry::open_map("events")?;
    let mut ring = RingBuf::try_from(Map::RingBuf(map)).context("opening the ring buffer")?;
    loop {
        while let Some(item) = ring.next() {
            let Some(denial) = Denial::read(&item) else { continue };
            if args.json {
                serde_json::to_writer(&mut out, &denial)?;
                writeln!(out)?;
            } else {
                writeln!(out, "{denial}")?;
            }
        }
        out.flush()?;
        if !args.follow {
            return Ok(ExitCode::SUCCESS);
        }
        let mut fds = [PollFd::new(ring.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(errno) => return Err(io::Error::from(errno).into()),
        }
    }
}
