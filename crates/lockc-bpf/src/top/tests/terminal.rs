//! Whatever ends the program, the terminal is as before: this program again, in a pseudoterminal.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::process::{CommandExt as _, ExitStatusExt as _},
    },
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use nix::{
    pty::{Winsize, openpty},
    sys::{
        signal::{Signal, kill},
        termios::{Termios, tcgetattr},
    },
    unistd::Pid,
};

use super::{
    super::{live::watch, sample::Sample, source::Source},
    model, sample,
};

const HOW: &str = "LOCKC_TEST_TOP";
const LEAVES: &str = "\u{1b}[?1049l";
const SHOWS_CURSOR: &str = "\u{1b}[?25h";

/// Samples until it is told to fail.
struct Fake {
    start: Instant,
    panics: bool,
    fails: bool,
    samples: u32,
}

impl Source for Fake {
    fn sample(&mut self) -> Result<Sample> {
        self.samples += 1;
        match self.samples {
            1 => {}
            _ if self.panics => panic!("a panic for the test"),
            _ if self.fails => bail!("unloaded\u{1b}[2J for the test"),
            _ => {}
        }
        Ok(sample(self.samples > 1, self.start))
    }

    fn measure(&mut self, _: bool) {}
}

/// What the other tests start.
#[test]
#[ignore = "it runs in a pseudoterminal of another test"]
fn child() {
    let how = std::env::var(HOW).unwrap_or_default();
    let mut source =
        Fake { start: Instant::now(), panics: how == "panic", fails: how == "fail", samples: 0 };
    watch(&mut source, model(), Duration::from_millis(300)).unwrap();
}

/// This program in a terminal.
struct InTerminal {
    child: Child,
    terminal: OwnedFd,
    keys: File,
    output: Arc<Mutex<Vec<u8>>>,
    before: Termios,
}

impl InTerminal {
    fn start(how: &str) -> Self {
        let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(&size, None).unwrap();
        let before = tcgetattr(&pty.slave).unwrap();
        let slave = || Stdio::from(pty.slave.try_clone().unwrap());
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "top::tests::terminal::child", "--nocapture"])
            .env(HOW, how)
            .stdin(slave())
            .stdout(slave())
            .stderr(slave())
            .process_group(0)
            .spawn()
            .unwrap();
        let master = File::from(pty.master);
        let keys = master.try_clone().unwrap();
        let output = Arc::new(Mutex::new(Vec::new()));
        let written = output.clone();
        thread::spawn(move || {
            let (mut master, mut buffer) = (master, [0; 4096]);
            while let Ok(length @ 1..) = master.read(&mut buffer) {
                written.lock().unwrap().extend_from_slice(&buffer[..length]);
            }
        });
        Self { child, terminal: pty.slave, keys, output, before }
    }

    fn output(&self) -> String {
        String::from_utf8_lossy(&self.output.lock().unwrap()).into_owned()
    }

    fn wait_for(&self, text: &str) {
        let end = Instant::now() + Duration::from_secs(30);
        while !self.output().contains(text) {
            assert!(Instant::now() < end, "no {text:?} in {:?}", self.output());
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).unwrap();
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits for its end; the terminal is as it was then. What it wrote after it left the screen.
    fn end(mut self) -> (ExitStatus, String) {
        let status = self.child.wait().unwrap();
        thread::sleep(Duration::from_millis(200));
        let output = self.output();
        let after = tcgetattr(self.terminal.as_fd()).unwrap();
        assert_eq!(after.local_flags, self.before.local_flags, "{output:?}");
        assert_eq!(after.input_flags, self.before.input_flags, "{output:?}");
        assert_eq!(after.output_flags, self.before.output_flags, "{output:?}");
        let left: Vec<&str> = output.splitn(2, LEAVES).collect();
        assert_eq!(left.len(), 2, "it did not leave the screen: {output:?}");
        assert!(left[1].contains(SHOWS_CURSOR), "the cursor is hidden: {output:?}");
        (status, left[1].to_owned())
    }
}

#[test]
fn a_key_ends_it() {
    for keys in ["q", "\u{3}", "/q\u{1b}"] {
        let mut top = InTerminal::start("");
        top.wait_for("denials/s");
        top.press(keys);
        if keys.starts_with('/') {
            thread::sleep(Duration::from_millis(300));
            top.press("q");
        }
        assert!(top.end().0.success(), "{keys:?}");
    }
}

#[test]
fn a_signal_ends_it_and_is_what_its_parent_sees() {
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT] {
        let top = InTerminal::start("");
        top.wait_for("denials/s");
        top.signal(signal);
        let (status, _) = top.end();
        assert_eq!(status.signal(), Some(signal as i32), "{signal}");
    }
}

#[test]
fn a_panic_is_readable_afterwards() {
    let (status, after) = InTerminal::start("panic").end();
    assert!(!status.success());
    assert!(after.contains("a panic for the test"), "{after:?}");
    // A second one would move the cursor back, and the shell would write over the message.
    assert!(!after.contains(LEAVES), "{after:?}");
}

#[test]
fn it_goes_on_where_nothing_can_be_read_and_after_a_stop() {
    let mut top = InTerminal::start("fail");
    top.wait_for("unloaded");
    assert!(!top.output().contains("\u{1b}[2J for"), "{:?}", top.output());
    let drawn = top.output().matches("denials/s").count();
    top.signal(Signal::SIGSTOP);
    top.signal(Signal::SIGCONT);
    let end = Instant::now() + Duration::from_secs(30);
    while top.output().matches("denials/s").count() <= drawn {
        assert!(Instant::now() < end, "it is not drawn again: {:?}", top.output());
        thread::sleep(Duration::from_millis(20));
    }
    top.press("\u{c}");
    top.press("q");
    let status = top.child.wait().unwrap();
    thread::sleep(Duration::from_millis(200));
    let screens = top.output().matches("\u{1b}[?1049h").count();
    assert_eq!(screens, top.output().matches(LEAVES).count(), "{:?}", top.output());
    assert!(status.success());
}
