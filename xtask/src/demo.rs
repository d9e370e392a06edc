//! `cargo xtask demo`: the attacks that lockc was made for, each with and without it, as a table.
//!
//! The table is made by the guest's program (`lockc-it demo`): this module only finds it a machine.

mod picture;

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::kernels::Kernel;
use crate::vm::Vm;
use crate::{build, setup};

#[derive(clap::Args)]
pub struct Args {
    /// Run on this host instead of in a virtual machine: needs root, Docker, and BPF among the
    /// active LSMs
    #[arg(long)]
    here: bool,
    /// Which kernel to boot: 6.1, 6.12 or 7.2
    #[arg(long, default_value = "6.12", conflicts_with = "here")]
    kernel: String,
    /// Also draw the table as an SVG picture; docs/demo.svg is the README's
    #[arg(long, value_name = "FILE", conflicts_with = "here")]
    picture: Option<PathBuf>,
}

/// Shows the demo; true if everything went as it should.
pub fn run(args: &Args) -> Result<bool> {
    let kernel = Kernel::named(&args.kernel)?;
    setup::run(if args.here { &[] } else { std::slice::from_ref(&kernel) })?;
    let programs = build::guest_programs(kernel.arch())?;
    if args.here {
        let status = Command::new(programs.join("lockc-it"))
            .args(["demo", "--here"])
            .current_dir(&programs)
            .status()
            .context("cannot run the demo's program")?;
        return Ok(status.success());
    }
    eprintln!(
        "  .. booting a virtual machine with kernel {} and Docker (emulated: the demo takes about \
         two minutes)",
        kernel.name
    );
    let machine = Vm {
        kernel,
        timeout: Duration::from_secs(900),
        append: String::new(),
        workloads: false,
        systemd: None,
        counts_instructions: false,
    };
    let mut printed = Vec::new();
    let done = machine.run(&programs, "./lockc-it demo", &mut |line| {
        println!("{line}");
        printed.push(line.to_owned());
    })?;
    match &args.picture {
        Some(file) if done.status == 0 => std::fs::write(file, picture::svg(&printed))
            .with_context(|| format!("cannot write {}", file.display()))?,
        _ => {}
    }
    Ok(done.status == 0)
}
