//! From what the administrator and the container's owner ask for to the one policy that holds.
//!
//! The administrator's word is final; an annotation is a request, granted up to the ceiling. A name that nobody
//! defined is a refusal wherever it stands: guessing would loosen or tighten silently.

use std::fmt;

pub use super::control::Control;
use super::{
    additions::Additions,
    admission::process,
    config::{CONFIG_PATH, Config, nearest},
    control,
};
use crate::rules::{Level, Rule, RuleMask};

/// The annotation by which a container asks for a level.
pub const ANNOTATION: &str = "org.lockc.policy";

/// How strictly a control is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Strength {
    /// Not at all.
    Off,
    /// As `baseline` does.
    Baseline,
    /// As `restricted` does.
    Restricted,
}

/// What holds for a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Name of the level or of the administrator's policy.
    pub name: String,
    /// The level that it is or extends.
    pub level: Level,
    /// What the kernel side enforces.
    pub rules: RuleMask,
    /// Controls taken away, as bits.
    admitted: u32,
    /// What is admitted beyond the level.
    pub more: Additions,
    /// Where the choice came from, for messages.
    pub origin: String,
}

impl Policy {
    /// A level as such.
    pub fn of_level(level: Level, origin: impl Into<String>) -> Self {
        Self {
            name: level.name().into(),
            level,
            rules: level.rules(),
            admitted: 0,
            more: Additions::default(),
            origin: origin.into(),
        }
    }

    /// This policy without `control`.
    #[must_use]
    pub fn admitting(mut self, control: Control) -> Self {
        self.admitted |= control.bit();
        self
    }

    /// How strictly `control` is applied.
    pub fn strength(&self, control: Control) -> Strength {
        if self.level == Level::Privileged || self.admitted & control.bit() != 0 {
            return Strength::Off;
        }
        match (control, self.level) {
            (
                Control::HostMounts
                | Control::Capabilities
                | Control::RunAsRoot
                | Control::Seccomp
                | Control::PrivilegeEscalation,
                Level::Restricted,
            ) => Strength::Restricted,
            (Control::RunAsRoot | Control::PrivilegeEscalation, _) => Strength::Off,
            _ => Strength::Baseline,
        }
    }

    /// Whether nothing is allowed here that `other` refuses or denies.
    pub fn at_least_as_strict_as(&self, other: &Self) -> bool {
        self.rules.covers(other.rules)
            && Control::ALL.into_iter().all(|control| self.strength(control) >= other.strength(control))
            && self.adds_no_more_than(other)
    }

    fn adds_no_more_than(&self, other: &Self) -> bool {
        fn within<T: PartialEq>(own: &[T], others: &[T]) -> bool {
            own.iter().all(|item| others.contains(item))
        }
        let off = |control| other.strength(control) == Strength::Off;
        (off(Control::HostMounts) || within(&self.more.mounts, &other.more.mounts))
            && (off(Control::HostSockets) || within(&self.more.sockets, &other.more.sockets))
            && (off(Control::Devices) || within(&self.more.devices, &other.more.devices))
            && (off(Control::Sysctls) || within(&self.more.sysctls, &other.more.sysctls))
            && process::usable(self) & !process::usable(other) == 0
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if Level::from_name(&self.name).is_some() {
            write!(f, "level {} (from {})", self.name, self.origin)
        } else {
            write!(f, "policy {} of level {} (from {})", self.name, self.level.name(), self.origin)
        }
    }
}

/// Why there is no policy.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// A name that neither lockc nor the configuration defines.
    #[error(
        "unknown policy {name:?} in {origin}{hint}; use privileged, baseline, restricted, offline or a policy that \
         {CONFIG_PATH} defines"
    )]
    Unknown {
        /// The name.
        name: String,
        /// Where it stands.
        origin: String,
        /// The nearest name, or nothing.
        hint: String,
    },
    /// Policies that extend each other.
    #[error("policy {0:?} extends itself through other policies; let one of them extend a level")]
    Cycle(String),
    /// A policy under a level's name.
    #[error("policies.{0}: a policy cannot have the name of a level; choose another name")]
    Reserved(String),
    /// A name that a container's entry could not keep whole.
    #[error("policies.{0}: a policy's name has at most 31 letters, digits, `.`, `_` or `-`; choose another name")]
    Name(String),
    /// `admit` with a name that is no control, or one that cannot be taken away.
    #[error("policies.{policy}.admit: {name:?} {problem}")]
    Admit {
        /// The policy.
        policy: String,
        /// What stands there.
        name: String,
        /// What is wrong with it, and what would be right.
        problem: String,
    },
    /// A value that cannot be added.
    #[error("policies.{policy}.{key}: {problem}")]
    Addition {
        /// The policy.
        policy: String,
        /// The key.
        key: &'static str,
        /// What is wrong with its value.
        problem: String,
    },
    /// `without_rules` with a name that is no rule.
    #[error("policies.{policy}.without_rules: {name:?} is not a rule; the rules are {}", rule_names())]
    Rule {
        /// The policy.
        policy: String,
        /// What stands there.
        name: String,
    },
    /// A request for more than the ceiling.
    #[error(
        "the {origin} asks for {wanted}, which is looser than the ceiling {ceiling}; ask for a tighter policy, or let the \
         administrator raise {setting} in {CONFIG_PATH}"
    )]
    AboveCeiling {
        /// By what it was asked for.
        origin: String,
        /// What was asked for.
        wanted: String,
        /// What is granted at most.
        ceiling: String,
        /// Where the ceiling stands.
        setting: String,
    },
}

