//! Metrics and the journal, by the units of the package.

use std::fs;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::{fails, keeper, sh, until};

/// A scrape, as Prometheus does one.
const SCRAPE: &str = "exec 3<> /dev/tcp/127.0.0.1/9752 && printf 'GET /metrics HTTP/1.1\\r\\nHost: \
                      localhost\\r\\n\\r\\n' >&3 && cat <&3";

/// The value of a metric in a text.
fn value(text: &str, name: &str) -> Result<f64> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
        .with_context(|| format!("no {name} in {text}"))?;
    line.trim().parse().with_context(|| format!("{name}: {line}"))
}

/// A denial and a refusal are in the next scrape, nothing runs in between, and the cost of the
/// programs is there where the kernel measures it.
pub fn scraped() -> Result<String> {
    sh("systemctl start lockc-metrics.socket")?;
    let denials = "lockc_denials_total{rule=\"sysfs\",mode=\"enforce\"}";
    let refusals =
        "lockc_refusals_total{control=\"host-mounts\",id=\"LOCKC-A001\",mode=\"enforce\"}";
    let unconfined = "lockc_unconfined_containers{cause=\"other-runtime\"}";
    let before = sh(SCRAPE)?;
    if !before.starts_with("HTTP/1.1 200 OK") || !before.trim_end().ends_with("# EOF") {
        bail!("no complete answer: {before}");
    }
    if value(&before, "lockc_enforcing")? != 1.0 || value(&before, unconfined)? != 0.0 {
        bail!("the state is wrong: {before}");
    }
    let (begun, refused) = (value(&before, denials)?, value(&before, refusals).unwrap_or(0.0));
    sh("sysctl -q kernel.bpf_stats_enabled=1")?;
    sh("docker run -d --name bare --runtime runc debian sleep 1000")?;
    fails("docker run --rm --runtime lockc -v /:/host debian true", "host-mounts")?;
    let denied = keeper::log()?.1;
    until(60, "the container tries again", || Ok(keeper::log()?.1 > denied))?;
    let after = sh(SCRAPE)?;
    sh("sysctl -q kernel.bpf_stats_enabled=0; docker rm -f bare")?;
    for (name, least) in [
        (denials, begun + 1.0),
        (refusals, refused + 1.0),
        (unconfined, 1.0),
        ("lockc_program_runs_total{program=\"file_open\"}", 1.0),
        ("lockc_program_run_time_seconds_total{program=\"file_open\"}", 1e-6),
    ] {
        let found = value(&after, name)?;
        if found < least {
            bail!("{name} is {found}, not {least}: {after}");
        }
    }
    let policy = "lockc_containers{policy=\"baseline\",level=\"baseline\",mode=\"enforce\"}";
    let confined = value(&after, policy)?;
    until(30, "nothing runs between two scrapes", || {
        Ok(sh("systemctl list-units --no-legend 'lockc-metrics@*' | wc -l")? == "0")
    })?;
    Ok(format!("{} denials, {confined} confined", value(&after, denials)?))
}

/// A peer that sends nothing, or no HTTP, gets no answer that helps it, and keeps nobody else away.
pub fn bad_peers() -> Result<String> {
    sh("(exec 3<> /dev/tcp/127.0.0.1/9752; sleep 40) > /dev/null 2>&1 &")?;
    let said =
        sh("exec 3<> /dev/tcp/127.0.0.1/9752 && printf '\\x16\\x03\\x01\\r\\n\\r\\n' >&3 && \
                   cat <&3")?;
    if !said.starts_with("HTTP/1.1 400") {
        bail!("not HTTP, and still answered: {said}");
    }
    if value(&sh(SCRAPE)?, "lockc_enforcing")? != 1.0 {
        bail!("a peer that says nothing keeps others away");
    }
    until(40, "the silent peer's process is ended", || {
        Ok(sh("systemctl list-units --no-legend 'lockc-metrics@*' | wc -l")? == "0")
    })?;
    Ok("refused, and ended".into())
}

/// For node_exporter.
pub fn textfile() -> Result<String> {
    let directory = "/var/lib/prometheus/node-exporter";
    sh(&format!("mkdir -p {directory} && systemctl start lockc-textfile.service"))?;
    let text = fs::read_to_string(format!("{directory}/lockc.prom")).context("no text file")?;
    if value(&text, "lockc_enforcing")? != 1.0 {
        bail!("{text}");
    }
    sh(&format!("stat -c %a {directory}/lockc.prom"))
}

/// The journal's entries with a field, oldest first.
fn entries(matches: &str) -> Result<Vec<Value>> {
    let text = sh(&format!("journalctl --no-pager -o json {matches}"))?;
    text.lines().map(|line| serde_json::from_str(line).context("no JSON")).collect()
}

/// What the journal has of the container's denials. The service begins with what is on record, and
/// begins again where it was.
pub fn journal() -> Result<String> {
    let matched = format!("LOCKC_RULE=sysfs LOCKC_NAME={}", keeper::NAME);
    sh("systemctl start lockc-journal")?;
    until(60, "the journal has the denial", || Ok(!entries(&matched)?.is_empty()))?;
    let first = entries(&matched)?.remove(0);
    for (field, expected) in [
        ("SYSLOG_IDENTIFIER", "lockc"),
        ("PRIORITY", "4"),
        ("LOCKC_MODE", "enforce"),
        ("LOCKC_POLICY", "baseline"),
        ("LOCKC_CONTAINER", &keeper::id()?),
    ] {
        if first[field] != expected {
            bail!("{field} is not {expected}: {first}");
        }
    }
    // `ls` looks at the directory before it opens it.
    if !["file_open", "inode_getattr"].iter().any(|hook| first["LOCKC_HOOK"] == *hook) {
        bail!("another hook: {first}");
    }
    let text = first["MESSAGE"].as_str().unwrap_or_default();
    if !text.contains("(LOCKC-D") || !first["LOCKC_OBJECT"].as_str().unwrap_or("").contains("ext4")
    {
        bail!("the entry does not say what was denied: {first}");
    }
    let cursor = || sh("cat /run/lockc/journal-cursor");
    until(10, "the place is kept", || Ok(cursor().is_ok()))?;
    let (number, count) = (cursor()?, entries(&matched)?.len());
    sh("systemctl restart lockc-journal && sleep 3")?;
    let (again, next) = (cursor()?, entries(&matched)?.len());
    let news = again.parse::<usize>()? - number.parse::<usize>()?;
    if next > count + news {
        bail!("{count} entries became {next} with {news} new ones in the log");
    }
    sh("systemctl stop lockc-journal lockc-metrics.socket")?;
    Ok(format!("{next} entries"))
}
