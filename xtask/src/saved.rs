//! Machines that are resumed instead of booted: a machine that has booted, loaded lockc and
//! perhaps started an engine is saved once, and each run of cases continues from there.
//!
//! A state is a directory in the cache: the memory as QEMU migrates it, and what the machine had
//! written to its disk. Its name has a hash of everything that it was made from, the programs
//! above all, so that no other program meets it. A state that does not come up is removed, and the
//! machine boots.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow, bail};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::kernels::Kernel;
use crate::places;
use crate::qemu::{Start, State};
use crate::vm::{Done, Machine, TimedOut, Vm};
use crate::{assets, emulator, ui};

/// What `lockc-it wait` says when it is ready to be saved, and when it goes on.
const PREPARED: &str = "lockc-it: prepared";
const RESUMED: &str = "lockc-it: resumed";
/// The size of the disk that brings a resumed machine its job.
const JOB: u64 = 64 << 10;
/// How long a machine that is resumed may be silent.
const SILENCE: Duration = Duration::from_secs(60);
/// How long a state of another working tree is kept that nothing uses.
const KEPT: Duration = Duration::from_secs(3 * 3600);

/// The state of this machine with the programs of `input`, on a base of `lockc-it wait`; made if it
/// is not there and `make` says so.
pub fn state(vm: &Vm, input: &Path, base: &str, make: bool) -> Result<Option<State>> {
    let tree = assets::stamp(&[&crate::root().display().to_string()]);
    let Kernel { name, guest, .. } = vm.kernel;
    let prefix = format!("state-{name}-{}-{base}-{tree}-", guest.name);
    let directory = places::cache()?.join(format!("{prefix}{}", key(vm, input, base)?));
    // Two runs that want the same state make it once.
    let lock = File::create(places::cache()?.join(format!("{prefix}lock")))
        .context("cannot create a state's lock")?;
    lock.lock().context("cannot lock a state")?;
    let state = State { directory };
    if state.directory.is_dir() {
        places::used(&state.directory);
        return Ok(Some(state));
    }
    if !make {
        return Ok(None);
    }
    sweep(&prefix)?;
    let scratch = tempfile::Builder::new()
        .prefix(&prefix)
        .suffix(".making")
        .tempdir_in(places::cache()?)
        .context("cannot create a directory in the cache")?;
    let made = State { directory: scratch.path().to_owned() };
    save(vm, input, base, &made)?;
    fs::rename(&made.directory, &state.directory).context("cannot move a state")?;
    // It has another name now.
    let _ = scratch.keep();
    Ok(Some(state))
}

/// The hash of everything that a state is made from.
fn key(vm: &Vm, input: &Path, base: &str) -> Result<String> {
    let mut hash = Sha256::new();
    let mut part = |name: &str, bytes: &[u8]| {
        for bytes in [name.as_bytes(), bytes] {
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        }
    };
    part("base", base.as_bytes());
    part("kernel's command line", vm.append.as_bytes());
    part("emulator", emulator::version(vm.kernel.platform)?.as_bytes());
    part("machine", include_bytes!("qemu.rs"));
    part("platform", format!("{:?}", vm.kernel.platform).as_bytes());
    part("state", include_bytes!("saved.rs"));
    // Not by their names alone: an image that was made again has other files in other places.
    for path in [vm.kernel.directory()?, vm.kernel.image()?] {
        let metadata =
            fs::metadata(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let created = metadata.created().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        part(
            &path.display().to_string(),
            format!("{} {} {created:?}", metadata.ino(), metadata.len()).as_bytes(),
        );
    }
    let mut files: Vec<PathBuf> = fs::read_dir(input)
        .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect())
        .with_context(|| format!("cannot list {}", input.display()))?;
    files.sort();
    for path in files {
        let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        part(&path.file_name().unwrap_or_default().to_string_lossy(), &bytes);
    }
    Ok(hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect())
}

