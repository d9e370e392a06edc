//! Times on the command line.

use anyhow::{Context as _, Result};
use jiff::{Span, Timestamp, Zoned, civil, tz::TimeZone};

/// A time, or a duration before now.
///
/// # Errors
///
/// Where the text is neither.
pub fn time(text: &str) -> Result<Timestamp> {
    if let Ok(span) = text.parse::<Span>() {
        return Ok(Zoned::now().checked_sub(span.abs())?.timestamp());
    }
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time);
    }
    let civil = match text.parse::<civil::Time>() {
        // A number alone may be meant as minutes.
        Ok(time) if text.contains(':') => Zoned::now().date().to_datetime(time),
        _ => text
            .parse()
            .with_context(|| format!("{text:?} is neither a time nor a duration such as 10m"))?,
    };
    Ok(civil.to_zoned(TimeZone::system())?.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        let exact = time("2026-11-27T16:00:00Z").unwrap();
        assert_eq!(exact.to_string(), "2026-11-27T16:00:00Z");
        assert!(time("2026-11-27 16:00").is_ok() && time("2026-11-27").is_ok());
        let today = Zoned::now().date();
        let half_past_four = time("16:30").unwrap().to_zoned(TimeZone::system());
        assert_eq!(half_past_four.datetime(), today.at(16, 30, 0, 0));
        for (text, seconds) in [("10m", 600), ("2h 30m", 9000), ("1h", 3600), ("-1h", 3600)] {
            let then = time(text).unwrap();
            let ago = Timestamp::now().duration_since(then).as_secs();
            assert!((seconds..seconds + 5).contains(&ago), "{text}: {ago}");
        }
        for text in ["", "yesterday", "10", "10x"] {
            assert!(time(text).is_err(), "{text:?}");
        }
    }
}
