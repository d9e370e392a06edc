//! Where samples come from: the pinned maps and programs.

use std::{os::fd::OwnedFd, time::Instant};

use anyhow::Result;
use aya::sys::{Stats, enable_stats};
use jiff::Timestamp;
use nix::sys::utsname::uname;

use super::sample::{Container, Cost, Host, Sample};
use crate::{
    out, programs,
    records::{Following, Records},
    status::{self, Container as Registered, Status},
};

/// Something that can be looked at again and again.
pub trait Source {
    /// What there is now.
    ///
    /// # Errors
    ///
    /// Where nothing is loaded, or it cannot be read.
    fn sample(&mut self) -> Result<Sample>;

    /// Whether samples have what the programs cost. Nothing is measured otherwise.
    fn measure(&mut self, on: bool);
}

/// This host.
#[derive(Default)]
pub struct Live {
    reader: Option<Following>,
    /// While this is open, the kernel counts how often and how long each BPF program runs.
    stats: Option<Result<OwnedFd, String>>,
}

impl Source for Live {
    fn sample(&mut self) -> Result<Sample> {
        // Opened again each time: lockc may be unloaded and loaded meanwhile.
        let records = Records::open()?;
        let denials = match &mut self.reader {
            Some(reader) => records.since(reader)?.denials,
            None => {
                // First: a denial may be read twice, but none is missed.
                self.reader = Some(records.end()?);
                records.all()?
            }
        };
        let status = status::gather()?;
        let (replaced, lost) = records.missing()?;
        Ok(Sample {
            host: host(&status, replaced + lost),
            containers: status
                .containers
                .into_iter()
                .filter(|it| it.is_alive() || it.is_guard())
                .map(container)
                .collect(),
            denials,
            cost: self.cost(),
            at: Instant::now(),
            time: Timestamp::now(),
        })
    }

    fn measure(&mut self, on: bool) {
        match (on, &self.stats) {
            (true, None) => {
                let stats = enable_stats(Stats::RunTime);
                self.stats = Some(stats.map_err(|error| error.to_string()));
            }
            (false, Some(_)) => self.stats = None,
            _ => {}
        }
    }
}

impl Live {
    fn cost(&self) -> Cost {
        match &self.stats {
            None => Cost::Off,
            Some(Err(error)) => Cost::Unavailable(error.clone()),
            Some(Ok(_)) => Cost::Counted(programs::counters()),
        }
    }
}

fn host(status: &Status, lost: u64) -> Host {
    Host {
        enforcing: status.enforcing,
        kernel: uname()
            .map(|host| out::printable(&host.release().to_string_lossy()))
            .unwrap_or_default(),
        audited: status.audited,
        errors: status.errors.iter().map(|(_, count)| count).sum(),
        lost,
    }
}

fn container(registered: Registered) -> Container {
    let short = || registered.id.chars().take(12).collect();
    let name = registered.names.full_name().unwrap_or_else(short);
    Container {
        key: registered.key,
        name: out::printable(&name),
        id: out::printable(&registered.id),
        image: out::printable(registered.names.image.as_deref().unwrap_or_default()),
        policy: out::printable(&registered.policy),
        mode: registered.mode,
        tasks: registered.tasks,
        denials: registered.denials,
    }
}
