//! What the API server accepts (Kubernetes 1.34, pkg/apis/core/validation/events.go), and how often
//! it is asked.

use std::time::{Duration, Instant};

/// Bytes of an Event's note.
pub const NOTE: usize = 1024;
/// Bytes of `reportingInstance`.
pub const INSTANCE: usize = 128;

/// A text of at most that many bytes; `…` stands for what is missing.
pub fn cut(text: &str, bytes: usize) -> String {
    const MARK: &str = "…";
    if text.len() <= bytes {
        return text.to_owned();
    }
    let room = bytes.saturating_sub(MARK.len());
    let end = (0..=room).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    format!("{}{MARK}", &text[..end])
}

/// Requests that may be made at once, and how soon others may follow.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    /// At once.
    pub burst: u32,
    /// Until another one may be made.
    pub every: Duration,
}

/// A token bucket: a token for each request.
#[derive(Clone, Debug)]
pub struct Bucket {
    rate: Rate,
    tokens: f64,
    at: Instant,
}

impl Bucket {
    /// A full one.
    pub fn new(rate: Rate, now: Instant) -> Self {
        Self { rate, tokens: rate.burst.into(), at: now }
    }

    /// Whether it has a token at that time.
    pub fn has_token(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = self.at.max(now);
        let tokens = self.tokens + passed / self.rate.every.as_secs_f64();
        self.tokens = tokens.min(self.rate.burst.into());
        self.tokens >= 1.0
    }

    /// Takes a token; [`Bucket::has_token`] said that there is one.
    pub fn take(&mut self) {
        self.tokens -= 1.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(cut("abc", 3), "abc");
        assert_eq!(cut("abcdef", 5), "ab…");
        for bytes in 3..20 {
            let short = cut("ääääääääää!", bytes);
            assert!(short.len() <= bytes && short.ends_with('…'), "{short}");
        }
        assert_eq!(cut(&"x".repeat(NOTE), NOTE).len(), NOTE);
        assert_eq!(cut(&"x".repeat(NOTE + 1), NOTE).len(), NOTE);
    }

    #[test]
    fn a_bucket_gives_its_burst_and_then_one_in_a_while() {
        let start = Instant::now();
        let rate = Rate { burst: 3, every: Duration::from_secs(10) };
        let mut bucket = Bucket::new(rate, start);
        let mut taken = |seconds: u64| {
            let mut count = 0;
            while bucket.has_token(start + Duration::from_secs(seconds)) {
                bucket.take();
                count += 1;
            }
            count
        };
        assert_eq!(taken(0), 3);
        assert_eq!(taken(9), 0);
        assert_eq!(taken(10), 1);
        // A clock that goes back gives nothing.
        assert_eq!(taken(5), 0);
        assert_eq!(taken(25), 1);
        assert_eq!(taken(1000), 3, "no more than its burst, however long nothing happened");
    }
}
