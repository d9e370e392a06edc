//! The demo's seven rows as cases: worked without lockc, stopped with a reason, works for
//! privileged.

use anyhow::{Context, Result, bail};

use super::{Row, Test, row};
use crate::demo::{self, Renamed, Went};
use crate::lab::Lab;
use crate::launch::Runtime;

const fn case(name: &'static str, code: fn(&mut Lab, Runtime) -> Result<String>) -> Row {
    row(name, Test::Code(code))
}

pub const ROWS: &[Row] = &[
    case("demo/sysfs", |lab, _| check(lab, "sysfs")).smoke().on_btrfs(),
    case("demo/host-root", |lab, _| check(lab, "host-root")),
    case("demo/chroot", |lab, _| check(lab, "chroot")).thorough(),
    case("demo/docker-sock", |lab, _| check(lab, "docker-sock")).smoke().on_btrfs_thorough(),
    case("demo/renamed-sock", |lab, _| check(lab, "renamed-sock")).thorough(),
    case("demo/privileged", |lab, _| check(lab, "privileged")).smoke().on_btrfs_thorough(),
    case("demo/dmesg", |lab, _| check(lab, "dmesg")).smoke(),
];

fn check(lab: &mut Lab, name: &str) -> Result<String> {
    lab.docker()?;
    let row = demo::ROWS.iter().find(|row| row.name == name).context("no such row")?;
    let (disk, _renamed) = (demo::disk()?, Renamed::new()?);
    let plain = demo::run_row(row, "", &disk)?;
    if lab.plain {
        return if matches!(plain, Went::Worked(_)) {
            Ok("works without lockc".into())
        } else {
            bail!("{plain:?}")
        };
    }
    let baseline = demo::run_row(row, "lockc", &disk)?;
    let privileged = demo::run_row(row, "lockc-privileged", &disk)?;
    if !demo::as_promised(&plain, &baseline, &privileged) {
        bail!("plain {plain:?}; baseline {baseline:?}; privileged {privileged:?}");
    }
    Ok(format!("{baseline:?}"))
}
