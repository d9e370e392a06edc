//! lockc's entries in systemd's journal.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use serde_json::{Map, Value};

/// Where systemd's packages put it.
const PROGRAM: &str = "/usr/bin/journalctl";

/// Fields that are kept.
pub const KEYS: [&str; 18] = [
    "MESSAGE",
    "PRIORITY",
    "SYSLOG_IDENTIFIER",
    "__REALTIME_TIMESTAMP",
    "LOCKC_CONTAINER",
    "LOCKC_NAME",
    "LOCKC_NAMESPACE",
    "LOCKC_POD",
    "LOCKC_IMAGE",
    "LOCKC_POLICY",
    "LOCKC_RULE",
    "LOCKC_HOOK",
    "LOCKC_OBJECT",
    "LOCKC_COMM",
    "LOCKC_SETTING",
    "LOCKC_COUNT",
    "LOCKC_ID",
    "LOCKC_MODE",
];

/// The last entries.
///
/// # Errors
///
/// Where there is no journal, or it cannot be read.
pub fn entries(last: usize) -> Result<Value, String> {
    if !Path::new(PROGRAM).exists() {
        return Err("this host has no journalctl".into());
    }
    let output = Command::new(PROGRAM)
        .args(["--no-pager", "--quiet", "--output=json", "--boot", "--lines"])
        .arg(last.to_string())
        .args(["--identifier=lockc", "--identifier=lockc-runc-wrapper"])
        .env_clear()
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .map_err(|error| error.kind().to_string())?;
    if !output.status.success() {
        return Err("journalctl failed".into());
    }
    Ok(parsed(&String::from_utf8_lossy(&output.stdout)))
}

/// The entries, with the fields that are kept.
fn parsed(text: &str) -> Value {
    let entry = |line: &str| -> Option<Value> {
        let fields: Map<String, Value> = serde_json::from_str(line).ok()?;
        let kept = fields.into_iter().filter(|(name, _)| KEYS.contains(&name.as_str()));
        Some(Value::Object(kept.collect()))
    };
    text.lines().filter_map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_fields_of_an_entry_are_left_out() {
        let line = r#"{"MESSAGE":"x","_CMDLINE":"CANARY","LOCKC_POLICY":"baseline"}"#;
        let parsed = parsed(&format!("{line}\nno JSON\n"));
        assert_eq!(parsed, serde_json::json!([{"MESSAGE": "x", "LOCKC_POLICY": "baseline"}]));
    }
}
