//! A container a level with a shell in it that takes scripts: a container's start costs seconds
//! under emulation, and what is tested is the work.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};

use super::way::{IMAGE, Way};
use crate::command::Run;
use crate::docker::Background;

/// Seconds for one script: the slowest takes one minute under emulation.
const LIMIT: u64 = 240;
/// Between the parts of an answer.
const MARK: &str = "@@lockc-it@@";
/// Memory of the container: a JVM takes a quarter of it.
const MEMORY: &str = "480m";
/// What every script may use: an empty directory, another user, patience.
const PRELUDE: &str = r#"set -eu
work=$(mktemp -d /tmp/work.XXXXXX)
chmod 777 "$work"
cd "$work"
# runs a program as a user who is not root
user() {
    if [ "$(id -u)" != 0 ]; then "$@"; return; fi
    setpriv --reuid=1000 --regid=1000 --clear-groups env HOME=/tmp "$@"
}
# waits until a command succeeds
patiently() {
    for _ in $(seq 150); do if "$@" > /dev/null 2>&1; then return; fi; sleep 0.2; done
    "$@"
}
"#;

/// The containers that were needed so far.
#[derive(Default)]
pub struct Sessions(HashMap<Way, Session>);

impl Sessions {
    /// Runs a script in the container of `way`.
    pub fn run(&mut self, way: Way, script: &str) -> Result<Run> {
        let session = match self.0.entry(way) {
            Entry::Occupied(session) => session.into_mut(),
            Entry::Vacant(place) => place.insert(
                Session::start(way).with_context(|| format!("the container for {}", way.name))?,
            ),
        };
        let result = session.run(script);
        if result.is_err() {
            // What state it is in is unknown; the next script gets a new one.
            self.0.remove(&way);
        }
        result
    }
}

struct Session {
    shell: Child,
    input: ChildStdin,
    lines: Receiver<String>,
    /// Removed with the session.
    _container: Background,
}

impl Session {
    fn start(way: Way) -> Result<Self> {
        let container = way
            .background(&["--memory", MEMORY, "--cpus", "1", "--init", IMAGE, "sleep", "100000"])?;
        let mut shell = Command::new("docker")
            .args(["exec", "-i", &container.name, "bash", "--norc"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot run docker exec")?;
        let input = shell.stdin.take().context("no input")?;
        let output = shell.stdout.take().context("no output")?;
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
                if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                    break;
                }
            }
        });
        Ok(Self { shell, input, lines, _container: container })
    }

    fn run(&mut self, script: &str) -> Result<Run> {
        // Output by way of files: a daemon that a script leaves behind must not write into the
        // answer.
        let text = format!(
            "f=$(mktemp -d /tmp/script.XXXXXX)\ncat > $f/script \
             <<'{MARK}'\n{PRELUDE}{script}\n{MARK}\ntimeout -k 5 {LIMIT} bash $f/script < \
             /dev/null > $f/out 2> $f/err; s=$?\ncat $f/out; echo; echo {MARK}; cat $f/err; echo; \
             echo {MARK} $s\n"
        );
        self.input
            .write_all(text.as_bytes())
            .and_then(|()| self.input.flush())
            .context("docker exec ended")?;
        let stdout = self.part()?.0;
        let (stderr, status) = self.part()?;
        let status = status
            .trim()
            .parse()
            .with_context(|| format!("the shell said {status:?} for a status"))?;
        if status == 124 {
            bail!("did not end within {LIMIT} s; so far: {stdout} {stderr}");
        }
        Ok(Run { status, stdout, stderr })
    }

    /// Text up to a mark, and what stands behind the mark.
    fn part(&mut self) -> Result<(String, String)> {
        let mut text = String::new();
        loop {
            let line = self.lines.recv_timeout(Duration::from_secs(LIMIT + 60)).map_err(|_| {
                anyhow!("the shell in the container ended or hangs; so far: {text}")
            })?;
            match line.strip_prefix(MARK) {
                Some(rest) => return Ok((text.trim().to_owned(), rest.to_owned())),
                None => text.push_str(&line),
            }
            text.push('\n');
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // Gone already is fine.
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}
