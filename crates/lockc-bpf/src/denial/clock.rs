//! The kernel's times on the wall clock.

use jiff::{SignedDuration, Timestamp};
use nix::time::{ClockId, clock_gettime};

/// How the clock that the kernel side reads relates to the wall clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock {
    boot: Timestamp,
}

impl Clock {
    /// As it is now. A wall clock that was set since a denial shifts its time.
    pub fn now() -> Self {
        let since_boot = clock_gettime(ClockId::CLOCK_BOOTTIME)
            .map_or(SignedDuration::ZERO, |time| {
                SignedDuration::new(time.tv_sec(), i32::try_from(time.tv_nsec()).unwrap_or(0))
            });
        Self { boot: Timestamp::now().saturating_sub(since_boot).unwrap_or_default() }
    }

    /// The wall clock's time of one in nanoseconds of `CLOCK_BOOTTIME`.
    pub fn at(&self, nanoseconds: u64) -> Timestamp {
        let time = i64::try_from(nanoseconds).unwrap_or(i64::MAX);
        self.boot.saturating_add(SignedDuration::from_nanos(time)).unwrap_or(Timestamp::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_since_boot_become_those_of_the_wall_clock() {
        let clock = Clock { boot: "2026-11-27T16:00:00Z".parse().unwrap() };
        assert_eq!(clock.at(1_500_000_000).to_string(), "2026-11-27T16:00:01.5Z");
        assert!(clock.at(u64::MAX) > clock.at(0));
        let now = clock_gettime(ClockId::CLOCK_BOOTTIME).unwrap();
        let now = now.tv_sec().cast_unsigned() * 1_000_000_000 + now.tv_nsec().cast_unsigned();
        let apart = Timestamp::now().duration_since(Clock::now().at(now));
        assert!(apart.abs() < SignedDuration::from_secs(1), "{apart}");
    }
}
