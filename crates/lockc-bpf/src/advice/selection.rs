//! Policies that nothing selects, and namespaces that do not exist.

use std::{collections::BTreeSet, fs, path::Path};

use lockc_policy::{
    config::globs,
    policy::{Policy, PolicySet},
};

use super::{
    values::Values,
    view::View,
    warning::{Kind, Warning},
};

/// Where runtimes are that always have a policy.
const SCRIPTS: &str = "/etc/lockc/runtimes";
const DOCKER: &str = "/etc/docker/daemon.json";

pub fn warnings(values: &Values<'_>, set: &PolicySet, host: &View) -> Vec<Warning> {
    let used = used(values);
    let mut found = Vec::new();
    for name in values.config().policies.keys().filter(|name| !used.contains(name.as_str())) {
        let is_asked_for = set
            .all()
            .find(|policy| policy.name == *name)
            .is_some_and(|policy| may_be_asked_for(policy, values, set));
        if !is_asked_for && !has_runtime(name, host) {
            let reason = format!(
                "nothing selects this policy: no setting names it, it is looser than every \
                 ceiling, so that no container may ask for it, and no runtime has it (`lockc \
                 install ENGINE --level {name}` adds one)"
            );
            found.extend(values.warning(&format!("policies.{name}"), None, Kind::NoEffect, reason));
        }
    }
    if let Some(labels) = &set.labels {
        for pattern in values.config().namespaces.keys() {
            if !labels.namespaces.keys().any(|name| globs::fits(pattern, name)) {
                let reason = "the cluster has no such namespace";
                let key = format!("namespaces.{pattern}");
                found.extend(values.warning(&key, None, Kind::NoEffect, reason));
            }
        }
    }
    found
}

/// The policies that settings name.
fn used<'a>(values: &'a Values<'_>) -> BTreeSet<&'a str> {
    let config = values.config();
    let mut used = BTreeSet::from([config.default.as_str(), config.ceiling.as_str()]);
    used.extend(config.kubernetes.unknown_namespaces.as_deref());
    for choice in config.engines.values().chain(config.namespaces.values()) {
        let names = [&choice.default, &choice.ceiling, &choice.plugins];
        used.extend(names.into_iter().filter_map(|name| name.as_deref()));
    }
    used.extend(config.policies.values().map(|policy| policy.extends.as_str()));
    used
}

/// Whether a ceiling lets the annotation of some container ask for it.
fn may_be_asked_for(policy: &Policy, values: &Values<'_>, set: &PolicySet) -> bool {
    let config = values.config();
    let engines = config.engines.keys().filter_map(|engine| set.engine(*engine)?.ceiling.as_ref());
    let namespaces = config.namespaces.values().filter_map(|choice| choice.ceiling.as_deref());
    let named = |name: &str| set.all().find(|other| other.name == name);
    let mut ceilings = engines.chain(namespaces.filter_map(named)).chain([set.ceiling()]);
    ceilings.any(|ceiling| policy.at_least_as_strict_as(ceiling))
}

fn has_runtime(name: &str, host: &View) -> bool {
    let script = Path::new(SCRIPTS).join(format!("lockc-{name}"));
    let docker = fs::read_to_string(host.at(Path::new(DOCKER))).unwrap_or_default();
    host.at(&script).exists()
        || docker.contains(&format!("{name:?}"))
        || docker.contains(&format!("--lockc-policy={name}"))
}
