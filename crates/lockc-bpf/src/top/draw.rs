//! Draws the screen, and writes it as text.

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Color, Modifier, Style},
    text::{Line, Span},
    widgets::{Clear, Paragraph, Wrap},
};

use super::{
    model::{Model, View},
    tables,
};
use crate::out;

const HELP: &str = "\
q, Ctrl-C        quit
Tab, Shift-Tab   next, previous view
1 2 3            overview, denials, programs
s  r             sort by the next column, reverse
p, space         pause; nothing is read or measured
/                filter names, rules and objects;
                 Enter keeps it, Esc removes it
Up Down PgUp PgDn Home End   scroll
Ctrl-L           draw again
?, Esc           close this help

Programs: the kernel counts calls and their time
only while that view is shown.";

const KEYS: &str = "q quit  Tab view  s sort  r reverse  p pause  / filter  ? help";

const STRONG: Style = Style::new().add_modifier(Modifier::BOLD);
const TITLE: Style = Style::new().add_modifier(Modifier::REVERSED);

/// Draws what the model has.
pub fn draw(frame: &mut Frame<'_>, model: &Model) {
    let [head, tabs, body, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Fill(1),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    frame.render_widget(Line::from(header(model)), head);
    frame.render_widget(Line::from(chosen(model)), tabs);
    match model.view {
        View::Overview => overview(frame, model, body),
        View::Denials => table(frame, tables::denials(model, width(body)), body, model.scroll),
        View::Programs => programs(frame, model, body),
    }
    let foot_text = if model.typing {
        format!("filter: {}_   Enter keeps it, Esc removes it", out::printable(&model.filter))
    } else {
        KEYS.to_owned()
    };
    frame.render_widget(Line::styled(foot_text, Style::new().add_modifier(Modifier::DIM)), foot);
    if model.help {
        help(frame);
    }
}

fn width(area: Rect) -> usize {
    area.width.into()
}

fn header(model: &Model) -> Vec<Span<'static>> {
    let host = &model.host;
    let (text, color) = match (host.enforcing, host.audited) {
        _ if model.error.is_some() => ("UNKNOWN", Color::Red),
        (true, 0) => ("enforcing", Color::Green),
        (true, _) => ("AUDIT", Color::Yellow),
        (false, _) => ("NOT ENFORCING", Color::Red),
    };
    let mut rest = format!("  Linux {}  {} containers", host.kernel, model.count());
    if host.audited != 0 {
        rest += &format!(" ({} audit)", host.audited);
    }
    rest += &format!("  {} denials/s", tables::rate(model.rate()));
    let mut spans =
        vec![Span::styled("lockc ", STRONG), Span::styled(text, STRONG.fg(color)), Span::raw(rest)];
    if host.errors != 0 {
        spans.push(Span::styled(format!("  {} INTERNAL ERRORS", host.errors), STRONG));
    }
    spans
}

fn chosen(model: &Model) -> Vec<Span<'static>> {
    let mut spans = Vec::new();
    if model.paused {
        spans.push(Span::styled("PAUSED", STRONG.add_modifier(Modifier::REVERSED)));
        spans.push(Span::raw(" "));
    }
    for view in View::ALL {
        let style = if view == model.view { TITLE } else { Style::new() };
        spans.push(Span::styled(format!(" {} ", view.name()), style));
    }
    if let Some(error) = &model.error {
        let error = out::printable(error);
        spans.push(Span::styled(format!("  {error}"), STRONG.fg(Color::Red)));
        return spans;
    }
    let order = match model.view {
        View::Overview => format!("  by {:?}", model.sort).to_lowercase(),
        View::Denials => String::new(),
        View::Programs => format!("  by {:?}", model.program_sort).to_lowercase(),
    };
    let reversed = if model.reverse && !order.is_empty() { ", reversed" } else { "" };
    spans.push(Span::raw(format!("{order}{reversed}")));
    if !model.filter.is_empty() {
        spans.push(Span::raw(format!("  filter: {}", out::printable(&model.filter))));
    }
    spans.push(Span::raw(format!("  {}", tables::clock(model.time, model))));
    spans
}

