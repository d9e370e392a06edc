//! The terminal: taken over, and given back as it was, however the program ends.

use std::{
    io::{self, IsTerminal as _},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use anyhow::{Context as _, Result, bail};
use ratatui::{
    DefaultTerminal, Frame, Terminal,
    backend::CrosstermBackend,
    crossterm::{
        execute,
        terminal::{EnterAlternateScreen, enable_raw_mode},
    },
};
use signal_hook::{
    consts::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM},
    flag,
    low_level::emulate_default_handler,
};

/// The terminal while it belongs to this program. A panic restores it before its message.
pub struct Screen(DefaultTerminal);

impl Screen {
    /// Takes the terminal over.
    ///
    /// # Errors
    ///
    /// Where standard output is no terminal, or cannot be set.
    pub fn open() -> Result<Self> {
        if !io::stdout().is_terminal() {
            bail!("standard output is not a terminal; use `lockc top --once`");
        }
        let terminal = ratatui::try_init().inspect_err(|_| ratatui::restore());
        Ok(Self(terminal.context("the terminal cannot be set")?))
    }

    /// Draws.
    ///
    /// # Errors
    ///
    /// Where the terminal is gone.
    pub fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> Result<()> {
        self.0.draw(draw)?;
        Ok(())
    }

    /// Takes it over again, and forgets what it shows: a shell may have used it meanwhile.
    ///
    /// # Errors
    ///
    /// Where the terminal is gone.
    pub fn take_again(&mut self) -> Result<()> {
        // Not `Terminal::clear`: it asks the terminal where the cursor is, and some never answer.
        ratatui::restore();
        enable_raw_mode()?;
        execute!(io::stdout(), EnterAlternateScreen)?;
        self.0 = Terminal::new(CrosstermBackend::new(io::stdout()))?;
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // The panic's message is on the restored screen already.
        if !thread::panicking() {
            ratatui::restore();
        }
    }
}

/// Signals that end a program, or continue it, as flags.
pub struct Signals {
    ends: Arc<AtomicUsize>,
    continued: Arc<AtomicBool>,
}

impl Signals {
    /// From now on.
    ///
    /// # Errors
    ///
    /// Where the kernel refuses a handler.
    pub fn watch() -> io::Result<Self> {
        let ends = Arc::new(AtomicUsize::new(0));
        for signal in [SIGHUP, SIGINT, SIGQUIT, SIGTERM] {
            flag::register_usize(signal, ends.clone(), signal.unsigned_abs() as usize)?;
        }
        let continued = Arc::new(AtomicBool::new(false));
        flag::register(SIGCONT, continued.clone())?;
        Ok(Self { ends, continued })
    }

    /// The one that ends this program, if it came.
    pub fn end(&self) -> Option<Ended> {
        match self.ends.load(Ordering::Relaxed) {
            0 => None,
            signal => i32::try_from(signal).ok().map(Ended),
        }
    }

    /// Whether this program was stopped since the last question.
    pub fn was_stopped(&self) -> bool {
        self.continued.swap(false, Ordering::Relaxed)
    }
}

/// A signal that ends this program.
pub struct Ended(i32);

impl Ended {
    /// Ends it as the signal would have: whoever waits for it sees the signal.
    ///
    /// # Errors
    ///
    /// Where the signal does not end it.
    pub fn end(&self) -> io::Result<()> {
        emulate_default_handler(self.0)
    }
}
