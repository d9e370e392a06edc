//! Messages for refusals and for violations in audit mode. Engines show a message in one line.

use std::path::Path;

use lockc_policy::{
    admission::{self, Summary, findings::Violation},
    container_names::ContainerNames,
    host::privilege::Privilege,
    policy::Policy,
    refused::{self, Refused},
};

use crate::{
    environment::{Environment, Refusal},
    invocation::Invocation,
    log,
};

/// Tells what audit mode lets pass: everything, since nobody asks for it afterwards.
pub fn report(violations: &[Violation], consequence: &str, engines_log: Option<&Invocation>) {
    if !violations.is_empty() {
        log::report(
            engines_log,
            &format!(
                "{}; {consequence}, because of audit mode",
                listed(violations, "would be refused")
            ),
        );
    }
}

/// Keeps what audit mode lets pass at a container's start, for `lockc rollout`.
pub fn keep_reported(
    violations: &[Violation],
    id: &str,
    bundle: &Path,
    policy: &Policy,
    names: &ContainerNames,
    environment: &Environment<'_>,
) {
    let root = environment.privilege == Privilege::Root;
    let Some(place) = environment.refused.filter(|_| root && !violations.is_empty()) else {
        return;
    };
    if let Some(first) = violations.first() {
        count(&place.with_file_name("refusal-counts"), &first.reason(), true);
    }
    // Apart from the others: neither kind pushes out the other.
    let place = &place.with_file_name("audited");
    let reported = Refused::in_audit_mode(id, log::now(), names, bundle, policy, violations);
    if let Err(error) = reported.keep(place) {
        log::warn(&format!(
            "{}: {error}; `lockc rollout` cannot show what would be refused",
            place.display()
        ));
    }
}

/// Counts what is refused, for `lockc metrics`: the count is worth no failure.
pub fn count(file: &Path, reason: &str, is_audited: bool) {
    if let Err(error) = refused::count(file, reason, is_audited) {
        log::warn(&format!("{}: {error}; `lockc metrics` misses a refusal", file.display()));
    }
}

/// Refuses what is done with a container that exists, for which `lockc explain` keeps nothing.
pub fn refusal(violations: Vec<Violation>) -> Refusal {
    Refusal(vec![listed(&violations, "refused")])
}

fn listed(violations: &[Violation], what: &str) -> String {
    let policy = violations.first().map(|violation| violation.policy.clone()).unwrap_or_default();
    let each: Vec<_> = match violations {
        [one] => vec![one.reason()],
        many => many
            .iter()
            .zip(1..)
            .map(|(violation, number)| format!("({number}) {}", violation.reason()))
            .collect(),
    };
    format!("{what} by {policy}: {}", each.join("; "))
}

/// Refuses a container: says the first reason, and keeps all of them for `lockc explain`.
pub fn refused(
    violations: &[Violation],
    id: &str,
    bundle: &Path,
    policy: &Policy,
    names: &ContainerNames,
    environment: &Environment<'_>,
) -> Refusal {
    let engine = names.engine.as_deref();
    if let Some(place) = environment.refused.filter(|_| environment.privilege == Privilege::Root) {
        let refused = Refused::new(id, log::now(), names, bundle, policy, violations);
        if let Err(error) = refused.keep(place) {
            log::warn(&format!(
                "{}: {error}; `lockc explain` cannot show the reasons",
                place.display()
            ));
        }
    }
    Refusal(vec![in_short(violations, id, engine)])
}

/// The first reason, and how to learn of the others.
fn in_short(violations: &[Violation], id: &str, engine: Option<&str>) -> String {
    let policy = violations.first().map(|violation| violation.policy.as_str()).unwrap_or_default();
    let Summary { first, further } = admission::summary(violations);
    let text = format!("refused by {policy}: {first}");
    let reasons = match further.len() {
        0 => return text,
        1 => "1 further reason".to_owned(),
        many => format!("{many} further reasons"),
    };
    let mut names: Vec<&str> = Vec::new();
    for control in further {
        if !names.contains(&control.name()) {
            names.push(control.name());
        }
    }
    let whose = engine
        .filter(|engine| ["docker", "podman"].contains(engine))
        .map(|engine| format!("{engine}:"));
    // Engines that make ids of 64 digits take the first twelve.
    let is_random = id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    let id = if is_random { &id[..12] } else { id };
    format!(
        "{text}; {reasons} ({}): see `lockc explain {}{id}`",
        names.join(", "),
        whose.unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use lockc_policy::policy::Control;

    use super::*;

    #[test]
    fn the_way_to_the_other_reasons_is_the_engines() {
        let violation = |control| Violation {
            control,
            what: "x".into(),
            policy: "p".into(),
            remedy: "r".into(),
            settings: Vec::new(),
        };
        let controls = [Control::HostMounts, Control::Devices, Control::Seccomp, Control::Devices];
        let violations = controls.map(violation);
        let id = "0123456789abcdef".repeat(4);
        let told = in_short(&violations, &id, Some("docker"));
        let ends =
            "; 3 further reasons (devices, seccomp): see `lockc explain docker:0123456789ab`";
        assert!(told.ends_with(ends), "{told}");
        assert!(
            in_short(&violations, &id, Some("containerd"))
                .ends_with("`lockc explain 0123456789ab`")
        );
        assert!(
            in_short(&violations, "a-container-1", None).ends_with("`lockc explain a-container-1`")
        );
        let told = in_short(&violations[..1], &id, None);
        assert_eq!(told, "refused by p: host-mounts: x [r] (LOCKC-A001)");
    }
}
