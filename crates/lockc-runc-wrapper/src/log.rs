//! Reports a refusal so that the engine shows it to the user: on stderr, and in the engine's log
//! file in the format of the runtime's own errors.
//!
//! containerd's shim takes the last object with level "error"; Podman and conmon parse the whole
//! file as one object, so that exactly one is written. conmon without a log file reads stderr.

use std::{
    ffi::{OsStr, OsString},
    fs::OpenOptions,
    io::{self, Write as _},
    os::unix::{
        ffi::{OsStrExt as _, OsStringExt as _},
        net::UnixDatagram,
    },
    path::PathBuf,
    sync::OnceLock,
    time::SystemTime,
};

use lockc_policy::messages;

use crate::invocation::Invocation;

/// What another process logs in this one's place.
#[derive(Debug)]
pub enum Relayed {
    /// [`warn`].
    Warn(String),
    /// [`report`].
    Report {
        /// In the engine's log too.
        in_engines_log: bool,
        /// The text.
        message: String,
    },
}

type Relay = Box<dyn Fn(Relayed) + Send + Sync>;

static RELAY: OnceLock<Relay> = OnceLock::new();

/// From now on [`warn`] and [`report`] hand over instead of writing. Only the first call counts.
pub fn relay(to: impl Fn(Relayed) + Send + Sync + 'static) {
    let _ = RELAY.set(Box::new(to));
}

/// Writes an error to stderr and to the engine's log.
pub fn error(invocation: &Invocation, lines: &[String]) {
    let lines: Vec<String> = lines.iter().map(|line| messages::with_id(line)).collect();
    let mut stderr = io::stderr().lock();
    for line in &lines {
        // Nobody is left to be told if stderr is closed.
        let _ = writeln!(stderr, "lockc: {line}");
    }
    append(invocation, "error", &format!("lockc: {}", lines.join("; ")));
}

/// What audit mode lets pass: as [`warn`], and in the engine's log if that is given, as a
/// warning, which no engine takes for the reason of a failure.
pub fn report(engines_log: Option<&Invocation>, message: &str) {
    if let Some(relay) = RELAY.get() {
        return relay(Relayed::Report {
            in_engines_log: engines_log.is_some(),
            message: message.to_owned(),
        });
    }
    warn(message);
    if let Some(invocation) = engines_log {
        append(invocation, "warning", &format!("lockc: {message}"));
    }
}

fn append(invocation: &Invocation, level: &str, message: &str) {
    let Some(path) = file(invocation.log.as_deref()) else { return };
    let entry = entry(invocation.log_format.as_deref(), level, message, &now());
    let written = OpenOptions::new()
        .append(true)
        .create(true)
        .open(&path)
        .and_then(|mut log| log.write_all(entry.as_bytes()));
    if let Err(error) = written {
        let _ = writeln!(
            io::stderr().lock(),
            "lockc: the log {} cannot be written: {error}",
            path.display()
        );
    }
}

/// Something worth knowing that stops nothing: stderr and the system's log, not the engine's, since
/// what stands there is taken for a failure. Without anybody who listens on the system's log,
/// stderr has to do.
pub fn warn(message: &str) {
    if let Some(relay) = RELAY.get() {
        return relay(Relayed::Warn(message.to_owned()));
    }
    let _ = writeln!(io::stderr().lock(), "lockc: {message}");
    // Neither syslog(3) nor the crates for the journal (libsystemd, tracing-journald) can be used:
    // they wait where a log daemon does not read, and the container's engine would wait with them.
    // The journal reads this socket too, and so do the daemons of hosts without systemd.
    if let Ok(socket) = UnixDatagram::unbound()
        && socket.set_nonblocking(true).is_ok()
    {
        // <28>: daemon, warning.
        let _ = socket.send_to(format!("<28>lockc: {message}").as_bytes(), "/dev/log");
    }
}

/// The file that `--log` names; crun also takes `file:PATH`, and `journald:` or `syslog:` which are
/// no files.
fn file(log: Option<&OsStr>) -> Option<PathBuf> {
    let bytes = log?.as_bytes();
    if bytes.is_empty() || bytes.starts_with(b"journald:") || bytes.starts_with(b"syslog:") {
        return None;
    }
    let path = bytes.strip_prefix(b"file:").unwrap_or(bytes);
    Some(OsString::from_vec(path.to_vec()).into())
}

/// One entry of the engine's log: in the form of JSON or of logrus' text.
pub fn entry(format: Option<&OsStr>, level: &str, message: &str, time: &str) -> String {
    if format == Some(OsStr::new("json")) {
        let object = serde_json::json!({ "level": level, "msg": message, "time": time });
        format!("{object}\n")
    } else {
        // logrus' text form: quoted as Go quotes.
        let quoted = serde_json::Value::from(message);
        format!("time=\"{time}\" level={level} msg={quoted}\n")
    }
}

/// The time as RFC 3339 in UTC, in seconds. jiff formats it too, and makes this program 7 % larger.
pub fn now() -> String {
    humantime::format_rfc3339_seconds(SystemTime::now()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invocation(log: Option<&OsStr>, format: Option<&str>) -> Invocation {
        Invocation {
            log: log.map(Into::into),
            log_format: format.map(Into::into),
            ..Invocation::default()
        }
    }

    #[test]
    fn the_json_log_has_exactly_one_object() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log.json");
        error(
            &invocation(Some(path.as_os_str()), Some("json")),
            &["a \"b\"".into(), "c\nd".into()],
        );
        let text = std::fs::read_to_string(&path).unwrap();
        let object: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(object["level"], "error");
        assert_eq!(object["msg"], "lockc: a \"b\"; c\nd");
        let time = object["time"].as_str().unwrap();
        let written = humantime::parse_rfc3339(time).unwrap();
        assert!(time.len() == 20 && written.elapsed().unwrap().as_secs() < 60, "{time}");
        assert_eq!(text.lines().count(), 1);
    }

    #[test]
    fn the_text_log_is_one_line_and_appended() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        std::fs::write(&path, "before\n").unwrap();
        let mut named = OsString::from("file:");
        named.push(&path);
        error(&invocation(Some(&named), None), &["a\nb".into()]);
        let text = std::fs::read_to_string(&path).unwrap();
        let line = text.strip_prefix("before\n").unwrap();
        assert!(
            line.starts_with("time=\"2") && line.ends_with("level=error msg=\"lockc: a\\nb\"\n"),
            "{line}"
        );
    }

    #[test]
    fn journals_are_no_files() {
        for log in ["journald:x", "syslog:", ""] {
            assert_eq!(file(Some(OsStr::new(log))), None);
        }
        assert_eq!(file(None), None);
    }
}
