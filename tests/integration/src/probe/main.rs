//! `lockc-probe NAME ARGS`: one attempt at something, made inside of a container with raw system
//! calls.
//!
//! It prints an [`Attempt`] as a line of JSON. Exit status: 0 it succeeded, 1 it failed, 2 wrong
//! usage. A *way* (`thread`, `double-fork`, …) may stand before the attempt: it says by which kind
//! of task it is made, and ways may be stacked: `lockc-probe double-fork thread list /sys/fs/ext4`.

mod bench;
mod borrowed;
mod browser;
mod busy;
mod files;
mod hang;
mod ipc;
mod keys;
mod mounts;
mod network;
mod paths;
mod sockets;
mod surface;
mod sys;
mod tasks;
mod ways;

use std::io;
use std::process::ExitCode;

use lockc_integration::Attempt;

/// A wrong command line, as opposed to a failed attempt.
const USAGE: &str = "usage";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let served = match args.split_first() {
        Some((&"bench", rest)) => Some(bench::run(rest)),
        Some((&"busy", rest)) => Some(busy::run(rest)),
        Some((&"hang", rest)) => Some(hang::run(rest)),
        _ => None,
    };
    if let Some(served) = served {
        return match served {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("lockc-probe: {error}");
                ExitCode::FAILURE
            }
        };
    }
    let attempt = Attempt::from(attempt(&args));
    let usage = attempt.errno == -1 && attempt.detail.starts_with(USAGE);
    println!("{}", serde_json::to_string(&attempt).unwrap_or_default());
    match (attempt.ok, usage) {
        (true, _) => ExitCode::SUCCESS,
        (false, true) => ExitCode::from(2),
        (false, false) => ExitCode::FAILURE,
    }
}

/// Makes the attempt that `args` name.
fn attempt(args: &[&str]) -> io::Result<String> {
    let Some((name, rest)) = args.split_first() else {
        return Err(usage("no attempt named"));
    };
    // Over and over; the last one's result.
    if let ("repeat", [count, rest @ ..]) = (*name, rest) {
        let mut result = Ok(String::new());
        for _ in 0..number(count)? {
            result = attempt(rest);
        }
        return result;
    }
    let known = [
        ways::attempt,
        files::attempt,
        mounts::attempt,
        network::attempt,
        paths::attempt,
        sockets::attempt,
        surface::attempt,
        tasks::attempt,
        borrowed::attempt,
        browser::attempt,
        ipc::attempt,
        keys::attempt,
    ];
    known
        .iter()
        .find_map(|module| module(name, rest))
        .unwrap_or_else(|| Err(usage(&format!("{name} {rest:?}"))))
}

fn usage(what: &str) -> io::Error {
    io::Error::other(format!("{USAGE}: {what}"))
}

/// A number of the command line.
fn number(text: &str) -> io::Result<usize> {
    text.parse().map_err(|_| usage(&format!("not a number: {text}")))
}
