//! What is shown: the samples so far, and what the person at the terminal chose.

use std::{
    cmp::{Ordering, Reverse},
    collections::HashMap,
    time::{Duration, Instant},
};

use clap::ValueEnum;
use jiff::{Timestamp, tz::TimeZone};
use lockc_core::abi::ContainerKey;

use super::sample::{Container, Cost, Host, Sample};
use crate::{denial::Denial, programs::Counter};

/// Denials that are kept to look at, the newest first.
const KEPT: usize = 1000;

/// What takes the screen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum View {
    /// Containers, and the newest denials below.
    #[default]
    Overview,
    /// Denials.
    Denials,
    /// What the programs cost.
    Programs,
}

impl View {
    /// All of them, in the order of the key.
    pub const ALL: [Self; 3] = [Self::Overview, Self::Denials, Self::Programs];

    /// Its name on the screen.
    pub fn name(self) -> &'static str {
        match self {
            Self::Overview => "Overview",
            Self::Denials => "Denials",
            Self::Programs => "Programs",
        }
    }
}

/// The order of containers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Sort {
    /// Denials per second
    #[default]
    Rate,
    /// Denials so far
    Denials,
    /// Tasks
    Tasks,
    /// Name
    Name,
}

/// The order of programs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProgramSort {
    /// Time.
    #[default]
    Time,
    /// Calls.
    Calls,
    /// Time of one call.
    Each,
    /// Name.
    Name,
}

/// A container and how fast its denials grow.
#[derive(Clone, Debug)]
pub struct Row {
    /// The container.
    pub container: Container,
    /// Denials per second since the last sample; nothing in the first.
    pub rate: Option<f64>,
}

/// What a program cost between two samples.
#[derive(Clone, Copy, Debug)]
pub struct ProgramRow {
    /// The program.
    pub counter: Counter,
    /// Calls per second.
    pub rate: f64,
    /// Nanoseconds of one call.
    pub each: f64,
    /// Part of one CPU's time.
    pub share: f64,
}

/// What the programs cost between two samples.
#[derive(Clone, Debug, Default)]
pub enum Measured {
    /// There are not yet two samples.
    #[default]
    Waiting,
    /// It cannot be measured.
    Unavailable(String),
    /// Programs that ran.
    Programs(Vec<ProgramRow>, Duration),
}

/// See the module.
#[derive(Debug)]
pub struct Model {
    /// What takes the screen.
    pub view: View,
    /// The order of containers.
    pub sort: Sort,
    /// The order of programs.
    pub program_sort: ProgramSort,
    /// The other way round.
    pub reverse: bool,
    /// Nothing is read.
    pub paused: bool,
    /// The keys are explained.
    pub help: bool,
    /// What names have to contain.
    pub filter: String,
    /// The filter is being written.
    pub typing: bool,
    /// Lines that are scrolled away.
    pub scroll: usize,
    /// The host.
    pub host: Host,
    /// The moment of the last sample.
    pub time: Timestamp,
    /// Why there is no newer one.
    pub error: Option<String>,
    /// The time zone of what is shown.
    pub zone: TimeZone,
    containers: Vec<Row>,
    denials: Vec<Denial>,
    measured: Measured,
    last: Option<(Instant, HashMap<ContainerKey, u64>)>,
    last_cost: Option<(Instant, HashMap<&'static str, Counter>)>,
}

impl Model {
    /// Nothing yet, in this order, with this filter.
    pub fn new(sort: Sort, filter: &str, zone: TimeZone) -> Self {
        Self {
            view: View::default(),
            sort,
            program_sort: ProgramSort::default(),
            reverse: false,
            paused: false,
            help: false,
            filter: filter.to_owned(),
            typing: false,
            scroll: 0,
            host: Host::default(),
            time: Timestamp::UNIX_EPOCH,
            error: None,
            zone,
            containers: Vec::new(),
            denials: Vec::new(),
            measured: Measured::default(),
            last: None,
            last_cost: None,
        }
    }

    /// Whether the programs have to be measured for what is shown.
    pub fn wants_cost(&self) -> bool {
        self.view == View::Programs && !self.paused
    }

    /// Takes a sample in.
    pub fn update(&mut self, sample: Sample) {
        self.error = None;
        self.host = sample.host;
        self.time = sample.time;
        self.add_denials(sample.denials);
        self.add_cost(sample.cost, sample.at);
        let before = self.last.take();
        let counts = sample.containers.iter().map(|it| (it.key, it.denials)).collect();
        self.last = Some((sample.at, counts));
        let row = |container: Container| {
            let rate = before.as_ref().map(|(then, counts)| {
                // A container that was not there has had all of its denials since.
                let old = counts.get(&container.key).copied().unwrap_or(0);
                per_second(container.denials.saturating_sub(old) as f64, *then, sample.at)
            });
            Row { container, rate }
        };
        self.containers = sample.containers.into_iter().map(row).collect();
    }

    /// There is no sample.
    pub fn fail(&mut self, error: String) {
        self.error = Some(error);
        self.host = Host { kernel: std::mem::take(&mut self.host.kernel), ..Host::default() };
        self.containers.clear();
        self.last = None;
        self.last_cost = None;
        self.measured = Measured::Waiting;
    }

    /// Denials per second of all containers.
    pub fn rate(&self) -> Option<f64> {
        self.last.as_ref()?;
        self.containers.iter().try_fold(0.0, |sum, row| Some(sum + row.rate?))
    }

