//! What each control and each rule does with a container.

use lockc_core::rules::Rule;
use lockc_policy::{
    admission::findings::Violation,
    config::{CONFIG_PATH, Mode},
    enforcement::{Enforcement, Gap},
    policy::{Control, Policy, Strength},
};
use serde::Serialize;

/// What a control or a rule does with the container.
#[derive(Debug, Serialize)]
pub struct Line {
    /// The id of its messages.
    pub id: &'static str,
    /// Its name in the configuration.
    pub name: &'static str,
    /// What it is about.
    pub about: String,
    /// `ok`, `refused`, `reported`, `off`; a rule: `enforced`, `reported`, `off`, `unseen`.
    pub verdict: &'static str,
    /// What is refused, or nothing.
    pub findings: Vec<String>,
    /// What would change the verdict.
    pub setting: String,
}

pub(super) fn of_control(control: Control, policy: &Policy, violations: &[Violation]) -> Line {
    let findings: Vec<String> = violations
        .iter()
        .filter(|violation| violation.control == control)
        .map(|violation| format!("{} [{}]", violation.what, violation.remedy))
        .collect();
    let verdict = match (policy.strength(control), findings.is_empty()) {
        (Strength::Off, _) => "off",
        (_, true) => "ok",
        (_, false) if policy.mode == Mode::Audit && control.optional() => "reported",
        (_, false) => "refused",
    };
    let setting = if control.optional() {
        format!("policies.NAME.admit = [{:?}]", control.name())
    } else {
        "the privileged level".into()
    };
    Line {
        id: control.id(),
        name: control.name(),
        about: control.checks().into(),
        verdict,
        findings,
        setting,
    }
}

pub(super) fn of_rule(rule: Rule, policy: &Policy, enforcement: &Enforcement) -> Line {
    let setting = match enforcement.gap {
        Some(Gap::Sandbox(_)) => {
            format!(
                "a runtime that runs containers on the host's kernel (`runtimes` in {CONFIG_PATH})"
            )
        }
        Some(Gap::Rootless) => "an engine that runs as root".into(),
        Some(Gap::Unreachable) => "`lockc load`".into(),
        None => format!("policies.NAME.without_rules = [{:?}]", rule.name()),
    };
    let verdict = match (enforcement.rules.has(rule), policy.mode) {
        _ if enforcement.gap.is_some() => "unseen",
        (false, _) => "off",
        (true, Mode::Enforce) => "enforced",
        (true, Mode::Audit) => "reported",
    };
    Line {
        id: rule.id(),
        name: rule.name(),
        about: rule.denies().into(),
        verdict,
        findings: Vec::new(),
        setting,
    }
}
