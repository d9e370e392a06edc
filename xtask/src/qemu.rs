//! The command line of QEMU for a machine: without KVM, so that it works wherever the tests run;
//! one virtual CPU, because multi-threaded emulation dies now and then in early boot. An image is
//! never written (a snapshot, or a disk above it), so machines may share it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::vm::Vm;
use crate::{assets, emulator, places, ui};

/// A saved machine.
pub struct State {
    /// Where it is kept.
    pub directory: PathBuf,
}

impl State {
    pub fn disk(&self) -> PathBuf {
        self.directory.join("disk.qcow2")
    }

    pub fn memory(&self) -> PathBuf {
        self.directory.join("memory")
    }

    /// The programs' disk, which a resumed machine does not read again.
    pub fn input(&self) -> PathBuf {
        self.directory.join("in.tar")
    }

    /// Removes a state that is of no use.
    pub fn remove(self) {
        // What is left is removed with the next one.
        let _ = fs::remove_dir_all(self.directory);
    }
}

/// How a machine starts.
#[derive(Clone, Copy)]
pub enum Start<'a> {
    Boot,
    /// It boots, and is saved there.
    Save(&'a State),
    /// It goes on from there.
    Resume(&'a State),
}

impl Vm {
    fn processor(&self) -> Vec<&'static str> {
        let platform = self.kernel.platform;
        if self.counts_instructions {
            vec![
                "-accel",
                "tcg,thread=single,tb-size=512",
                "-icount",
                "shift=0,align=off,sleep=off",
                "-cpu",
                platform.counting_processor,
            ]
        } else {
            vec!["-accel", "tcg,thread=multi,tb-size=512", "-cpu", platform.processor]
        }
    }

    /// The machine as a command. One that is saved and one that is resumed have the same devices.
    pub fn qemu(&self, scratch: &Path, start: Start<'_>) -> Result<Command> {
        let directory = self.kernel.directory()?;
        let image = self.kernel.image()?;
        places::used(&directory);
        places::used(&image);
        let drive =
            |path: &Path, more: &str| format!("file={},if=none,format=raw,{more}", path.display());
        // setpriv: a killed xtask takes its machines along.
        let mut qemu = Command::new("setpriv");
        qemu.args(["--pdeathsig", "KILL"])
            .args(emulator::words(self.kernel.platform)?)
            .args(self.processor())
            .args(self.kernel.platform.machine)
            .args(["-m", "3G", "-smp", "1"])
            .args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"])
            .arg("-kernel")
            .arg(directory.join("vmlinuz"))
            .arg("-initrd")
            .arg(directory.join("initrd.img"))
            .arg("-append")
            .arg(format!(
                "{} quiet panic=-1 lsm=capability,landlock,yama,apparmor,bpf mitigations=off \
                 random.trust_cpu=on {} {}",
                self.kernel.platform.kernel,
                if self.systemd.is_some() { "lockc.systemd" } else { "" },
                self.append
            ))
            .arg("-serial")
            .arg(format!("file:{}", scratch.join("console.log").display()));
        let root = match (start, &self.systemd) {
            (Start::Save(state), _) => {
                format!("file={},if=none,format=qcow2,cache=unsafe", state.disk().display())
            }
            (Start::Resume(state), _) => format!(
                "file={},if=none,format=qcow2,snapshot=on,cache=unsafe",
                state.disk().display()
            ),
            (Start::Boot, None) => drive(&image, "snapshot=on,cache=unsafe"),
            (Start::Boot, Some(disk)) => {
                if !disk.exists() {
                    ui::capture(
                        Command::new("qemu-img")
                            .args(["create", "-q", "-f", "qcow2", "-F", "raw", "-b"])
                            .arg(&image)
                            .arg(disk),
                    )?;
                }
                format!("file={},if=none,format=qcow2,cache=unsafe", disk.display())
            }
        };
        let input = match start {
            Start::Boot => scratch.join("in.tar"),
            Start::Save(state) | Start::Resume(state) => state.input(),
        };
        let mut drives = vec![
            ("root", root),
            ("in", drive(&input, "read-only=on")),
            ("out", drive(&scratch.join("out.tar"), "cache=unsafe")),
        ];
        if let Start::Save(state) | Start::Resume(state) = start {
            drives.push(("job", drive(&scratch.join("job"), "read-only=on")));
            // A machine is saved while it is stopped, and runs when it is resumed.
            qemu.args(["-global", "migration.store-global-state=off"])
                .env("LOCKC_MEMORY", state.memory());
        }
        if let Start::Resume(_) = start {
            qemu.args(["-incoming", "exec:cat \"$LOCKC_MEMORY\""]);
        }
        if self.workloads {
            let disk = assets::workloads()?;
            places::used(&disk);
            drives.push(("work", drive(&disk, "snapshot=on,cache=unsafe")));
        }
        for (id, file) in drives {
            qemu.arg("-drive")
                .arg(format!("{file},id={id}"))
                .args(["-device", &format!("virtio-blk-pci,drive={id},serial=lockc-{id}")]);
        }
        // A file, not stdio: that one closes the port when its input ends.
        qemu.args([
            "-device",
            "virtio-serial-pci",
            "-chardev",
            "file,id=lines,path=/proc/self/fd/1",
        ])
        .args(["-device", "virtserialport,chardev=lines,name=lockc.out"]);
        Ok(qemu)
    }
}