fn rule_names() -> String {
    Rule::ALL.map(Rule::name).join(", ")
}

/// The policy that a registered container runs under; its level where the configuration no longer knows the name.
pub fn registered(config: &Config, name: &str, level: Level, origin: &str) -> Policy {
    match named(config, name, origin) {
        Ok(policy) if policy.level == level => policy,
        _ => Policy::of_level(level, origin),
    }
}

/// The level or policy of that name.
pub fn named(config: &Config, name: &str, origin: &str) -> Result<Policy, PolicyError> {
    let mut chain = Vec::new();
    let mut current = name;
    let mut place = origin.to_owned();
    let level = loop {
        if let Some(level) = Level::from_name(current) {
            break level;
        }
        let Some(definition) = config.policies.get(current) else {
            let names = Level::ALL.map(Level::name).into_iter().chain(config.policies.keys().map(String::as_str));
            let hint = nearest(current, names).map(|name| format!(" (did you mean {name:?}?)")).unwrap_or_default();
            return Err(PolicyError::Unknown { name: current.into(), origin: place, hint });
        };
        if chain.iter().any(|(seen, _)| *seen == current) {
            return Err(PolicyError::Cycle(current.into()));
        }
        chain.push((current, definition));
        place = format!("policies.{current}.extends");
        current = &definition.extends;
    };
    let mut policy = Policy::of_level(level, origin);
    policy.name = name.into();
    for (name, definition) in chain {
        for control in &definition.admit {
            policy = policy.admitting(admittable(name, control)?);
        }
        for rule in &definition.without_rules {
            let rule =
                Rule::from_name(rule).ok_or_else(|| PolicyError::Rule { policy: name.into(), name: rule.clone() })?;
            policy.rules = policy.rules.without(rule);
        }
        policy.more.extend(definition).map_err(|(key, problem)| PolicyError::Addition {
            policy: name.into(),
            key,
            problem,
        })?;
    }
    Ok(policy)
}

fn admittable(policy: &str, name: &str) -> Result<Control, PolicyError> {
    let problem = match Control::from_name(name) {
        Some(control) if control.optional() => return Ok(control),
        Some(_) => "can only be taken away by the level privileged: without it the kernel cannot judge the container",
        None => &format!("is not a control; the controls are {}", control::optional_names()),
    };
    Err(PolicyError::Admit { policy: policy.into(), name: name.into(), problem: problem.into() })
}

/// Checks every name of a configuration, used or not; an error comes with the key that is at fault.
pub(crate) fn check(config: &Config) -> Result<(), (String, PolicyError)> {
    for name in config.policies.keys() {
        let key = format!("policies.{name}");
        if Level::from_name(name).is_some() {
            return Err((key, PolicyError::Reserved(name.clone())));
        }
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if !(1..32).contains(&name.len()) || !name.bytes().all(plain) {
            return Err((key, PolicyError::Name(name.clone())));
        }
        named(config, name, &key).map_err(|error| (key, error))?;
    }
    let engines = config.engines.iter().map(|(engine, choice)| (format!("engines.{}", engine.name()), choice));
    let namespaces = config.namespaces.iter().map(|(name, choice)| (format!("namespaces.{name}"), choice));
    for (key, choice) in engines.chain(namespaces) {
        for (what, name) in [("default", &choice.default), ("ceiling", &choice.ceiling)] {
            if let Some(name) = name {
                named(config, name, &format!("`{key}.{what}`")).map_err(|error| (key.clone(), error))?;
            }
        }
    }
    for (key, name) in [("default", &config.default), ("ceiling", &config.ceiling)] {
        named(config, name, &format!("`{key}`")).map_err(|error| (key.into(), error))?;
    }
    Ok(())
}
