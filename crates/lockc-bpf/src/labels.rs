//! `lockc doctor`: age of the node's copy of a cluster's namespace labels.

use std::{path::Path, time::Duration};

use jiff::Timestamp;
use lockc_core::paths;
use lockc_policy::{
    config::{Follow, Labels},
    host::Host,
    policy::PolicySet,
};

use crate::check::{self, Check, State};

/// `lockc-node sync` lists all namespaces every ten minutes, unless it is told otherwise.
const OLD: Duration = Duration::from_secs(60 * 60);

/// Nothing where no cluster is synced to this node; a broken file is the configuration's check.
pub(crate) fn check() -> Option<Check> {
    let labels = Labels::load(Path::new(paths::NAMESPACES), &Host::default()).ok()??;
    let follow = PolicySet::of_host().map(|config| config.namespace_labels);
    Some(of(&labels, follow.unwrap_or_default(), Timestamp::now()))
}

fn of(labels: &Labels, follow: Follow, now: Timestamp) -> Check {
    let remedy = "check why `lockc-node sync` cannot reach the API server (see its pod's log); \
                  until then new pods use the last known labels";
    let known = format!("{} known", labels.namespaces.len());
    let (state, found) =
        match labels.synced.parse::<Timestamp>().map(|synced| now.duration_since(synced)) {
            _ if follow == Follow::Ignore => {
                (State::Ok, format!("{known}; their labels are ignored"))
            }
            Err(error) => {
                (State::Warning, format!("{known}; the time of the last sync is invalid: {error}"))
            }
            Ok(age) if age.is_negative() => {
                (State::Warning, format!("{known}, synced in the future: {}", labels.synced))
            }
            Ok(age) => {
                let state = if age.unsigned_abs() > OLD { State::Warning } else { State::Ok };
                (state, format!("{known}, synced {} s ago", age.as_secs()))
            }
        };
    check::check("namespace labels", state, found, remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_old_is_told() {
        let now: Timestamp = "2026-01-02T04:00:00Z".parse().unwrap();
        let labels = |synced: &str| Labels { synced: synced.into(), ..Labels::default() };
        for (synced, follow, state, found) in [
            ("2026-01-02T03:59:00Z", Follow::Follow, State::Ok, "synced 60 s ago"),
            ("2026-01-02T02:00:00Z", Follow::Tighten, State::Warning, "synced 7200 s ago"),
            ("2026-01-02T05:00:00Z", Follow::Follow, State::Warning, "future"),
            ("yesterday", Follow::Follow, State::Warning, "is invalid"),
            ("2020-01-01T00:00:00Z", Follow::Ignore, State::Ok, "ignored"),
        ] {
            let check = of(&labels(synced), follow, now);
            assert_eq!(check.state, state, "{synced}");
            assert!(check.found.contains(found), "{}", check.found);
        }
    }
}
