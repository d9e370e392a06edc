//! The part `btrfs`: cases of other parts once more, with the host's root on a btrfs subvolume and
//! its storage on a second one.
//!
//! What identifies a file elsewhere does not there: the roots of all subvolumes have one inode
//! number, and their superblock one device number.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::cases::{Case, Row, Test, case_of, row};
use crate::command;
use crate::docker::{self, IMAGE};
use crate::lab::Lab;
use crate::launch::Runtime;
use crate::select::Part;

/// Set in the process that runs there.
const INSIDE: &str = "LOCKC_IT_BTRFS";

/// Goes on in such a root; comes back where it is one already.
pub fn enter() -> Result<()> {
    if std::env::var_os(INSIDE).is_some() {
        return Ok(());
    }
    let own = std::env::current_exe().context("cannot find this program")?;
    let error = Command::new("bash")
        .args(["-c", include_str!("btrfs.sh"), "bash"])
        .arg(own)
        .args(std::env::args_os().skip(1))
        .env(INSIDE, "1")
        .exec();
    Err(error).context("cannot run bash")
}

/// Cases of other parts under names of their own, where they say so, and [`ROWS`].
pub fn cases(of: &[Case]) -> Vec<Case> {
    let own = |row: &Row| Case { runtime: Runtime::Runc, ..case_of(row, Part::Btrfs) };
    let again = |case: &Case| {
        Some(Case {
            name: format!("btrfs/{}", case.name),
            part: Part::Btrfs,
            tier: case.btrfs?,
            btrfs: None,
            runtime: case.runtime,
            needs: case.needs,
            test: case.test,
        })
    };
    let mut cases: Vec<Case> = ROWS.iter().map(own).collect();
    cases.extend(of.iter().filter_map(again));
    // Last: Docker runs with another driver from then on.
    cases.extend(LAST.iter().map(own));
    cases
}

const ROWS: &[Row] = &[row("btrfs/root-is-a-subvolume", Test::Code(root_is_a_subvolume)).smoke()];
const LAST: &[Row] = &[row("btrfs/docker-driver", Test::Code(driver)).smoke()];

/// That the other cases prove what they say.
fn root_is_a_subvolume(_: &mut Lab, _: Runtime) -> Result<String> {
    let roots = command::sh("stat -f -c %T / /home; stat -c %i / /home")?;
    let words: Vec<&str> = roots.split_whitespace().collect();
    if words == ["btrfs", "btrfs", "256", "256"] {
        Ok(roots.replace('\n', " "))
    } else {
        bail!("{roots}")
    }
}

/// Docker's own btrfs driver: each container's root is a subvolume, in storage on the second one.
fn driver(lab: &mut Lab, _: Runtime) -> Result<String> {
    let plain = lab.plain;
    lab.docker()?;
    docker::restart_with(&[
        ("storage-driver", "btrfs".into()),
        ("data-root", "/home/docker".into()),
    ])?;
    let used = command::run(&["docker", "info", "--format", "{{.Driver}}"])?.must()?;
    if used.trim() != "btrfs" {
        bail!("Docker uses {used}");
    }
    let run = |args: &[&str]| {
        let runtime: &[&str] = if plain { &[] } else { &["--runtime", "lockc"] };
        command::run(
            &[&["docker", "run", "--rm", "--network", "none"], runtime, &[IMAGE], args].concat(),
        )
    };
    run(&["sh", "-ec", "id; echo x > /f; cat /f; ls /bin > /dev/null"])?
        .must()
        .context("an ordinary container")?;
    if plain {
        return Ok("runs without lockc".into());
    }
    for denied in [
        &["ls", "/sys/fs/btrfs"][..],
        &["/probe", "mknod", "/m", "b", "254", "0"],
        &["/probe", "read", "/proc/kallsyms"],
    ] {
        let said = run(denied)?;
        if said.ok() {
            bail!("NOT CONFINED: {denied:?}: {}", said.said());
        }
    }
    Ok("ordinary work, and confined".into())
}
