//! Which policy holds for a container, and what that admits.
//!
//! Layers, from the bottom up; imports lead downward only (`cargo xtask layers` checks it):
//! [`spec`] and [`engine`], [`host`], [`config`], [`policy`], [`engines`] and [`selection`],
//! [`enforcement`], [`admission`], [`decision`]. This crate knows nothing of maps. Only [`host`]
//! does I/O; everything else asks a [`HostView`](host::HostView).
#![forbid(unsafe_code)]

pub mod admission;
pub mod config;
pub mod container_file;
pub mod container_names;
pub mod decision;
pub mod enforcement;
pub mod engine;
pub mod engines;
pub mod host;
pub mod messages;
pub mod policy;
pub mod refused;
pub mod runtimes;
pub mod selection;
pub mod spec;

/// An error with its causes, each of them once: many messages name their cause themselves, in the
/// middle of the sentence, and the chain names it again.
pub fn with_causes(error: &anyhow::Error) -> String {
    error.chain().fold(String::new(), |told, cause| {
        let cause = cause.to_string();
        if told.is_empty() {
            cause
        } else if told.contains(&cause) {
            told
        } else {
            format!("{told}: {cause}")
        }
    })
}

#[cfg(test)]
mod tests {
    use std::io;

    use anyhow::Context as _;

    use super::*;

    #[test]
    fn a_cause_is_told_once() {
        let gone = || io::Error::from_raw_os_error(2);
        let record = host::trusted::TrustError::Read { path: "/a".into(), source: gone() };
        let error = Err::<(), _>(record).context("the container is not started").unwrap_err();
        let text = with_causes(&error);
        assert_eq!(text.matches("No such file").count(), 1, "{text}");
        assert!(text.starts_with("the container is not started: /a: cannot"), "{text}");
        let text = with_causes(&Err::<(), _>(gone()).context("reading x").unwrap_err());
        assert!(text.starts_with("reading x: No such file"), "{text}");
    }
}
