//! Whether the reporter works, and what it did: for probes and metrics.

use std::{
    fmt::Write as _,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::aggregate::Dropped;

/// Until a reporter that does not look any more is taken for dead: an API server that answers late
/// holds it up for less.
const ALIVE: Duration = Duration::from_secs(180);

#[derive(Clone, Copy, Debug)]
struct State {
    looked: Instant,
    is_told: bool,
    written: u64,
    failed: u64,
    dropped: Dropped,
}

/// Shared by the reporter and whoever answers for it.
#[derive(Clone, Debug)]
pub struct Health {
    state: Arc<Mutex<State>>,
}

impl Health {
    /// Of a reporter that starts now.
    pub fn new(now: Instant) -> Self {
        let state = State {
            looked: now,
            is_told: false,
            written: 0,
            failed: 0,
            dropped: Dropped::default(),
        };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// It looked at the node.
    pub fn looked(&self, now: Instant, dropped: Dropped) {
        self.with(|state| (state.looked, state.dropped) = (now, dropped));
    }

    /// The API server knows whether the node is ready.
    pub fn told(&self) {
        self.with(|state| state.is_told = true);
    }

    /// It wrote an Event, or could not.
    pub fn wrote(&self, is_written: bool) {
        self.with(|state| *if is_written { &mut state.written } else { &mut state.failed } += 1);
    }

    /// Whether it still looks.
    pub fn is_alive(&self, now: Instant) -> bool {
        self.with(|state| now.saturating_duration_since(state.looked) < ALIVE)
    }

    /// Whether it has done so once with all that belongs to it.
    pub fn is_ready(&self) -> bool {
        self.with(|state| state.is_told)
    }

    /// Metrics in OpenMetrics' text format, without its end.
    pub fn metrics(&self) -> String {
        let state = self.with(|state| *state);
        let mut text = String::new();
        for (name, help, values) in [
            (
                "lockc_report_events",
                "Events that lockc-node report wrote, and those that it could not write",
                &[("written", state.written), ("failed", state.failed)],
            ),
            (
                "lockc_report_dropped",
                "Denials and refusals that became no Event",
                &[("many", state.dropped.too_many), ("pod", state.dropped.without_pod)],
            ),
        ] {
            let label = if name.ends_with("events") { "result" } else { "reason" };
            let _ = writeln!(text, "# HELP {name} {help}.\n# TYPE {name} counter");
            for (value, count) in values {
                let _ = writeln!(text, "{name}_total{{{label}=\"{value}\"}} {count}");
            }
        }
        text
    }
}

/// The metrics of the host, with those of the reporter before their end.
pub fn joined(host: &str, own: &str) -> String {
    const END: &str = "# EOF\n";
    let host = host.strip_suffix(END).unwrap_or(host);
    let line = if host.is_empty() || host.ends_with('\n') { "" } else { "\n" };
    format!("{host}{line}{own}{END}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reporter_that_does_not_look_is_dead() {
        let start = Instant::now();
        let health = Health::new(start);
        assert!(health.is_alive(start) && !health.is_ready());
        assert!(!health.is_alive(start + ALIVE));
        health.looked(start + ALIVE, Dropped::default());
        assert!(health.is_alive(start + ALIVE));
        health.told();
        assert!(health.is_ready());
    }

    #[test]
    fn the_metrics_end_once() {
        let health = Health::new(Instant::now());
        health.wrote(true);
        health.looked(Instant::now(), Dropped { too_many: 3, without_pod: 0 });
        for host in ["", "x 1\n# EOF\n", "x 1", "x 1\n"] {
            let text = joined(host, &health.metrics());
            assert!(text.ends_with("\n# EOF\n"), "{text}");
            assert_eq!(text.matches("# EOF").count(), 1, "{text}");
            assert!(host.is_empty() || text.starts_with("x 1\n# HELP"), "{text}");
            assert!(text.contains("\nlockc_report_events_total{result=\"written\"} 1\n"));
            assert!(text.contains("\nlockc_report_dropped_total{reason=\"many\"} 3\n"));
        }
    }
}
