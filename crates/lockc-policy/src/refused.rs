//! Recently refused containers. An engine discards the configuration of a container that did not
//! start and shows one line; `lockc explain` reads the rest from these records.
//!
//! Each record is a file that only root may read: the reasons name paths of the host and options of
//! other tenants. A record that cannot be written costs the explanation, and nothing else.

use std::{
    io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{
    admission::findings::Violation,
    container_names::ContainerNames,
    host::{counters, records},
    messages,
    policy::{Control, Policy, Setting},
};

/// How many are kept.
const KEPT: usize = 256;
/// Reasons of a record, and characters of a text. A specification may have 10 MiB, and /run is
/// memory.
const REASONS: usize = 64;
const TEXT: usize = 1024;

/// Why a container was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// Its id.
    pub id: String,
    /// When, as RFC 3339 has it, in UTC.
    pub time: String,
    /// What people call it.
    #[serde(flatten)]
    pub names: ContainerNames,
    /// Its bundle.
    pub bundle: PathBuf,
    /// The policy, with the level and where the choice came from.
    pub policy: String,
    /// Whether it started all the same, because the policy is in audit mode.
    #[serde(default)]
    pub audited: bool,
    /// Every reason.
    pub reasons: Vec<Reason>,
}

/// One of the reasons.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// The control's name.
    pub control: String,
    /// What is wrong.
    pub what: String,
    /// What would change it.
    pub remedy: String,
    /// What a policy would have to say; nothing where only admitting the control would do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub settings: Vec<Setting>,
}

impl Refused {
    /// A record of what the policy refuses.
    pub fn new(
        id: &str,
        time: String,
        names: &ContainerNames,
        bundle: &Path,
        policy: &Policy,
        violations: &[Violation],
    ) -> Self {
        let cut = |text: &str| text.chars().take(TEXT).collect::<String>();
        let reason = |violation: &Violation| Reason {
            control: violation.control.name().into(),
            what: cut(&violation.what),
            remedy: cut(&violation.remedy),
            settings: violation
                .settings
                .iter()
                .take(REASONS)
                .map(|setting| Setting::new(setting.key, cut(&setting.value)))
                .collect(),
        };
        Self {
            id: cut(id),
            time,
            names: names.cut(),
            bundle: bundle.into(),
            policy: policy.to_string(),
            audited: false,
            reasons: violations.iter().take(REASONS).map(reason).collect(),
        }
    }

    /// The same of a container that starts all the same. Each reason has a policy of its own; the
    /// first is named.
    pub fn in_audit_mode(
        id: &str,
        time: String,
        names: &ContainerNames,
        bundle: &Path,
        policy: &Policy,
        violations: &[Violation],
    ) -> Self {
        let named = violations.first().map(|violation| violation.policy.clone());
        let refused = Self::new(id, time, names, bundle, policy, violations);
        Self { audited: true, policy: named.unwrap_or_else(|| refused.policy.clone()), ..refused }
    }

    /// Keeps the record in `directory`, in place of an earlier one of the same container and of the
    /// oldest ones.
    ///
    /// # Errors
    ///
    /// Where it cannot be written.
    pub fn keep(&self, directory: &Path) -> io::Result<()> {
        let text = serde_json::to_vec(self).map_err(io::Error::from)?;
        records::keep(directory, &self.id, &text, KEPT)
    }

    /// Every record, the latest last.
    ///
    /// # Errors
    ///
    /// Where the directory is there and cannot be read.
    pub fn all(directory: &Path) -> io::Result<Vec<Self>> {
        let texts = records::all(directory)?.into_iter();
        let mut found: Vec<Self> =
            texts.filter_map(|text| serde_json::from_slice(&text).ok()).collect();
        found.sort_by(|one, other| one.time.cmp(&other.time));
        Ok(found)
    }

    /// The record of the container whose id is, or begins with, this one; else the latest of a
    /// container that is called so.
    pub fn find(directory: &Path, id: &str) -> Option<Self> {
        let mut found = Self::all(directory).unwrap_or_default();
        let called = found
            .iter()
            .filter(|refused| refused.names.is_called(id))
            .max_by(|one, other| one.time.cmp(&other.time))
            .cloned();
        found.retain(|refused| refused.id.starts_with(id));
        match found.iter().position(|refused| refused.id == id) {
            Some(exact) => Some(found.swap_remove(exact)),
            None if called.is_some() => called,
            None if found.len() == 1 && !id.is_empty() => found.pop(),
            None => None,
        }
    }
}

/// Counts a refusal by the id of its first reason; or what audit mode let pass.
///
/// # Errors
///
/// Where the file cannot be written.
pub fn count(file: &Path, reason: &str, is_audited: bool) -> io::Result<()> {
    let id = messages::id_in(reason).unwrap_or_default();
    counters::add(file, &format!("{}{id}", if is_audited { AUDITED } else { "" }))
}

/// Counters whose names begin so are of audit mode.
const AUDITED: &str = "audited ";