fn overview(frame: &mut Frame<'_>, model: &Model, area: Rect) {
    let containers = tables::containers(model, width(area));
    let denials = tables::denials(model, width(area));
    // Each gets what it needs up to a half, and what the other leaves.
    let height = usize::from(area.height).saturating_sub(1);
    let below = denials.len().min(height.saturating_sub(containers.len()).max(height / 2));
    let [above, gap, below] = Layout::vertical([
        Constraint::Fill(1),
        Constraint::Length(1),
        Constraint::Length(u16::try_from(below).unwrap_or(u16::MAX)),
    ])
    .areas(area);
    table(frame, containers, above, model.scroll);
    frame.render_widget(Line::styled(title(model), STRONG), gap);
    table(frame, denials, below, 0);
}

fn title(model: &Model) -> String {
    let title = match model.denials().len() {
        0 => "no denial to show".to_owned(),
        1 => "1 distinct denial".to_owned(),
        count => format!("{count} distinct denials, the newest first"),
    };
    match model.host.lost {
        0 => title,
        lost => format!("{title}; {lost} are no longer on record"),
    }
}

fn programs(frame: &mut Frame<'_>, model: &Model, area: Rect) {
    let cost = Paragraph::new(tables::cost(model).join("\n")).wrap(Wrap { trim: true });
    let lines = if area.width >= 80 { 2 } else { 4 };
    let [above, below] =
        Layout::vertical([Constraint::Length(lines), Constraint::Fill(1)]).areas(area);
    frame.render_widget(cost, above);
    match tables::programs(model, width(area)) {
        Ok(rows) => table(frame, rows, below, model.scroll),
        Err(why) => frame.render_widget(Line::styled(out::printable(why), STRONG), below),
    }
}

/// A table whose first line is its header; the others are scrolled.
fn table(frame: &mut Frame<'_>, lines: Vec<String>, area: Rect, scroll: usize) {
    let mut lines = lines.into_iter();
    let header = lines.next().unwrap_or_default();
    let header = format!("{header:width$}", width = width(area));
    let left = lines.len().saturating_sub(usize::from(area.height).saturating_sub(1));
    let rows = lines.skip(scroll.min(left)).map(Line::raw);
    let shown = std::iter::once(Line::styled(header, TITLE)).chain(rows);
    frame.render_widget(Paragraph::new(shown.take(area.height.into()).collect::<Vec<_>>()), area);
}

fn help(frame: &mut Frame<'_>) {
    let area = frame.area();
    let lines = HELP.lines().count() as u16;
    let widest = HELP.lines().map(str::len).max().unwrap_or(0) as u16;
    let (width, height) = (area.width.min(widest + 2), area.height.min(lines + 2));
    let area = Rect {
        x: area.x + (area.width - width) / 2,
        y: area.y + (area.height - height) / 2,
        width,
        height,
    };
    frame.render_widget(Clear, area);
    let text = Paragraph::new(HELP).style(Style::new());
    frame.render_widget(text.block(ratatui::widgets::Block::bordered()), area);
}

/// Denials in the text.
const NEWEST: usize = 20;

/// Everything as text, for `--once`; rows have at most `width` columns.
pub fn text(model: &Model, width: usize) -> String {
    let plain = |spans: Vec<Span<'static>>| -> String {
        spans.iter().map(|span| span.content.as_ref()).collect()
    };
    let mut text = vec![format!("{}  {}", plain(header(model)), tables::clock(model.time, model))];
    text.push(String::new());
    text.extend(tables::containers(model, width));
    text.push(String::new());
    text.push(title(model));
    let denials = tables::denials(model, width);
    let shown = if denials.len() > 1 { NEWEST + 1 } else { 0 };
    text.extend(denials.into_iter().take(shown));
    text.push(String::new());
    text.extend(tables::cost(model));
    match tables::programs(model, width) {
        Ok(rows) => text.extend(rows),
        Err(why) => text.push(out::printable(why)),
    }
    text.join("\n")
}
