//! From what the administrator and the container's owner ask for to the one policy that holds.
//!
//! The administrator's word is final; an annotation is a request, granted up to the ceiling. A name
//! that nobody defined is a refusal wherever it stands: guessing would loosen or tighten silently.

use std::fmt;

pub use crate::control::Control;
use crate::{
    additions::{Additions, InvalidGrant},
    admission::process,
    config::{CONFIG_PATH, Config, ConfigIssue, Mode, PolicyConfig, nearest},
    control,
};
use lockc_core::rules::{Level, Rule, RuleMask};

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
    /// Whether that is denied, and what the controls forbid refused, or only reported.
    pub mode: Mode,
    /// Controls taken away, as bits.
    admitted: u32,
    /// What is admitted beyond the level.
    pub more: Additions,
    /// Where the choice came from, for messages.
    pub origin: String,
}

impl Policy {
    /// A level as such.
    pub fn for_level(level: Level, origin: impl Into<String>) -> Self {
        Self {
            name: level.name().into(),
            level,
            rules: level.rules(),
            mode: Mode::Enforce,
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

    /// This policy with other kernel rules.
    #[must_use]
    pub fn enforcing(&self, rules: RuleMask) -> Self {
        Self { rules, ..self.clone() }
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

    /// Whether it admits directories, sockets or devices of the host that its level does not: what
    /// a container gets by that cannot be compared with what another policy gives.
    pub fn grants_beyond_level(&self) -> bool {
        const HOSTS: [Control; 5] = [
            Control::HostMounts,
            Control::HostSockets,
            Control::MountTypes,
            Control::Devices,
            Control::Rootfs,
        ];
        let more = &self.more;
        HOSTS.into_iter().any(|control| self.strength(control) == Strength::Off)
            || !(more.mounts.is_empty() && more.sockets.is_empty() && more.devices.is_empty())
    }

    /// Whether nothing is allowed here that `other` refuses or denies.
    pub fn at_least_as_strict_as(&self, other: &Self) -> bool {
        // What is only reported is allowed, so that it is as strict only as what forbids nothing.
        (self.mode == Mode::Enforce || other.mode == Mode::Audit || other.forbids_nothing())
            && self.rules.covers(other.rules)
            && Control::ALL
                .into_iter()
                .all(|control| self.strength(control) >= other.strength(control))
            && self.adds_no_more_than(other)
    }

    fn forbids_nothing(&self) -> bool {
        self.rules == RuleMask::NONE
            && Control::ALL.into_iter().all(|control| self.strength(control) == Strength::Off)
    }

    fn adds_no_more_than(&self, other: &Self) -> bool {
        fn within<T: PartialEq>(own: &[T], others: &[T]) -> bool {
            own.iter().all(|item| others.contains(item))
        }
        let off = |control| other.strength(control) == Strength::Off;
        (off(Control::HostMounts) || within(&self.more.mounts, &other.more.mounts))
            && (off(Control::HostSockets) || within(&self.more.sockets, &other.more.sockets))
            && (off(Control::Devices) || within(&self.more.devices, &other.more.devices))
            && (!self.more.hook_mounts || other.more.hook_mounts || !other.rules.has(Rule::Files))
            && (off(Control::Sysctls) || within(&self.more.sysctls, &other.more.sysctls))
            && self.more.reads.iter().all(|path| {
                let rule = if path.starts_with("/sys") { Rule::Sysfs } else { Rule::Procfs };
                // The path itself: what is below may be a link to elsewhere.
                !other.rules.has(rule) || other.more.reads.contains(path)
            })
            && (!other.rules.has(Rule::Network) && !other.rules.has(Rule::SocketFamily)
                || self.more.families & !other.more.families == 0)
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
        "unknown policy {name:?} in {origin}{hint}; use privileged, baseline, restricted, offline \
         or a policy that {CONFIG_PATH} defines"
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
    #[error(
        "policies.{0}: a policy's name has at most 31 letters, digits, `.`, `_` or `-`; choose \
         another name"
    )]
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
        /// The value.
        value: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A policy that changes what forbids nothing.
    #[error(
        "policies.{policy}.{key}: the policy extends privileged, which forbids nothing: there is \
         nothing to take away or to add; leave the key out, or extend baseline"
    )]
    Nothing {
        /// The policy.
        policy: String,
        /// The key.
        key: &'static str,
    },
    /// A default that nobody could ask for.
    #[error(
        "{table}default is {default}, which is looser than {table}ceiling, which is {ceiling}: \
         what holds for everybody could be request for by nobody; lower the default or raise the \
         ceiling"
    )]
    Contradiction {
        /// `engines.docker.` or nothing.
        table: String,
        /// The default.
        default: String,
        /// The ceiling.
        ceiling: String,
    },
    /// A name that Kubernetes gives to no namespace.
    #[error(
        "namespaces.{0}: no namespace is called so; write small letters, digits and `-`, or `*` \
         for any of them"
    )]
    Namespace(String),
    /// Plugins of something that has none.
    #[error("{0}: only Docker has managed plugins; write `plugins` in [engines.docker]")]
    Plugins(String),
    /// `without_rules` with a name that is no rule.
    #[error(
        "policies.{policy}.without_rules: {name:?} is not a rule{hint}; the rules are {}",
        rule_names()
    )]
    Rule {
        /// The policy.
        policy: String,
        /// What stands there.
        name: String,
        /// The nearest rule, or nothing.
        hint: String,
    },
    /// A request for more than the ceiling.
    #[error(
        "the {origin} asks for {wanted}, which is looser than the ceiling {ceiling}; ask for a \
         tighter policy, or {remedy}"
    )]
    AboveCeiling {
        /// By what it was asked for.
        origin: String,
        /// What was asked for.
        wanted: String,
        /// What is granted at most.
        ceiling: String,
        /// What else helps.
        remedy: String,
    },
}

