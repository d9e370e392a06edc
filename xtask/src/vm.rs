//! Boots a virtual machine, runs one command in it as root, and returns its output line by line.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::kernels::Kernel;
use crate::plan::ENGINELESS;
use crate::qemu::Start;
use crate::{build, setup, ui};

/// Written to the console by the guest's script; before it, a dead machine is QEMU's fault and not
/// the command's.
const UP: &str = "lockc-vm: up";
const BOOT_ATTEMPTS: u32 = 3;

#[derive(clap::Args)]
pub struct Args {
    /// Which kernel: 6.1, 6.12, 7.2, or 6.12-aarch64 and the like
    #[arg(long, default_value = "6.12")]
    kernel: String,
    /// Seconds until the machine is stopped
    #[arg(long, default_value_t = 600)]
    timeout: u64,
    /// Use lockc's programs as they were built last time
    #[arg(long)]
    no_build: bool,
    /// Another working directory than lockc's programs: a copy of this folder
    #[arg(long, value_name = "FOLDER")]
    input: Option<PathBuf>,
    /// Copy what the command left in /vm/out to this folder
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// More of the kernel's command line
    #[arg(long, default_value = "")]
    append: String,
    /// With the guest of cases that need no container engine, where there is one for them
    #[arg(long)]
    small: bool,
    /// With the workloads' disk, whose serial number is lockc-work
    #[arg(long)]
    workloads: bool,
    /// With systemd as PID 1, on this disk: made if it isn't there, and what the machine writes
    /// stays on it
    #[arg(long, value_name = "FILE")]
    systemd: Option<PathBuf>,
    /// With a clock that advances by a nanosecond an instruction (slower)
    #[arg(long)]
    counts_instructions: bool,
    /// The command, for bash
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

/// `cargo xtask vm`.
pub fn command(args: &Args) -> Result<bool> {
    let kernel = Kernel::named(&args.kernel)?;
    let kernel = if args.small { kernel.for_parts(&ENGINELESS) } else { kernel };
    setup::run(&[kernel])?;
    let programs = match &args.input {
        Some(folder) => folder.clone(),
        None if args.no_build => build::folder(kernel.arch())?,
        None => build::guest_programs(kernel.arch())?,
    };
    let machine = Vm {
        kernel,
        timeout: Duration::from_secs(args.timeout),
        append: args.append.clone(),
        workloads: args.workloads,
        systemd: args.systemd.clone(),
        counts_instructions: args.counts_instructions,
    };
    let done = machine.run(&programs, &args.command.join(" "), &mut |line| println!("{line}"))?;
    if let Some(out) = &args.out {
        ui::capture(Command::new("cp").arg("-rT").arg(done.out.path()).arg(out))?;
    }
    if done.status != 0 {
        eprintln!("xtask: the command ended with status {}", done.status);
    }
    Ok(done.status == 0)
}

/// A machine to boot.
pub struct Vm {
    pub kernel: Kernel,
    pub timeout: Duration,
    pub append: String,
    /// Whether it gets the workloads' disk.
    pub workloads: bool,
    /// With systemd as PID 1, on this disk, which keeps what the machine writes: the next boot is
    /// a reboot. Without it, the guest's script is PID 1 and nothing is kept.
    pub systemd: Option<PathBuf>,
    /// Whether its clock advances by a nanosecond an instruction, whatever the time: for
    /// measurements that repeat.
    pub counts_instructions: bool,
}

/// What came out.
pub struct Done {
    /// Exit status of the command.
    pub status: i32,
    /// What it left in `/vm/out`.
    pub out: tempfile::TempDir,
}

/// A child that does not outlive its owner.
struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        // Already gone is fine.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A line did not come in time.
pub struct TimedOut;

/// A machine that runs.
pub struct Machine {
    child: Guard,
    lines: Receiver<String>,
}

impl Machine {
    /// Starts QEMU.
    pub fn start(mut qemu: Command, scratch: &Path) -> Result<Self> {
        let log = fs::File::create(scratch.join("qemu.log")).context("cannot write a log")?;
        let child = qemu.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn();
        let mut child = Guard(child.context("cannot run QEMU; `cargo xtask setup` installs it")?);
        let output = child.0.stdout.take().context("qemu has no output")?;
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line).trim_end_matches('\r').to_owned();
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Ok(Self { child, lines })
    }

