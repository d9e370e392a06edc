//! containerd's own client: `ctr run`, with lockc's wrapper in the place of runc.

use anyhow::{Context, Result, bail};

use super::cri::{expect, needs_lockc};
use super::{Row, Test, row};
use crate::command::{self, Run};
use crate::config::with_drop_in;
use crate::containerd::{IMAGE, TOLD};
use crate::lab::Lab;
use crate::launch::{Runtime, WRAPPER, fresh_id};

pub const ROWS: &[Row] = &[
    case("ctr/default", |lab, _| chosen(lab, WRAPPER, "", &[], "baseline", "the default")).smoke(),
    case("ctr/annotation", |lab, _| {
        let options = ["--annotation", "org.lockc.policy=offline"];
        chosen(lab, WRAPPER, "", &options, "offline", "annotation org.lockc.policy")
    }),
    case("ctr/annotation-above-ceiling", |lab, _| {
        refused(
            lab,
            "",
            &["--annotation", "org.lockc.policy=privileged"],
            &["privileged", "baseline", "`ceiling`"],
        )
    }),
    case("ctr/engine-default", |lab, _| {
        let config = "[engines.containerd]\ndefault = 'offline'\n";
        chosen(lab, WRAPPER, config, &[], "offline", "engines.containerd.default")
    })
    .thorough(),
    case("ctr/engine-ceiling", |lab, _| {
        let config = "[engines.containerd]\nceiling = 'restricted'\n";
        let texts = ["baseline", "restricted", "engines.containerd.ceiling"];
        refused(lab, config, &["--annotation", "org.lockc.policy=baseline"], &texts)
    })
    .thorough(),
    case("ctr/other-engines-default", |lab, _| {
        let config = "[engines.cri]\ndefault = 'offline'\n";
        chosen(lab, WRAPPER, config, &[], "baseline", "the default")
    })
    .thorough(),
    case("ctr/binary-told", |lab, _| {
        chosen(lab, TOLD, "", HARDENED, "restricted", "--lockc-policy")
    }),
    case("ctr/pretended-namespace", |lab, _| {
        let options = [
            "--annotation",
            "io.kubernetes.cri.sandbox-namespace=trusted",
            "--annotation",
            "io.kubernetes.cri.container-type=sandbox",
        ];
        chosen(lab, WRAPPER, "", &options, "baseline", "the default")
    })
    .thorough(),
    case("ctr/privileged", |lab, _| refused(lab, "", &["--privileged"], &["--privileged gives"])),
    case("ctr/host-network", |lab, _| refused(lab, "", &["--net-host"], &["host-namespaces: "]))
        .thorough(),
    case("ctr/exec", exec),
    case("ctr/rootfs", rootfs),
];

/// What restricted asks for.
pub const HARDENED: &[&str] = &[
    "--user=1000",
    "--seccomp",
    "--cap-drop=CAP_CHOWN",
    "--cap-drop=CAP_DAC_OVERRIDE",
    "--cap-drop=CAP_FSETID",
    "--cap-drop=CAP_FOWNER",
    "--cap-drop=CAP_MKNOD",
    "--cap-drop=CAP_NET_RAW",
    "--cap-drop=CAP_SETGID",
    "--cap-drop=CAP_SETUID",
    "--cap-drop=CAP_SETFCAP",
    "--cap-drop=CAP_SETPCAP",
    "--cap-drop=CAP_SYS_CHROOT",
    "--cap-drop=CAP_KILL",
    "--cap-drop=CAP_AUDIT_WRITE",
];

const fn case(name: &'static str, code: fn(&mut Lab, Runtime) -> Result<String>) -> Row {
    row(name, Test::Code(code))
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

fn chosen(
    lab: &mut Lab,
    binary: &str,
    config: &str,
    options: &[&str],
    policy: &str,
    origin: &str,
) -> Result<String> {
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
    let exec = |id: &str| {
        command::run(&["ctr", "task", "exec", "--exec-id", id, &c.0, "sh", "-c", "id -u; exit 3"])
    };
    let run = exec("e1")?;
    if run.status != 3 || run.stdout != "0" {
        bail!("status {}: {}", run.status, run.said());
    }
    Ok("its exit code and output".into())
}

/// Files of an image, which other containers have too, and a directory of the host's as the root
/// file system: `ctr run --rootfs DIR`.
fn rootfs(lab: &mut Lab, _: Runtime) -> Result<String> {
    lab.containerd()?;
    let layer = command::sh(
        "ls -d /var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots/*/fs/bin",
    )?;
    let layer = layer
        .lines()
        .next()
        .and_then(|line| line.strip_suffix("/bin"))
        .unwrap_or_default()
        .to_owned();
    let mut said = String::new();
    for root in [layer.as_str(), "/usr"] {
        let run = |binary: &str| {
            let id = fresh_id();
            let words = [
                "ctr",
                "run",
                "--rm",
                "--null-io",
                "--runc-binary",
                binary,
                "--rootfs",
                root,
                &id,
                "/bin/true",
            ];
            let run = command::run(&words);
            let _ = command::run(&["ctr", "container", "rm", &id]);
            run
        };
        run("/usr/sbin/runc")?.must().with_context(|| format!("proves nothing: {root}"))?;
        for binary in if lab.plain { &[][..] } else { &[WRAPPER, TOLD] } {
            said = command::shows(&run(binary)?, &["rootfs: "]).with_context(|| root.to_owned())?;
        }
    }
    Ok(said)
}
