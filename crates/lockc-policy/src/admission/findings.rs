//! What a check finds.

use std::fmt;

use crate::{
    config::{CONFIG_PATH, Mode},
    policy::{PLUGINS, Policy, Setting, Strength, control::Control},
};

/// One thing that the policy refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// What was checked.
    pub control: Control,
    /// What is wrong, with the value.
    pub what: String,
    /// The policy and where it came from.
    pub policy: String,
    /// What would change it.
    pub remedy: String,
    /// What a policy would have to say; nothing where only admitting the control would do.
    pub settings: Vec<Setting>,
}

impl Violation {
    /// What is wrong and what would change it, without the policy.
    pub fn reason(&self) -> String {
        let control = self.control;
        format!("{}: {} [{}] ({})", control.name(), self.what, self.remedy, control.id())
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "refused by {}: {}", self.policy, self.reason())
    }
}

/// Collects violations of the controls that the policy applies.
pub(crate) struct Findings<'a> {
    pub(super) policy: &'a Policy,
    /// Whether a pod's sandbox is checked.
    sandbox: bool,
    /// Whether one of Docker's managed plugins is checked.
    pub(super) plugin: bool,
    found: Vec<Violation>,
}

impl<'a> Findings<'a> {
    pub(super) fn new(policy: &'a Policy, sandbox: bool) -> Self {
        Self { policy, sandbox, plugin: false, found: Vec::new() }
    }

    pub(super) fn strength(&self, control: Control) -> Strength {
        match (control, self.policy.strength(control)) {
            // A pod's owner cannot take containerd's default capabilities from its sandbox. The
            // kernel side lets it use no more than the policy says.
            (Control::Capabilities, Strength::Restricted) if self.sandbox => Strength::Baseline,
            (_, strength) => strength,
        }
    }

    pub(super) fn applies(&self, control: Control) -> bool {
        self.strength(control) != Strength::Off
    }

    /// What is let pass, or everything, if something is refused. In audit mode only what
    /// nothing can be reported without is.
    pub(super) fn outcome(self, can_report: bool) -> Result<Vec<Violation>, Vec<Violation>> {
        let passes =
            |violation: &Violation| self.policy.mode == Mode::Audit && violation.control.optional();
        if !can_report && !self.found.is_empty() {
            return Err(self.found);
        }
        let (passing, refused): (Vec<_>, Vec<_>) = self.found.into_iter().partition(passes);
        if refused.is_empty() { Ok(passing) } else { Err(refused) }
    }

    /// As [`add`](Self::add), with what a policy would have to say to allow it.
    pub(super) fn add_unless_set(
        &mut self,
        control: Control,
        what: String,
        remedy: impl Into<String>,
        settings: impl IntoIterator<Item = Setting>,
    ) {
        let before = self.found.len();
        self.add(control, what, remedy);
        if let Some(violation) = self.found.get_mut(before) {
            violation.settings.extend(settings);
        }
    }

    /// Notes a violation unless the policy is without that control.
    pub(super) fn add(&mut self, control: Control, what: String, remedy: impl Into<String>) {
        if self.applies(control) {
            let mut remedy = remedy.into();
            if remedy.contains("allowed_mounts") && what.contains("is the host's root directory") {
                // Who allows that allows everything.
                remedy = "mount the directories that the container needs".into();
            }
            let remedy = match (remedy, control.optional()) {
                (_, true) if self.plugin => {
                    format!(
                        "set {PLUGINS} in {CONFIG_PATH} to a policy that admits {}",
                        control.name()
                    )
                }
                (remedy, true) => {
                    format!("{remedy}, or use a policy that admits {}", control.name())
                }
                (remedy, false) if self.policy.mode == Mode::Audit => format!(
                    "{remedy}, or use the privileged level; audit mode does not allow it, because \
                     lockc depends on this control"
                ),
                (remedy, false) => format!("{remedy}, or use the privileged level"),
            };
            let (policy, settings) = (self.policy.to_string(), Vec::new());
            self.found.push(Violation { control, what, policy, remedy, settings });
        }
    }
}
