//! The tables of the screen.

use jiff::Timestamp;

use super::{
    grid::{self, Column},
    model::Model,
};

const CONTAINERS: [Column; 8] = [
    Column::new("container").from(100),
    Column::new("name").rest(),
    Column::new("image").from(120).part(4),
    Column::new("policy").part(6),
    Column::new("mode"),
    Column::new("tasks").right(),
    Column::new("denials").right(),
    Column::new("rate/s").right(),
];

/// The containers: a header and a line for each.
pub fn containers(model: &Model, width: usize) -> Vec<String> {
    let rows = model.containers().into_iter().map(|row| {
        let it = &row.container;
        vec![
            it.id.chars().take(12).collect(),
            it.name.clone(),
            if it.image.is_empty() { "-".into() } else { it.image.clone() },
            it.policy.clone(),
            it.mode.to_owned(),
            it.tasks.to_string(),
            it.denials.to_string(),
            rate(row.rate),
        ]
    });
    grid::lines(&CONTAINERS, &rows.collect::<Vec<_>>(), width)
}

const DENIALS: [Column; 7] = [
    Column::new("time"),
    Column::new("count").right().from(100),
    Column::new("container").part(4),
    Column::new("rule"),
    Column::new("verdict"),
    Column::new("process").from(100),
    Column::new("object").rest().keeps_end(),
];

/// The denials, the newest first: a header and a line for each.
pub fn denials(model: &Model, width: usize) -> Vec<String> {
    let rows = model.denials().into_iter().map(|it| {
        vec![
            clock(it.last, model),
            it.count.to_string(),
            it.name(),
            it.rule.to_owned(),
            if it.mode == "audit" { "audit" } else { "denied" }.to_owned(),
            it.comm.clone(),
            it.detail.clone(),
        ]
    });
    grid::lines(&DENIALS, &rows.collect::<Vec<_>>(), width)
}

/// The time of day; the date too where it is another than the last sample's.
pub fn clock(time: Timestamp, model: &Model) -> String {
    let [time, now] = [time, model.time].map(|it| it.to_zoned(model.zone.clone()));
    let format = if time.date() == now.date() { "%H:%M:%S" } else { "%m-%d %H:%M" };
    time.strftime(format).to_string()
}

const PROGRAMS: [Column; 5] = [
    Column::new("program").part(2),
    Column::new("calls/s").right(),
    Column::new("ns/call").right(),
    Column::new("CPU %").right(),
    Column::new("guards").rest().from(100),
];

/// The programs that ran: a header and a line for each; otherwise why there are none.
///
/// # Errors
///
/// Where nothing is measured.
pub fn programs(model: &Model, width: usize) -> Result<Vec<String>, &str> {
    let (rows, _) = model.programs()?;
    let rows = rows.into_iter().map(|row| {
        vec![
            row.counter.name.to_owned(),
            format!("{:.1}", row.rate),
            format!("{:.0}", row.each),
            format!("{:.3}", row.share * 100.0),
            row.counter.guards.to_owned(),
        ]
    });
    Ok(grid::lines(&PROGRAMS, &rows.collect::<Vec<_>>(), width))
}

/// What all programs cost, and that measuring costs.
pub fn cost(model: &Model) -> Vec<String> {
    let mut text = Vec::new();
    if let Ok((rows, elapsed)) = model.programs() {
        let share: f64 = rows.iter().map(|row| row.share).sum();
        let calls: f64 = rows.iter().map(|row| row.rate).sum();
        text.push(format!(
            "{} programs ran: {:.3} % of one CPU, {calls:.1} calls/s, in the last {:.1} s",
            rows.len(),
            share * 100.0,
            elapsed.as_secs_f64()
        ));
    }
    text.push("Measuring costs too: the kernel times each run of every BPF program.".to_owned());
    text
}

/// A number of events per second; `-` where it is not known yet.
pub fn rate(rate: Option<f64>) -> String {
    rate.map_or_else(|| "-".to_owned(), |rate| format!("{rate:.1}"))
}