/// Removes the states that this one replaces, or that an interrupted run left, and those of other
/// trees that nothing has used lately. A state has some 500 MB.
fn sweep(prefix: &str) -> Result<()> {
    for entry in fs::read_dir(places::cache()?).context("cannot list the cache")?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let modified = entry.metadata().and_then(|metadata| metadata.modified());
        let stale = modified.is_ok_and(|time| time.elapsed().is_ok_and(|age| age > KEPT));
        let useless = name.starts_with(prefix) || name.starts_with("state-") && stale;
        if useless && entry.path().is_dir() {
            // A leftover costs only space.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    Ok(())
}

/// Boots a machine, waits until it is prepared, and saves it.
fn save(vm: &Vm, input: &Path, base: &str, to: &State) -> Result<()> {
    let scratch = vm.scratch(input, &format!("exec ./lockc-it wait {base}"))?;
    let at = |name: &str| scratch.path().join(name);
    fs::rename(at("in.tar"), to.input())
        .or_else(|_| fs::copy(at("in.tar"), to.input()).map(drop))
        .context("cannot keep the programs")?;
    sparse(&at("job"), JOB)?;
    // A relative name would be looked for beside the overlay.
    let image = std::path::absolute(vm.kernel.image()?).context("cannot find the image")?;
    ui::capture(
        Command::new("qemu-img")
            .args(["create", "-q", "-f", "qcow2", "-F", "raw", "-b"])
            .arg(image)
            .arg(to.disk()),
    )?;
    let mut qemu = vm.qemu(scratch.path(), Start::Save(to))?;
    qemu.arg("-qmp").arg(format!("unix:{},server=on,wait=off", at("qmp").display()));
    let machine = Machine::start(qemu, scratch.path())?;
    let end = Instant::now() + vm.timeout;
    let mut said = Vec::new();
    loop {
        match machine.line(end) {
            Ok(Some(line)) if line == PREPARED => break,
            Ok(Some(line)) => said.push(line),
            Ok(None) => bail!("the machine ended before it was prepared: {}", said.join("; ")),
            Err(TimedOut) => bail!("the machine was not prepared in {} s", vm.timeout.as_secs()),
        }
    }
    let mut monitor = Monitor::connect(&at("qmp"))?;
    monitor.execute("stop", &json!({}))?;
    monitor.execute("migrate-set-parameters", &json!({"max-bandwidth": 1_u64 << 40}))?;
    monitor.execute("migrate", &json!({"uri": "exec:cat > \"$LOCKC_MEMORY\""}))?;
    let end = Instant::now() + SILENCE;
    loop {
        let migration = monitor.execute("query-migrate", &json!({}))?;
        match migration["status"].as_str() {
            Some("completed") => break,
            Some("failed" | "cancelled") => bail!("the machine could not be saved: {migration}"),
            _ if end < Instant::now() => bail!("the machine is not saved yet: {migration}"),
            _ => std::thread::sleep(Duration::from_millis(50)),
        }
    }
    monitor.execute("quit", &json!({}))?;
    while let Ok(Some(_)) = machine.line(end) {}
    machine.end(scratch.path())
}

/// Resumes a machine and lets `lockc-it` run with `args`; nothing if it did not come up, in which
/// case it has run nothing.
pub fn resume(
    vm: &Vm,
    state: &State,
    args: &[String],
    on_line: &mut dyn FnMut(&str),
) -> Result<Option<Done>> {
    let scratch = tempfile::Builder::new()
        .prefix("lockc-vm-")
        .tempdir()
        .context("cannot create a temporary directory")?;
    let job = scratch.path().join("job");
    let mut seed = [0_u8; 64];
    File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut seed))
        .context("cannot read random numbers")?;
    let time = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is before 1970")?;
    let text = json!({
        "args": args, "time": [time.as_secs(), time.subsec_nanos()], "seed": seed.to_vec(),
    });
    let text = text.to_string();
    if text.len() as u64 > JOB {
        bail!("the job has {} bytes, more than its disk", text.len());
    }
    fs::write(&job, text).context("cannot write the job")?;
    sparse(&job, JOB)?;
    vm.output(scratch.path())?;
    let machine = Machine::start(vm.qemu(scratch.path(), Start::Resume(state))?, scratch.path())?;
    let (silence, end) = (Instant::now() + SILENCE, Instant::now() + vm.timeout);
    loop {
        match machine.line(silence) {
            Ok(Some(line)) if line == RESUMED => break,
            Ok(Some(line)) => on_line(&line),
            Ok(None) | Err(TimedOut) => {
                let log = ui::tail(&scratch.path().join("qemu.log"), 1000);
                on_line(&format!("lockc-vm: the saved machine did not come up: {log}"));
                return Ok(None);
            }
        }
    }
    vm.follow(machine, scratch.path(), end, on_line)?;
    vm.done(scratch.path()).map(Some)
}

/// Gives a file that size, with zeros at its end.
fn sparse(path: &Path, size: u64) -> Result<()> {
    File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .and_then(|file| file.set_len(size))
        .with_context(|| format!("cannot create {}", path.display()))
}

/// QEMU's monitor: a JSON object a line.
struct Monitor {
    to: UnixStream,
    from: BufReader<UnixStream>,
}

impl Monitor {
    fn connect(path: &Path) -> Result<Self> {
        let to = UnixStream::connect(path).context("cannot reach QEMU's monitor")?;
        to.set_read_timeout(Some(SILENCE)).context("cannot set a time limit")?;
        let from = BufReader::new(to.try_clone().context("cannot share a socket")?);
        let mut monitor = Self { to, from };
        monitor.message()?;
        monitor.execute("qmp_capabilities", &json!({}))?;
        Ok(monitor)
    }

    fn message(&mut self) -> Result<Value> {
        let mut line = String::new();
        if self.from.read_line(&mut line).context("QEMU's monitor is silent")? == 0 {
            bail!("QEMU's monitor is gone");
        }
        serde_json::from_str(&line).with_context(|| format!("QEMU's monitor said {line:?}"))
    }

    /// Runs a command and returns what it returns.
    fn execute(&mut self, command: &str, arguments: &Value) -> Result<Value> {
        writeln!(self.to, "{}", json!({"execute": command, "arguments": arguments}))
            .context("cannot write to QEMU's monitor")?;
        loop {
            let mut message = self.message()?;
            if let Some(error) = message.get("error") {
                return Err(anyhow!("QEMU refuses {command}: {error}"));
            }
            if let Some(value) = message.get_mut("return") {
                return Ok(value.take());
            }
            // An event.
        }
    }
}
