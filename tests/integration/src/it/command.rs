//! Commands with a time limit, and what they left.

use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Seconds after which a command is killed: emulation is slow, but nothing here takes minutes.
const LIMIT: u32 = 120;

/// What a command left.
#[derive(Clone, Debug)]
pub struct Run {
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        use std::os::unix::process::ExitStatusExt;
        let status = output
            .status
            .code()
            .or_else(|| output.status.signal().map(|signal| 128 + signal))
            .unwrap_or(-1);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        Self { status, stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }
}

impl Run {
    pub fn ok(&self) -> bool {
        self.status == 0
    }

    /// Both outputs, for messages and searches.
    pub fn said(&self) -> String {
        format!("{}\n{}", self.stdout, self.stderr).trim().to_owned()
    }

    /// Standard output of a success.
    pub fn must(self) -> Result<String> {
        if self.ok() { Ok(self.stdout) } else { bail!("status {}: {}", self.status, self.said()) }
    }
}

/// Runs `words` to the end.
pub fn run<S: AsRef<str>>(words: &[S]) -> Result<Run> {
    run_with_input(words, "")
}

/// Runs `words` with `input` on standard input.
pub fn run_with_input<S: AsRef<str>>(words: &[S], input: &str) -> Result<Run> {
    run_for(LIMIT, words, input)
}

/// Runs `words` for at most `seconds`.
pub fn run_for<S: AsRef<str>>(seconds: u32, words: &[S], input: &str) -> Result<Run> {
    use std::io::Write;
    let mut command = Command::new("timeout");
    command
        .args(["--foreground", "-k", "5", &seconds.to_string()])
        .args(words.iter().map(AsRef::as_ref));
    let stdin = if input.is_empty() { Stdio::null() } else { Stdio::piped() };
    let mut child = command
        .stdin(stdin)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot run timeout")?;
    if let Some(mut pipe) = child.stdin.take() {
        // A program that does not read its input is checked by its status.
        let _ = pipe.write_all(input.as_bytes());
    }
    let run = Run::from(child.wait_with_output().context("cannot wait for a command")?);
    if run.status == 124 {
        let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
        bail!("{} did not end within {seconds} s; so far: {}", words.join(" "), run.said());
    }
    Ok(run)
}

/// A shell line that must succeed.
pub fn sh(line: &str) -> Result<String> {
    run(&["bash", "-c", line])?.must().with_context(|| format!("`{line}`"))
}

/// A refusal as an engine shows it, and the further reasons that it leaves to `lockc explain`.
pub fn with_all_reasons(message: &str) -> String {
    let mut all = message.to_owned();
    let subject = message
        .split_once("see `lockc explain ")
        .and_then(|(_, rest)| Some(rest.split_once('`')?.0));
    let explained = subject.and_then(|subject| run(&["lockc", "explain", "--json", subject]).ok());
    let answer: serde_json::Value =
        explained.and_then(|run| serde_json::from_str(&run.stdout).ok()).unwrap_or_default();
    for reason in answer["reasons"].as_array().into_iter().flatten() {
        let text = |key: &str| reason[key].as_str().unwrap_or_default().to_owned();
        all += &format!("; {}: {} [{}]", text("control"), text("what"), text("remedy"));
    }
    all
}

/// That a container was not started, and that the engine shows lockc's reason with each of these
/// parts.
pub fn shows(run: &Run, parts: &[&str]) -> Result<String> {
    let all = with_all_reasons(&run.stderr);
    if run.ok() || !run.stderr.contains("lockc: ") || !parts.iter().all(|part| all.contains(part)) {
        anyhow::bail!("not refused with {parts:?}: status {}: {}", run.status, run.said());
    }
    Ok(run.stderr.clone())
}

/// Calls `code` until it is true.
pub fn patiently(what: &str, mut code: impl FnMut() -> Result<bool>) -> Result<()> {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(60) {
        if code()? {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(300));
    }
    bail!("{what}: not within 60 s")
}
