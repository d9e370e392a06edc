//! What is on record, and what a policy would have to say to allow it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use lockc_policy::{
    policy::{Key, Setting},
    refused::Refused,
};

use super::draft::Need;
use crate::denial::Denial;

/// So many files of one directory are taken for the directory.
const SIBLINGS: usize = 4;

/// What is on record of some containers.
#[derive(Debug, Default)]
pub struct Evidence {
    /// Denials, those that audit mode let pass among them.
    pub denials: Vec<Denial>,
    /// Refusals, likewise.
    pub refusals: Vec<Refused>,
}

impl Evidence {
    /// Leaves what happened since then.
    pub fn since(mut self, since: Option<Timestamp>) -> Self {
        let Some(since) = since else { return self };
        self.denials.retain(|denial| denial.last >= since);
        self.refusals
            .retain(|refused| refused.time.parse().is_ok_and(|time: Timestamp| time >= since));
        self
    }

    /// Whether nothing is on record.
    pub fn is_empty(&self) -> bool {
        self.denials.is_empty() && self.refusals.is_empty()
    }

    /// The policies that the containers are under.
    pub fn policies(&self) -> BTreeSet<String> {
        let denials = self.denials.iter().map(|denial| &denial.policy);
        denials.filter(|policy| !policy.is_empty()).cloned().collect()
    }

    /// What a policy would have to allow.
    pub fn needs(&self) -> BTreeMap<Setting, Need> {
        let mut needs = BTreeMap::<Setting, Need>::new();
        let mut add = |setting: Setting, count: u64, what: String| {
            let need = needs.entry(setting).or_default();
            need.count += count;
            need.what.insert(what);
        };
        for denial in &self.denials {
            if let Some(setting) = &denial.setting {
                add(setting.clone(), denial.count, denial.what());
            }
        }
        for reason in self.refusals.iter().flat_map(|refused| &refused.reasons) {
            if reason.settings.is_empty() {
                add(Setting::new(Key::Admit, &reason.control), 1, reason.what.clone());
            }
            for setting in &reason.settings {
                add(setting.clone(), 1, reason.what.clone());
            }
        }
        with_directories(needs)
    }
}

/// Takes many files of a directory for the directory.
fn with_directories(needs: BTreeMap<Setting, Need>) -> BTreeMap<Setting, Need> {
    let parent = |setting: &Setting| {
        let (above, _) = setting.value.rsplit_once('/')?;
        // Not all of /proc or /sys, nor what is directly below.
        (setting.key == Key::Reads && above.matches('/').count() > 2).then(|| above.to_owned())
    };
    let mut files = BTreeMap::<String, usize>::new();
    for directory in needs.keys().filter_map(parent) {
        *files.entry(directory).or_default() += 1;
    }
    let mut all = BTreeMap::<Setting, Need>::new();
    for (setting, need) in needs {
        let setting = match parent(&setting) {
            Some(directory) if files[&directory] >= SIBLINGS => Setting::new(Key::Reads, directory),
            _ => setting,
        };
        let whole = all.entry(setting).or_default();
        whole.count += need.count;
        whole.what.extend(need.what);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reads(paths: &[&str]) -> BTreeMap<Setting, Need> {
        let need = || Need { count: 1, ..Need::default() };
        with_directories(
            paths.iter().map(|path| (Setting::new(Key::Reads, *path), need())).collect(),
        )
    }

    #[test]
    fn many_files_are_their_directory() {
        let hwmon = ["a", "b", "c", "d"].map(|name| format!("/sys/class/hwmon/{name}"));
        let paths: Vec<&str> = hwmon.iter().map(String::as_str).chain(["/proc/kallsyms"]).collect();
        let all = reads(&paths);
        let keys: Vec<&str> = all.keys().map(|setting| setting.value.as_str()).collect();
        assert_eq!(keys, ["/proc/kallsyms", "/sys/class/hwmon"]);
        assert_eq!(all[&Setting::new(Key::Reads, "/sys/class/hwmon")].count, 4);
        // Nothing that is as wide as all of /proc.
        assert_eq!(reads(&["/proc/a", "/proc/b", "/proc/c", "/proc/d"]).len(), 4);
        assert_eq!(reads(&["/sys/k/a", "/sys/k/b", "/sys/k/c", "/sys/k/d"]).len(), 4);
    }
}