    /// The next line of its command; nothing when the machine has ended.
    pub fn line(&self, end: Instant) -> Result<Option<String>, TimedOut> {
        match self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(line) => Ok(Some(line)),
            Err(RecvTimeoutError::Disconnected) => Ok(None),
            Err(RecvTimeoutError::Timeout) => Err(TimedOut),
        }
    }

    /// Waits for QEMU, which must end well.
    pub fn end(mut self, scratch: &Path) -> Result<()> {
        let status = self.child.0.wait().context("cannot wait for qemu")?;
        if !status.success() {
            bail!("qemu failed ({status}): {}", ui::tail(&scratch.join("qemu.log"), 2000));
        }
        Ok(())
    }
}

impl Vm {
    /// Boots, runs `command` for bash with a copy of `input` as its working directory, powers off.
    pub fn run(&self, input: &Path, command: &str, on_line: &mut dyn FnMut(&str)) -> Result<Done> {
        let scratch = self.scratch(input, command)?;
        let at = |name: &str| scratch.path().join(name);
        for attempt in 1.. {
            self.output(scratch.path())?;
            let machine = Machine::start(self.qemu(scratch.path(), Start::Boot)?, scratch.path())?;
            self.follow(machine, scratch.path(), Instant::now() + self.timeout, on_line)?;
            let console = fs::read(at("console.log")).unwrap_or_default();
            if String::from_utf8_lossy(&console).contains(UP) {
                break;
            }
            let end = ui::tail(&at("console.log"), 1500);
            if attempt == BOOT_ATTEMPTS {
                bail!(
                    "kernel {} did not reach user space in {attempt} attempts; the console's \
                     end:\n{end}",
                    self.kernel.name
                );
            }
            let last = end.lines().last().unwrap_or("nothing on the console");
            eprintln!(
                "     {}: did not reach user space ({last}), booting again",
                self.kernel.name
            );
        }
        self.done(scratch.path())
    }

    /// A directory with the machine's input.
    pub fn scratch(&self, input: &Path, command: &str) -> Result<tempfile::TempDir> {
        let scratch = tempfile::Builder::new()
            .prefix("lockc-vm-")
            .tempdir()
            .context("cannot create a temporary directory")?;
        let at = |name: &str| scratch.path().join(name);
        fs::write(at(".command"), format!("{command}\n")).context("cannot write the command")?;
        let mut tar = Command::new("tar");
        tar.arg("cf")
            .arg(at("in.tar"))
            .arg("--owner=0")
            .arg("--group=0")
            .arg("-C")
            .arg(scratch.path())
            .arg(".command");
        ui::capture(tar.arg("-C").arg(input).arg("."))?;
        self.output(scratch.path())?;
        Ok(scratch)
    }

    /// Makes the disk that the machine writes its output to, empty.
    pub fn output(&self, scratch: &Path) -> Result<()> {
        fs::File::create(scratch.join("out.tar"))
            .and_then(|file| file.set_len(64 << 20))
            .context("cannot create the output disk")
    }

    /// What came out of a machine that has ended.
    pub fn done(&self, scratch: &Path) -> Result<Done> {
        let out = tempfile::Builder::new()
            .prefix("lockc-out-")
            .tempdir()
            .context("cannot create a temporary directory")?;
        // An empty disk (the machine died) is no tar: the missing status below says so.
        let _ = Command::new("tar")
            .arg("xf")
            .arg(scratch.join("out.tar"))
            .arg("-C")
            .arg(out.path())
            .stderr(Stdio::null())
            .status();
        let status = fs::read_to_string(out.path().join(".status"))
            .ok()
            .and_then(|text| text.trim().parse().ok());
        match status {
            Some(status) => Ok(Done { status, out }),
            None => bail!(
                "the machine with kernel {} died before the command ended; the console's end:\n{}",
                self.kernel.name,
                ui::tail(&scratch.join("console.log"), 4000)
            ),
        }
    }

    /// Hands a machine's lines over until it ends.
    pub fn follow(
        &self,
        machine: Machine,
        scratch: &Path,
        end: Instant,
        on_line: &mut dyn FnMut(&str),
    ) -> Result<()> {
        loop {
            match machine.line(end) {
                Ok(Some(line)) => on_line(&line),
                Ok(None) => return machine.end(scratch),
                Err(TimedOut) => bail!(
                    "kernel {}: the machine was stopped after {} s; the console's end:\n{}",
                    self.kernel.name,
                    self.timeout.as_secs(),
                    ui::tail(&scratch.join("console.log"), 2000)
                ),
            }
        }
    }
}