/// The key that names the policy of Docker's managed plugins.
pub(super) const PLUGINS: &str = "engines.docker.plugins";

fn rule_names() -> String {
    Rule::ALL.map(Rule::name).join(", ")
}

/// The policy that a registered container runs under; its level where the configuration no longer
/// knows the name.
pub fn registered(config: &Config, name: &str, level: Level, origin: &str) -> Policy {
    match named(config, name, origin) {
        Ok(policy) if policy.level == level => policy,
        _ => Policy::for_level(level, origin),
    }
}

/// The level or policy of that name.
pub fn named(config: &Config, name: &str, origin: &str) -> Result<Policy, PolicyError> {
    let mut chain: Vec<(&str, &PolicyConfig)> = Vec::new();
    let mut current = name;
    let mut place = origin.to_owned();
    let level = loop {
        if let Some(level) = Level::from_name(current) {
            break level;
        }
        let Some(definition) = config.policies.get(current) else {
            let names = Level::ALL
                .map(Level::name)
                .into_iter()
                .chain(config.policies.keys().map(String::as_str));
            return Err(PolicyError::Unknown {
                name: current.into(),
                origin: place,
                hint: hint(current, names),
            });
        };
        if chain.iter().any(|(seen, _)| *seen == current) {
            return Err(PolicyError::Cycle(current.into()));
        }
        chain.push((current, definition));
        place = format!("policies.{current}.extends");
        current = &definition.extends;
    };
    let mut policy = Policy::for_level(level, origin);
    policy.name = name.into();
    policy.mode = chain.iter().find_map(|(_, definition)| definition.mode).unwrap_or(config.mode);
    for (name, definition) in chain {
        if let Some(key) = definition.changes().filter(|_| level == Level::Privileged) {
            return Err(PolicyError::Nothing { policy: name.into(), key });
        }
        for control in &definition.admit {
            policy = policy.admitting(admittable(name, control)?);
        }
        for rule in &definition.without_rules {
            let rule = Rule::from_name(rule).ok_or_else(|| PolicyError::Rule {
                policy: name.into(),
                name: rule.clone(),
                hint: hint(rule, Rule::ALL.map(Rule::name)),
            })?;
            policy.rules = policy.rules.without(rule);
        }
        policy.more.extend(definition).map_err(|InvalidGrant { key, value, problem }| {
            PolicyError::Addition { policy: name.into(), key, value, problem }
        })?;
    }
    Ok(policy)
}

fn hint<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    nearest(word, names).map(|name| format!(" (did you mean {name:?}?)")).unwrap_or_default()
}

