//! What the keys do.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::model::{Model, ProgramSort, Sort, View};

/// What follows from a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The screen is drawn again.
    Draw,
    /// The terminal is cleared first.
    Clear,
    /// The end.
    Quit,
}

/// Lines of a page.
const PAGE: usize = 10;

/// The longest filter.
const LONGEST: usize = 200;

/// Does what a key means.
pub fn press(model: &mut Model, key: KeyEvent) -> Action {
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    match key.code {
        KeyCode::Char('c') if control => return Action::Quit,
        KeyCode::Char('l') if control => return Action::Clear,
        KeyCode::Char(_) if control => return Action::Draw,
        _ if model.typing => write(model, key.code),
        KeyCode::Char('q') => return Action::Quit,
        code => choose(model, code),
    }
    Action::Draw
}

/// A key of the filter that is being written.
fn write(model: &mut Model, code: KeyCode) {
    model.scroll = 0;
    match code {
        KeyCode::Enter => model.typing = false,
        KeyCode::Esc => {
            model.typing = false;
            model.filter.clear();
        }
        KeyCode::Backspace => {
            model.filter.pop();
        }
        KeyCode::Char(character) if model.filter.len() < LONGEST => model.filter.push(character),
        _ => {}
    }
}

fn choose(model: &mut Model, code: KeyCode) {
    match code {
        KeyCode::Char('?' | 'h') => model.help = !model.help,
        KeyCode::Esc if model.help => model.help = false,
        KeyCode::Esc => model.filter.clear(),
        KeyCode::Char('/') => model.typing = true,
        KeyCode::Char('p' | ' ') => model.paused = !model.paused,
        KeyCode::Char('r') => model.reverse = !model.reverse,
        KeyCode::Char('s') => sort(model),
        KeyCode::Char('1') => show(model, View::Overview),
        KeyCode::Char('2') => show(model, View::Denials),
        KeyCode::Char('3') => show(model, View::Programs),
        KeyCode::Tab | KeyCode::Right => show(model, beside(model.view, 1)),
        KeyCode::BackTab | KeyCode::Left => show(model, beside(model.view, View::ALL.len() - 1)),
        KeyCode::Down | KeyCode::Char('j') => scroll(model, 1),
        KeyCode::Up | KeyCode::Char('k') => model.scroll = model.scroll.saturating_sub(1),
        KeyCode::PageDown => scroll(model, PAGE),
        KeyCode::PageUp => model.scroll = model.scroll.saturating_sub(PAGE),
        KeyCode::Home => model.scroll = 0,
        KeyCode::End => scroll(model, usize::MAX),
        _ => {}
    }
}

fn beside(view: View, steps: usize) -> View {
    let at = View::ALL.iter().position(|it| *it == view).unwrap_or(0);
    View::ALL[(at + steps) % View::ALL.len()]
}

fn show(model: &mut Model, view: View) {
    if view != model.view {
        model.view = view;
        model.scroll = 0;
        model.forget_cost();
    }
}

/// Not beyond the last line: the way back would take as many keys.
fn scroll(model: &mut Model, lines: usize) {
    let rows = match model.view {
        View::Overview => model.containers().len(),
        View::Denials => model.denials().len(),
        View::Programs => model.programs().map_or(0, |(rows, _)| rows.len()),
    };
    model.scroll = model.scroll.saturating_add(lines).min(rows.saturating_sub(1));
}

fn sort(model: &mut Model) {
    match model.view {
        View::Overview => {
            model.sort = match model.sort {
                Sort::Rate => Sort::Denials,
                Sort::Denials => Sort::Tasks,
                Sort::Tasks => Sort::Name,
                Sort::Name => Sort::Rate,
            }
        }
        View::Denials => {}
        View::Programs => {
            model.program_sort = match model.program_sort {
                ProgramSort::Time => ProgramSort::Calls,
                ProgramSort::Calls => ProgramSort::Each,
                ProgramSort::Each => ProgramSort::Name,
                ProgramSort::Name => ProgramSort::Time,
            }
        }
    }
}