    /// How many containers there are.
    pub fn count(&self) -> usize {
        self.containers.len()
    }

    /// The containers that the filter leaves, in their order.
    pub fn containers(&self) -> Vec<&Row> {
        let fits = |row: &&Row| {
            let it = &row.container;
            self.fits(&[&it.name, &it.id, &it.image, &it.policy, it.mode])
        };
        let mut rows: Vec<&Row> = self.containers.iter().filter(fits).collect();
        rows.sort_by(|a, b| {
            let (x, y) = (&a.container, &b.container);
            let by = match self.sort {
                Sort::Rate => descending(a.rate, b.rate).then(y.denials.cmp(&x.denials)),
                Sort::Denials => y.denials.cmp(&x.denials),
                Sort::Tasks => y.tasks.cmp(&x.tasks),
                Sort::Name => Ordering::Equal,
            };
            self.turned(by.then_with(|| x.name.cmp(&y.name)).then_with(|| x.id.cmp(&y.id)))
        });
        rows
    }

    /// The denials that the filter leaves, the newest first.
    pub fn denials(&self) -> Vec<&Denial> {
        let fits = |it: &&Denial| {
            let name = it.name();
            self.fits(&[&name, &it.container, it.rule, &it.comm, &it.detail, it.mode, &it.policy])
        };
        self.denials.iter().filter(fits).collect()
    }

    /// The programs that ran and that the filter leaves, in their order; and of what time.
    pub fn programs(&self) -> Result<(Vec<&ProgramRow>, Duration), &str> {
        let (rows, elapsed) = match &self.measured {
            Measured::Waiting if self.paused => return Err("nothing is measured while paused"),
            Measured::Waiting => return Err("measuring ..."),
            Measured::Unavailable(error) => return Err(error),
            Measured::Programs(rows, elapsed) => (rows, *elapsed),
        };
        let fits = |row: &&ProgramRow| self.fits(&[row.counter.name, row.counter.guards]);
        let mut rows: Vec<&ProgramRow> = rows.iter().filter(fits).collect();
        rows.sort_by(|a, b| {
            let by = match self.program_sort {
                ProgramSort::Time => b.share.total_cmp(&a.share),
                ProgramSort::Calls => b.rate.total_cmp(&a.rate),
                ProgramSort::Each => b.each.total_cmp(&a.each),
                ProgramSort::Name => Ordering::Equal,
            };
            self.turned(by.then_with(|| a.counter.name.cmp(b.counter.name)))
        });
        Ok((rows, elapsed))
    }

    fn turned(&self, order: Ordering) -> Ordering {
        if self.reverse { order.reverse() } else { order }
    }

    fn fits(&self, texts: &[&str]) -> bool {
        let wanted = self.filter.to_lowercase();
        texts.iter().any(|text| text.to_lowercase().contains(&wanted))
    }

    /// A denial that happened again takes the place of what was known of it.
    fn add_denials(&mut self, new: Vec<Denial>) {
        if new.is_empty() {
            return;
        }
        let mut by_identity = HashMap::new();
        for denial in self.denials.drain(..).chain(new) {
            by_identity.insert(identity(&denial), denial);
        }
        self.denials.extend(by_identity.into_values());
        self.denials.sort_by(|a, b| {
            Reverse(a.last).cmp(&Reverse(b.last)).then_with(|| identity(a).cmp(&identity(b)))
        });
        self.denials.truncate(KEPT);
    }

    fn add_cost(&mut self, cost: Cost, at: Instant) {
        let counters = match cost {
            Cost::Off => return,
            Cost::Unavailable(error) => {
                self.measured = Measured::Unavailable(error);
                return;
            }
            Cost::Counted(counters) => counters,
        };
        let by_name = counters.iter().map(|it| (it.name, *it)).collect();
        let Some((then, before)) = self.last_cost.replace((at, by_name)) else { return };
        let elapsed = at.saturating_duration_since(then);
        let row = |counter: &Counter| {
            let old = before.get(counter.name)?;
            let calls = counter.calls.checked_sub(old.calls).filter(|calls| *calls != 0)?;
            let time = counter.time.saturating_sub(old.time).as_secs_f64();
            Some(ProgramRow {
                counter: *counter,
                rate: per_second(calls as f64, then, at),
                each: time * 1e9 / calls as f64,
                share: per_second(time, then, at),
            })
        };
        self.measured = Measured::Programs(counters.iter().filter_map(row).collect(), elapsed);
    }

    /// Forgets the counters: nobody measured, or will measure, for some time.
    pub fn forget_counters(&mut self) {
        self.last_cost = None;
    }

    /// Forgets what the programs cost.
    pub fn forget_cost(&mut self) {
        self.forget_counters();
        self.measured = Measured::Waiting;
    }
}

type Identity = (String, &'static str, String, String, &'static str);

fn identity(denial: &Denial) -> Identity {
    let Denial { container, rule, hook, detail, mode, .. } = denial;
    (container.clone(), rule, hook.clone(), detail.clone(), mode)
}

fn per_second(count: f64, then: Instant, now: Instant) -> f64 {
    let elapsed = now.saturating_duration_since(then).as_secs_f64();
    if elapsed > 0.0 { count / elapsed } else { 0.0 }
}

fn descending(a: Option<f64>, b: Option<f64>) -> Ordering {
    b.unwrap_or(0.0).total_cmp(&a.unwrap_or(0.0))
}
