//! Shows samples until a key or a signal ends it.

use std::time::{Duration, Instant};

use anyhow::Result;
use lockc_policy::messages::with_id;
use ratatui::crossterm::event::{self, Event, KeyEventKind};

use super::{
    draw::draw,
    keys::{Action, press},
    model::Model,
    screen::{Screen, Signals},
    source::Source,
};

/// How soon a signal is noticed.
const SOON: Duration = Duration::from_millis(100);

/// Shows a sample every `interval`.
///
/// # Errors
///
/// Where there is no first sample, or the terminal cannot be used.
pub fn watch(source: &mut dyn Source, mut model: Model, interval: Duration) -> Result<()> {
    // Before the terminal is taken: an error is printed as any command's.
    model.update(source.sample()?);
    let signals = Signals::watch()?;
    let mut screen = Screen::open()?;
    let mut due = Instant::now() + interval;
    let mut changed = true;
    let mut measuring = false;
    loop {
        if let Some(signal) = signals.end() {
            source.measure(false);
            drop(screen);
            signal.end()?;
            return Ok(());
        }
        if signals.was_stopped() {
            screen.take_again()?;
            changed = true;
        }
        if changed {
            screen.draw(|frame| draw(frame, &model))?;
            changed = false;
        }
        if event::poll(due.saturating_duration_since(Instant::now()).min(SOON))? {
            changed = true;
            if let Event::Key(key) = event::read()?
                && key.kind != KeyEventKind::Release
            {
                match press(&mut model, key) {
                    Action::Quit => return Ok(()),
                    Action::Clear => screen.take_again()?,
                    Action::Draw => {}
                }
            }
        }
        if model.wants_cost() != measuring {
            measuring = !measuring;
            source.measure(measuring);
            model.forget_counters();
            // The one after it, `interval` later, has what the programs cost meanwhile.
            due = Instant::now();
        }
        if model.paused {
            due = Instant::now() + SOON;
        } else if due <= Instant::now() {
            match source.sample() {
                Ok(sample) => model.update(sample),
                Err(error) => model.fail(with_id(&format!("{error:#}"))),
            }
            due = Instant::now() + interval;
            changed = true;
        }
    }
}
