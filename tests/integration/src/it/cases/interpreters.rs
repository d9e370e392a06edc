//! Interpreters that the host's root registered in binfmt_misc (qemu-user, `--platform`): with the
//! flag F the kernel opened them then, and executes them in every container.

use anyhow::{Context, Result, bail};

use super::{Row, Skip, Test, row};
use crate::bundle::{self, Bundle, PLACE};
use crate::command::{self, Run};
use crate::lab::Lab;
use crate::launch::{self, By, Running, Runtime};

pub const ROWS: &[Row] = &[
    row("interpreters/registered-by-the-host", Test::Code(registered)),
    row("interpreters/without-the-flag", Test::Code(without_flag)),
];

const REGISTER: &str = "/proc/sys/fs/binfmt_misc/register";
/// Busybox, which is `cat` by this name: a foreign program prints itself.
const INTERPRETER: &str = "/usr/local/lib/lockc-it/cat";
const FOREIGN: &str = "LOCKCMAGIC foreign";

/// Entries of the host's, until it is dropped.
struct Entries(Vec<String>);

impl Entries {
    /// One for each set of flags; their magic ends with the flags.
    fn register(sets: &[&str]) -> Result<Self> {
        if !command::run(&["modprobe", "binfmt_misc"])?.ok() {
            return Err(Skip("this kernel has no binfmt_misc".into()).into());
        }
        let root = bundle::common_rootfs()?;
        command::sh(&format!(
            "mkdir -p {PLACE}/data $(dirname {INTERPRETER}); install -m 755 /usr/bin/busybox \
             {INTERPRETER}; [ -e {REGISTER} ] || mount -t binfmt_misc none $(dirname {REGISTER})"
        ))?;
        let mut entries = Self(Vec::new());
        for set in sets {
            let name = format!("lockc-it-{set}");
            command::sh(&format!(
                "echo ':{name}:M::LOCKC-{set}-::{INTERPRETER}:{set}' > {REGISTER}"
            ))
            .with_context(|| format!("the kernel does not take {set:?}"))?;
            entries.0.push(name);
            for place in [&root, &format!("{PLACE}/data")] {
                command::sh(&format!(
                    "printf 'LOCKC-{set}- {FOREIGN}\\n' > {place}/foreign-{set}; chmod 755 \
                     {place}/foreign-{set}"
                ))?;
            }
        }
        Ok(entries)
    }
}

impl Drop for Entries {
    fn drop(&mut self) {
        for name in &self.0 {
            // Another case registers its own.
            let _ = command::sh(&format!("echo -1 > /proc/sys/fs/binfmt_misc/{name}"));
        }
    }
}

fn prints(run: &Run, what: &str) -> Result<()> {
    if run.ok() && run.stdout.contains(FOREIGN) { Ok(()) } else { bail!("{what}: {}", run.said()) }
}

/// Foreign programs run as without lockc; the interpreter is not to be had otherwise, and is
/// checked as the container.
fn registered(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    let sets = ["F", "OCF", "PF"];
    let _entries = Entries::register(&sets)?;
    let by = super::by_of(lab, runtime, "baseline");
    let mut said = Vec::new();
    for set in sets {
        let program = format!("/foreign-{set}");
        prints(&launch::run(by, &Bundle::new(&[&program]))?, &program)?;
        let script =
            format!("{program}; /vol{program}; cp {program} /tmp/f; /tmp/f; echo status $?");
        let bundle = |script: &str| {
            Bundle::new(&["sh", "-c", script]).bind(&format!("{PLACE}/data"), "/vol")
        };
        let run = launch::run(by, &bundle(&script))?;
        // With P the name by which it was called comes as an argument too.
        if run.stdout.matches(FOREIGN).count() < 3 {
            bail!("{program} in a shell: {}", run.said());
        }
        let running = Running::start(by, &Bundle::new(&["sleep", "1000"]))?;
        prints(&running.exec(&[&program])?, &format!("exec of {program}"))?;
        said.push(run.said());
    }
    if lab.plain {
        return Ok("works without lockc".into());
    }
    // What it reads is checked: `cat` in the host's name would read these.
    lab.forget_events()?;
    for path in ["/sys/fs/ext4", "/proc/kallsyms"] {
        let script = format!("/foreign-F {path}");
        let run = launch::run(By::Lockc("baseline"), &Bundle::new(&["sh", "-c", &script]))?;
        if run.ok() {
            bail!("NOT DENIED: {path}: {}", run.said());
        }
    }
    lab.expect_event_of(&["procfs", "sysfs"])?;
    // Its file cannot be opened, nor executed by the link that leads to it.
    for script in [
        format!("cat {INTERPRETER}"),
        "/foreign-F /proc/self/exe > /tmp/taken; grep -q BusyBox /tmp/taken && echo READ"
            .to_owned(),
        // While it waits for its input, to its neighbours.
        "mkfifo /tmp/f; /foreign-F /tmp/f & sleep 1; cat /proc/$!/exe > /tmp/taken; /proc/$!/exe \
         --help > /tmp/ran 2>&1; grep -q BusyBox /tmp/taken /tmp/ran && echo READ; kill $!"
            .to_owned(),
    ] {
        let run = launch::run(By::Lockc("baseline"), &Bundle::new(&["sh", "-c", &script]))?;
        if run.stdout.contains("READ") {
            bail!("READ by {script}: {}", run.said());
        }
    }
    Ok(said.join("; "))
}

/// Without it the interpreter is looked for in the container, as any program.
fn without_flag(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    let _entries = Entries::register(&["OC"])?;
    let by = super::by_of(lab, runtime, "baseline");
    if launch::run(by, &Bundle::new(&["sh", "-c", "/foreign-OC"]))?.ok() {
        bail!("the host's interpreter was found in the container");
    }
    let script =
        format!("mkdir -p /usr/local/lib/lockc-it; cp /bin/busybox {INTERPRETER}; /foreign-OC");
    prints(
        &launch::run(by, &Bundle::new(&["sh", "-c", &script]))?,
        "an interpreter of the container's own",
    )?;
    Ok("the container's own".into())
}
