//! From a policy's definition to the policy.

use lockc_core::rules::{Level, Network, Rule};

use super::{
    additions::InvalidGrant,
    control::{self, Control},
    error::DefinitionError,
    strictness::{OFFLINE, Policy},
};
use crate::config::{PolicyConfig, RawConfig, spelling::hint};

/// The names that need no definition.
pub(super) const BUILTIN: [&str; 4] =
    [Level::Privileged.name(), Level::Baseline.name(), Level::Restricted.name(), OFFLINE];

/// A level by its name, with its network.
fn builtin(raw: &RawConfig, name: &str) -> Option<(Level, Network)> {
    let offline = if raw.offline_loopback { Network::Loopback } else { Network::None };
    match Level::from_name(name) {
        Some(level) => Some((level, Network::Full)),
        None => (name == OFFLINE).then_some((Level::Baseline, offline)),
    }
}

/// Checks the name of a policy that is not lockc's.
pub(super) fn check_name(name: &str) -> Result<(), DefinitionError> {
    if BUILTIN.contains(&name) {
        return Err(DefinitionError::Reserved(name.into()));
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if !(1..32).contains(&name.len()) || !name.bytes().all(plain) {
        return Err(DefinitionError::Name(name.into()));
    }
    Ok(())
}

/// The level or policy of that name, chosen by `origin`.
pub(super) fn resolve(
    raw: &RawConfig,
    name: &str,
    origin: &str,
) -> Result<Policy, DefinitionError> {
    resolve_beside(raw, None, name, origin)
}

/// As [`resolve`], with another policy beside those of the configuration.
pub(super) fn resolve_beside(
    raw: &RawConfig,
    beside: Option<(&str, &PolicyConfig)>,
    name: &str,
    origin: &str,
) -> Result<Policy, DefinitionError> {
    let beside = |name: &str| beside.filter(|(other, _)| *other == name).map(|(_, policy)| policy);
    let mut chain: Vec<(&str, &PolicyConfig)> = Vec::new();
    let mut current = name;
    let mut place = origin.to_owned();
    let (level, network) = loop {
        if let Some(builtin) = builtin(raw, current) {
            break builtin;
        }
        let Some(definition) = raw.policies.get(current).or_else(|| beside(current)) else {
            let names = BUILTIN.into_iter().chain(raw.policies.keys().map(String::as_str));
            return Err(DefinitionError::Unknown {
                name: current.into(),
                origin: place,
                hint: hint(current, names),
            });
        };
        if chain.iter().any(|(seen, _)| *seen == current) {
            return Err(DefinitionError::Cycle(current.into()));
        }
        chain.push((current, definition));
        place = format!("policies.{current}.extends");
        current = &definition.extends;
    };
    let mut policy = Policy::for_level(level, origin);
    policy.name = name.into();
    let stated = chain.iter().find_map(|(_, definition)| definition.mode);
    (policy.mode, policy.states_mode) = (stated.unwrap_or(raw.mode), stated.is_some());
    let mut nearest_network = None;
    for (name, definition) in chain {
        if let Some(key) = definition.changes().filter(|_| level == Level::Privileged) {
            return Err(DefinitionError::Nothing { policy: name.into(), key });
        }
        for control in &definition.admit {
            policy = policy.admitting(admittable(name, control)?);
        }
        for rule in &definition.without_rules {
            let rule = Rule::from_name(rule).ok_or_else(|| DefinitionError::Rule {
                policy: name.into(),
                name: rule.clone(),
                hint: hint(rule, Rule::ALL.map(Rule::name)),
            })?;
            policy.rules = policy.rules.without(rule);
        }
        nearest_network = nearest_network.or(network_of(name, definition)?);
        policy.more.extend(definition).map_err(|InvalidGrant { key, value, problem }| {
            DefinitionError::Addition { policy: name.into(), key, value, problem }
        })?;
    }
    Ok(policy.with_network(nearest_network.unwrap_or(network)))
}

/// The network that a definition asks for; nothing if it leaves that to what it extends.
fn network_of(name: &str, definition: &PolicyConfig) -> Result<Option<Network>, DefinitionError> {
    let without = definition.without_rules.iter().any(|rule| rule == Rule::Network.name());
    match definition.network.map(|choice| choice.network()) {
        Some(Network::Loopback | Network::None) if without => {
            Err(DefinitionError::NetworkTwice(name.into()))
        }
        None if without => Ok(Some(Network::Full)),
        network => Ok(network),
    }
}

fn admittable(policy: &str, name: &str) -> Result<Control, DefinitionError> {
    let problem = match Control::from_name(name) {
        Some(control) if control.optional() => return Ok(control),
        Some(_) => {
            "cannot be removed, because the kernel rules depend on it; use the privileged level"
        }
        None => {
            let hint = hint(name, Control::ALL.map(Control::name));
            &format!("is not a control{hint}; the controls are {}", control::optional_names())
        }
    };
    Err(DefinitionError::Admit {
        policy: policy.into(),
        name: name.into(),
        problem: problem.into(),
    })
}

impl PolicyConfig {
    /// The first key by which it differs from what it extends, the mode aside.
    fn changes(&self) -> Option<&'static str> {
        [
            ("admit", self.admit.is_empty()),
            ("without_rules", self.without_rules.is_empty()),
            ("allowed_mounts", self.allowed_mounts.is_empty()),
            ("allowed_sockets", self.allowed_sockets.is_empty()),
            ("devices", self.devices.is_empty()),
            ("capabilities", self.capabilities.is_empty()),
            ("sysctls", self.sysctls.is_empty()),
            ("reads", self.reads.is_empty()),
            ("hook_mounts", !self.hook_mounts),
            ("network", self.network.is_none()),
            ("socket_families", self.socket_families.is_empty()),
        ]
        .into_iter()
        .find_map(|(key, empty)| (!empty).then_some(key))
    }
}