fn admittable(policy: &str, name: &str) -> Result<Control, PolicyError> {
    let problem = match Control::from_name(name) {
        Some(control) if control.optional() => return Ok(control),
        Some(_) => {
            "can only be taken away by the level privileged: without it the kernel cannot check \
             the container"
        }
        None => {
            let hint = hint(name, Control::ALL.map(Control::name));
            &format!("is not a control{hint}; the controls are {}", control::optional_names())
        }
    };
    Err(PolicyError::Admit { policy: policy.into(), name: name.into(), problem: problem.into() })
}

/// Checks every name of a configuration, used or not; `both`: it gives a default and a ceiling.
pub(super) fn check(config: &Config, both: bool) -> Result<(), ConfigIssue> {
    for name in config.policies.keys() {
        let key = format!("policies.{name}");
        if Level::from_name(name).is_some() {
            return Err(PolicyError::Reserved(name.clone()).at(&key));
        }
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if !(1..32).contains(&name.len()) || !name.bytes().all(plain) {
            return Err(PolicyError::Name(name.clone()).at(&key));
        }
        named(config, name, &key).map_err(|error| error.at(&key))?;
    }
    for name in config.namespaces.keys() {
        let plain =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-*".contains(&byte);
        if name.is_empty() || !name.bytes().all(plain) {
            return Err(PolicyError::Namespace(name.clone()).at(&format!("namespaces.{name}")));
        }
    }
    if let Some(name) = &config.kubernetes.unknown_namespaces {
        let key = "kubernetes.unknown_namespaces";
        named(config, name, &format!("`{key}`")).map_err(|error| error.at(key))?;
    }
    let engines = config
        .engines
        .iter()
        .map(|(engine, choice)| (format!("engines.{}.", engine.name()), choice));
    let namespaces =
        config.namespaces.iter().map(|(name, choice)| (format!("namespaces.{name}."), choice));
    for (table, choice) in engines.chain(namespaces) {
        if let Some(name) = &choice.plugins {
            let key = format!("{table}plugins");
            if key != PLUGINS {
                return Err(PolicyError::Plugins(key.clone()).at(&key));
            }
            named(config, name, &key).map_err(|error| error.at(&key))?;
        }
        let (default, ceiling) = (choice.default.as_deref(), choice.ceiling.as_deref());
        pair(config, &table, default, ceiling, default.is_some() && ceiling.is_some())?;
    }
    pair(config, "", Some(&config.default), Some(&config.ceiling), both)
}

/// Checks a default and a ceiling, and, where both are meant, that they go together.
fn pair(
    config: &Config,
    table: &str,
    default: Option<&str>,
    ceiling: Option<&str>,
    both: bool,
) -> Result<(), ConfigIssue> {
    let find = |what: &str, name: Option<&str>| {
        let key = format!("{table}{what}");
        name.map(|name| named(config, name, &format!("`{key}`")).map_err(|error| error.at(&key)))
            .transpose()
    };
    match (find("default", default)?, find("ceiling", ceiling)?) {
        (Some(default), Some(ceiling)) if both && !default.at_least_as_strict_as(&ceiling) => {
            let error = PolicyError::Contradiction {
                table: table.into(),
                default: default.name,
                ceiling: ceiling.name,
            };
            Err(error.at(&format!("{table}default")))
        }
        _ => Ok(()),
    }
}

impl PolicyError {
    /// Where it stands in the configuration, as far as the error tells; `key` otherwise.
    fn at(self, key: &str) -> ConfigIssue {
        let (key, value) = match &self {
            Self::Unknown { origin, .. } if origin.starts_with("policies.") && origin != key => {
                (origin.clone(), None)
            }
            Self::Admit { policy, name, .. } => {
                (format!("policies.{policy}.admit"), Some(name.clone()))
            }
            Self::Rule { policy, name, .. } => {
                (format!("policies.{policy}.without_rules"), Some(name.clone()))
            }
            Self::Addition { policy, key, value, .. } => {
                (format!("policies.{policy}.{key}"), Some(value.clone()))
            }
            Self::Nothing { policy, key } => (format!("policies.{policy}.{key}"), None),
            _ => (key.to_owned(), None),
        };
        ConfigIssue { key, value, message: self.to_string() }
    }
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
            ("socket_families", self.socket_families.is_empty()),
        ]
        .into_iter()
        .find_map(|(key, empty)| (!empty).then_some(key))
    }
}