/// How often something was refused for one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusalCount {
    /// The id of the reason; empty: it has none.
    pub id: String,
    /// The control, if it was one.
    pub control: Option<Control>,
    /// It was not refused, because of audit mode.
    pub is_audited: bool,
    /// How often.
    pub count: u64,
}

/// All refusals since the host was booted.
///
/// # Errors
///
/// Where the file cannot be read.
pub fn counts(file: &Path) -> io::Result<Vec<RefusalCount>> {
    let counted = |(name, count): (String, u64)| {
        let audited = name.strip_prefix(AUDITED);
        let (id, is_audited) = (audited.unwrap_or(&name).to_owned(), audited.is_some());
        RefusalCount { control: Control::from_id(&id), id, is_audited, count }
    };
    Ok(counters::read(file)?.into_iter().map(counted).collect())
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;
    use lockc_core::rules::Level;

    fn refused(id: &str, what: &str) -> Refused {
        let policy = Policy::for_level(Level::Baseline, "a test");
        let violation = Violation {
            control: Control::Devices,
            what: what.into(),
            policy: policy.to_string(),
            remedy: "leave it out".into(),
            settings: Vec::new(),
        };
        Refused::new(
            id,
            "2026-11-26T20:00:00Z".into(),
            &ContainerNames { name: Some(format!("{id}-name")), ..ContainerNames::default() },
            Path::new("/b"),
            &policy,
            &[violation],
        )
    }

    #[test]
    fn a_record_is_found_again_by_the_beginning_of_the_id() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("lockc/refused");
        assert_eq!(Refused::find(&place, "a"), None);
        assert!(Refused::all(&place).unwrap().is_empty());
        for (id, what) in [("abc", "one"), ("abd", "two"), ("../x", "three"), ("abc", "again")] {
            refused(id, what).keep(&place).unwrap();
        }
        let what =
            |id: &str| Refused::find(&place, id).map(|refused| refused.reasons[0].what.clone());
        assert_eq!(what("abc").as_deref(), Some("again"));
        assert_eq!(what("abd").as_deref(), Some("two"));
        assert_eq!(what("../x").as_deref(), Some("three"));
        assert_eq!((what("ab"), what(""), what("x")), (None, None, None));
        assert_eq!(what("abd-name").as_deref(), Some("two"));
        assert_eq!(Refused::all(&place).unwrap().len(), 3);
        assert_eq!(fs::read_dir(&place).unwrap().count(), 3, "nothing half-written");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&place), 0o700);
        assert!(fs::read_dir(&place).unwrap().flatten().all(|entry| mode(&entry.path()) == 0o600));
        assert!(!dir.path().join("lockc/x").exists() && !dir.path().join("x").exists());
    }

    #[test]
    fn refusals_are_counted_by_their_first_reason() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("counts");
        assert_eq!(counts(&file).unwrap(), []);
        for (reason, is_audited) in [
            ("refused by x: (1) devices: a (LOCKC-A007); (2) rootfs: b (LOCKC-A008)", false),
            ("refused by x: devices: c [use LOCKC-1] (LOCKC-A007)", false),
            ("devices: c (LOCKC-A007)", true),
            ("something else", false),
        ] {
            count(&file, reason, is_audited).unwrap();
        }
        let found = counts(&file).unwrap().into_iter();
        let found: Vec<_> = found.map(|it| (it.id, it.control, it.is_audited, it.count)).collect();
        assert_eq!(
            found,
            [
                (String::new(), None, false, 1),
                ("LOCKC-A007".into(), Some(Control::Devices), false, 2),
                ("LOCKC-A007".into(), Some(Control::Devices), true, 1),
            ]
        );
    }

    #[test]
    fn the_oldest_records_make_room() {
        let dir = tempfile::tempdir().unwrap();
        for n in 0..KEPT + 5 {
            refused(&format!("c{n}"), "x").keep(dir.path()).unwrap();
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), KEPT);
        assert!(Refused::find(dir.path(), &format!("c{}", KEPT + 4)).is_some());
    }

    #[test]
    fn a_record_stays_small_whatever_was_asked_for() {
        let policy = Policy::for_level(Level::Baseline, "a test");
        let violation = Violation {
            control: Control::RuntimeHandlers,
            what: "ä".repeat(1 << 20),
            policy: policy.to_string(),
            remedy: "r".into(),
            settings: Vec::new(),
        };
        let violations = vec![violation; 1000];
        let refused = Refused::new(
            &"i".repeat(1 << 20),
            "t".into(),
            &ContainerNames::default(),
            Path::new("/b"),
            &policy,
            &violations,
        );
        assert!(serde_json::to_vec(&refused).unwrap().len() < 256 << 10);
    }

    #[test]
    fn what_is_no_record_is_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("x.json"), "{").unwrap();
        refused("a", "one").keep(dir.path()).unwrap();
        assert!(Refused::find(dir.path(), "a").is_some());
    }
}
