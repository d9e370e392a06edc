//! What happened on this node since the last look: from the record of denials and the files of
//! refusals, out of which nothing is taken.

use std::{collections::HashSet, path::Path, time::Duration};

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use lockc_bpf::{
    denial::Denial,
    records::{Following, Records},
};
use lockc_core::paths;
use lockc_policy::refused::Refused;

use super::finding::Finding;

/// How far back the first look reaches. What happened before has its Events already, or nobody
/// waits for them any more.
const FIRST: Duration = Duration::from_secs(15 * 60);

/// A finding, and whether it happened before the last look.
pub type Found = (Finding, bool);

/// Where the last look ended.
pub struct Host {
    log: Option<Following>,
    looked: Timestamp,
    refused: [HashSet<(String, String)>; 2],
}

impl Host {
    /// Before the first look.
    pub fn new() -> Self {
        let looked = Timestamp::now().saturating_sub(FIRST).unwrap_or_default();
        Self { log: None, looked, refused: [HashSet::new(), HashSet::new()] }
    }

    /// Denials since the last look; at the first one, and where some were missed, the whole record.
    /// The maps are opened again each time: `lockc unload` and `load` replace them.
    ///
    /// # Errors
    ///
    /// Where they cannot be read. Then the next look is a first one.
    pub fn denials(&mut self) -> Result<Vec<Found>> {
        let now = Timestamp::now();
        let log = self.log.take();
        let records = Records::open()?;
        let mut end = records.end()?;
        if let Some(mut reader) = log {
            let followed = records.since(&mut reader)?;
            if followed.lost == 0 {
                (self.log, self.looked) = (Some(reader), now);
                return Ok(followed.denials.iter().filter_map(|it| found(it, false)).collect());
            }
            end = reader;
        }
        let all = records.all()?;
        let looked = self.looked;
        (self.log, self.looked) = (Some(end), now);
        Ok(all.iter().filter_map(|it| found(it, it.last < looked)).collect())
    }

    /// The same of containers that were refused, or started in audit mode only.
    ///
    /// # Errors
    ///
    /// Where the files cannot be read.
    pub fn refusals(&mut self) -> Result<Vec<Found>> {
        let since = Timestamp::now().saturating_sub(FIRST).unwrap_or_default();
        let mut new = Vec::new();
        for (directory, seen) in [paths::REFUSED, paths::AUDITED].into_iter().zip(&mut self.refused)
        {
            let all = Refused::all(Path::new(directory))
                .with_context(|| format!("{directory} cannot be read"))?;
            new.extend(unseen(all, seen));
        }
        Ok(new
            .iter()
            .filter_map(Finding::from_refusal)
            .map(|finding| {
                let is_old = finding.last < since;
                (finding, is_old)
            })
            .collect())
    }
}

fn found(denial: &Denial, is_old: bool) -> Option<Found> {
    Finding::from_denial(denial).map(|finding| (finding, is_old))
}

/// The records that were not there before; `seen` becomes those that are there.
fn unseen(all: Vec<Refused>, seen: &mut HashSet<(String, String)>) -> Vec<Refused> {
    let name = |refused: &Refused| (refused.id.clone(), refused.time.clone());
    let there = all.iter().map(name).collect();
    let before = std::mem::replace(seen, there);
    all.into_iter().filter(|refused| !before.contains(&name(refused))).collect()
}

#[cfg(test)]
mod tests {
    use lockc_policy::container_names::ContainerNames;

    use super::*;

    fn refused(id: &str, time: &str) -> Refused {
        Refused {
            id: id.into(),
            time: time.into(),
            names: ContainerNames::default(),
            bundle: "/b".into(),
            policy: "baseline".into(),
            audited: false,
            reasons: Vec::new(),
        }
    }

    #[test]
    fn a_refusal_is_new_once() {
        let mut seen = HashSet::new();
        let mut new = |all: &[(&str, &str)]| {
            let all = all.iter().map(|(id, time)| refused(id, time)).collect();
            unseen(all, &mut seen).into_iter().map(|it| it.id + &it.time).collect::<Vec<_>>()
        };
        assert_eq!(new(&[("a", "1"), ("b", "1")]), ["a1", "b1"]);
        assert!(new(&[("a", "1"), ("b", "1")]).is_empty());
        // The same container later, and one whose place was taken.
        assert_eq!(new(&[("b", "1"), ("a", "2")]), ["a2"]);
        assert!(new(&[("a", "2")]).is_empty());
        assert_eq!(new(&[("b", "1")]), ["b1"], "its file was away, nothing else is known of it");
    }
}
