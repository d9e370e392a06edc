//! containerd's own client: `ctr run`, with lockc's wrapper in the place of runc.

use anyhow::{Result, bail};

use super::cri::{expect, needs_lockc};
use super::{Row, Test, row};
use crate::command::{self, Run};
use crate::config::with_drop_in;
use crate::containerd::{IMAGE, TOLD};
use crate::lab::Lab;
use crate::launch::{Runtime, WRAPPER, fresh_id};

pub const ROWS: &[Row] = &[
    Row {
        tags: &["smoke", "ctr"],
        ..case("ctr/default", |lab, _| chosen(lab, WRAPPER, "", &[], "baseline", "the default"))
    },
    case("ctr/annotation", |lab, _| {
        let options = ["--annotation", "org.lockc.policy=offline"];
        chosen(lab, WRAPPER, "", &options, "offline", "annotation org.lockc.policy")
    }),
    case("ctr/annotation-above-ceiling", |lab, _| {
        refused(lab, "", &["--annotation", "org.lockc.policy=privileged"], &["privileged", "baseline", "`ceiling`"])
    }),
    case("ctr/engine-default", |lab, _| {
        let config = "[engines.containerd]\ndefault = 'offline'\n";
        chosen(lab, WRAPPER, config, &[], "offline", "engines.containerd.default")
    }),
    case("ctr/engine-ceiling", |lab, _| {
        let config = "[engines.containerd]\nceiling = 'restricted'\n";
        let texts = ["baseline", "restricted", "engines.containerd.ceiling"];
        refused(lab, config, &["--annotation", "org.lockc.policy=baseline"], &texts)
    }),
    case("ctr/other-engines-default", |lab, _| {
        let config = "[engines.cri]\ndefault = 'offline'\n";
        chosen(lab, WRAPPER, config, &[], "baseline", "the default")
    }),
    case("ctr/binary-told", |lab, _| {
        let options = ["--user", "1000", "--cap-drop", "ALL", "--seccomp"];
        let drops = [
            "CAP_CHOWN",
            "CAP_DAC_OVERRIDE",
            "CAP_FSETID",
            "CAP_FOWNER",
            "CAP_MKNOD",
            "CAP_NET_RAW",
            "CAP_SETGID",
            "CAP_SETUID",
            "CAP_SETFCAP",
            "CAP_SETPCAP",
            "CAP_SYS_CHROOT",
            "CAP_KILL",
            "CAP_AUDIT_WRITE",
        ];
        let mut words = vec![options[0], options[1], options[4]];
        words.extend(drops.iter().flat_map(|name| ["--cap-drop", name]));
        chosen(lab, TOLD, "", &words, "restricted", "--lockc-policy")
    }),
    case("ctr/pretended-namespace", |lab, _| {
        let options = [
            "--annotation",
            "io.kubernetes.cri.sandbox-namespace=trusted",
            "--annotation",
            "io.kubernetes.cri.container-type=sandbox",
        ];
        chosen(lab, WRAPPER, "", &options, "baseline", "the default")
    }),
    case("ctr/privileged", |lab, _| refused(lab, "", &["--privileged"], &["--privileged gives"])),
    case("ctr/host-network", |lab, _| refused(lab, "", &["--net-host"], &["host-namespaces: "])),
    case("ctr/exec", exec),
];

const fn case(name: &'static str, code: fn(&mut Lab, Runtime) -> Result<String>) -> Row {
    Row { tags: &["ctr"], ..row(name, Test::Code(code)) }
}

/// A container in the background, removed when dropped.
pub struct Background(pub String);

impl Drop for Background {
    fn drop(&mut self) {
        // It may not have started.
        let _ = command::run(&["ctr", "task", "rm", "-f", &self.0]);
        let _ = command::run(&["ctr", "container", "rm", &self.0]);
    }
}

/// `ctr run -d`.
pub fn background(binary: &str, options: &[&str]) -> Result<(Background, Run)> {
    let c = Background(fresh_id());
    let mut words = vec!["ctr", "run", "-d", "--null-io", "--runc-binary", binary];
    words.extend(options);
    words.extend([IMAGE, c.0.as_str(), "sleep", "1000"]);
    let run = command::run(&words)?;
    Ok((c, run))
}

fn chosen(lab: &mut Lab, binary: &str, config: &str, options: &[&str], policy: &str, origin: &str) -> Result<String> {
    needs_lockc(lab)?;
    lab.containerd()?;
    with_drop_in(config, || {
        let (c, run) = background(binary, options)?;
        run.must()?;
        expect(&c.0, policy, origin)?;
        Ok(format!("{policy} by {origin}"))
    })
}

/// Started without lockc; under it the reason is in what ctr says.
fn refused(lab: &mut Lab, config: &str, options: &[&str], texts: &[&str]) -> Result<String> {
    lab.containerd()?;
    background("/usr/sbin/runc", options)?.1.must()?;
    if lab.plain {
        return Ok("starts without lockc".into());
    }
    let (_c, run) = with_drop_in(config, || background(WRAPPER, options))?;
    let all = command::with_all_reasons(&run.stderr);
    if run.ok() || !run.stderr.contains("lockc: ") || texts.iter().any(|text| !all.contains(text)) {
        bail!("status {}: {}", run.status, run.said());
    }
    Ok(run.stderr)
}

fn exec(lab: &mut Lab, _: Runtime) -> Result<String> {
    lab.containerd()?;
    let (c, run) = background(if lab.plain { "/usr/sbin/runc" } else { WRAPPER }, &[])?;
    run.must()?;
    let exec = |id: &str| command::run(&["ctr", "task", "exec", "--exec-id", id, &c.0, "sh", "-c", "id -u; exit 3"]);
    let run = exec("e1")?;
    if run.status != 3 || run.stdout != "0" {
        bail!("status {}: {}", run.status, run.said());
    }
    Ok("its exit code and output".into())
}
