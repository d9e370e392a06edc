//! From what the administrator and the container's owner ask for to the one policy that holds.
//!
//! The administrator's word is final; an annotation is a request, granted up to the ceiling. A name that nobody
//! defined is a refusal wherever it stands: guessing would loosen or tighten silently.

use std::fmt;

use super::config::{CONFIG_PATH, Config, nearest};
use crate::rules::{Level, Rule, RuleMask};

/// The annotation by which a container asks for a level.
pub const ANNOTATION: &str = "org.lockc.policy";

/// Something that is checked before a container starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)] // the table is in `Control::checks`
pub enum Control {
    HostMounts,
    HostSockets,
    MountTypes,
    MountNamespace,
    HostNamespaces,
    Capabilities,
    Devices,
    Rootfs,
    RunAsRoot,
    RuntimeHandlers,
    Restore,
}

impl Control {
    /// Every control.
    pub const ALL: [Self; 11] = [
        Self::HostMounts,
        Self::HostSockets,
        Self::MountTypes,
        Self::MountNamespace,
        Self::HostNamespaces,
        Self::Capabilities,
        Self::Devices,
        Self::Rootfs,
        Self::RunAsRoot,
        Self::RuntimeHandlers,
        Self::Restore,
    ];

    /// The name used in configuration and messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::HostMounts => "host-mounts",
            Self::HostSockets => "host-sockets",
            Self::MountTypes => "mount-types",
            Self::MountNamespace => "mount-namespace",
            Self::HostNamespaces => "host-namespaces",
            Self::Capabilities => "capabilities",
            Self::Devices => "devices",
            Self::Rootfs => "rootfs",
            Self::RunAsRoot => "run-as-root",
            Self::RuntimeHandlers => "runtime-handlers",
            Self::Restore => "restore",
        }
    }

    /// The control of that name, if there is one.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|control| control.name() == name)
    }

    /// What is checked, in a few words for messages.
    pub const fn checks(self) -> &'static str {
        match self {
            Self::HostMounts => "bind mounts of the host's files",
            Self::HostSockets => "unix sockets of the host",
            Self::MountTypes => "types of file systems that are mounted",
            Self::MountNamespace => "a mount namespace of its own",
            Self::HostNamespaces => "namespaces of the host",
            Self::Capabilities => "capabilities beyond the engines' default set",
            Self::Devices => "devices beyond the default set",
            Self::Rootfs => "where the root file system is",
            Self::RunAsRoot => "running as uid 0",
            Self::RuntimeHandlers => "annotations that make the runtime do something else",
            Self::Restore => "restoring from a checkpoint",
        }
    }

    /// Whether a policy may take the control away. Without the others the kernel side never gets to judge the
    /// container, so that only `privileged`, which says so, is without them.
    pub const fn optional(self) -> bool {
        !matches!(self, Self::MountNamespace | Self::RuntimeHandlers | Self::Restore)
    }

    const fn bit(self) -> u32 {
        1 << self as u32
    }
}

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
    /// Where the choice came from, for messages.
    pub origin: String,
}

impl Policy {
    /// A level as such.
    pub fn of_level(level: Level, origin: impl Into<String>) -> Self {
        Self { name: level.name().into(), level, rules: level.rules(), admitted: 0, origin: origin.into() }
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
            (Control::HostMounts | Control::Capabilities | Control::RunAsRoot, Level::Restricted) => {
                Strength::Restricted
            }
            (Control::RunAsRoot, _) => Strength::Off,
            _ => Strength::Baseline,
        }
    }

    /// Whether nothing is allowed here that `other` refuses or denies.
    pub fn at_least_as_strict_as(&self, other: &Self) -> bool {
        self.rules.covers(other.rules)
            && Control::ALL.into_iter().all(|control| self.strength(control) >= other.strength(control))
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
    /// `without_rules` with a name that is no rule.
    #[error("policies.{policy}.without_rules: {name:?} is not a rule; the rules are {}", rule_names())]
    Rule {
        /// The policy.
        policy: String,
        /// What stands there.
        name: String,
    },
    /// An annotation asks for more than the ceiling.
    #[error(
        "the annotation {ANNOTATION} asks for {wanted}, which is looser than the ceiling {ceiling}; ask for a tighter \
         policy, or let the administrator raise `ceiling` in {CONFIG_PATH}"
    )]
    AboveCeiling {
        /// What was asked for.
        wanted: String,
        /// What is granted at most.
        ceiling: String,
    },
}

fn rule_names() -> String {
    Rule::ALL.map(Rule::name).join(", ")
}

/// The policy for a container: `argument` is `--lockc-policy`, `annotation` the value of [`ANNOTATION`].
pub fn resolve(config: &Config, argument: Option<&str>, annotation: Option<&str>) -> Result<Policy, PolicyError> {
    let wanted = annotation
        .map(|name| named(config, name, &format!("annotation {ANNOTATION}")))
        .transpose()?;
    if let Some(name) = argument {
        return named(config, name, "--lockc-policy");
    }
    let Some(wanted) = wanted else {
        return named(config, &config.default, "the default");
    };
    let ceiling = named(config, &config.ceiling, "the ceiling")?;
    if !wanted.at_least_as_strict_as(&ceiling) {
        return Err(PolicyError::AboveCeiling { wanted: wanted.name, ceiling: ceiling.name });
    }
    Ok(wanted)
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
            let rule = Rule::from_name(rule)
                .ok_or_else(|| PolicyError::Rule { policy: name.into(), name: rule.clone() })?;
            policy.rules = policy.rules.without(rule);
        }
    }
    Ok(policy)
}

fn admittable(policy: &str, name: &str) -> Result<Control, PolicyError> {
    let problem = match Control::from_name(name) {
        Some(control) if control.optional() => return Ok(control),
        Some(_) => "can only be taken away by the level privileged: without it the kernel cannot judge the container",
        None => "is not a control; the controls are host-mounts, host-sockets, mount-types, host-namespaces, \
                 capabilities, devices, rootfs, run-as-root",
    };
    Err(PolicyError::Admit { policy: policy.into(), name: name.into(), problem: problem.into() })
}

/// Checks every policy of a configuration, used or not.
pub(crate) fn check(config: &Config) -> Result<(), PolicyError> {
    for name in config.policies.keys() {
        if Level::from_name(name).is_some() {
            return Err(PolicyError::Reserved(name.clone()));
        }
        named(config, name, &format!("policies.{name}"))?;
    }
    named(config, &config.default, "`default`")?;
    named(config, &config.ceiling, "`ceiling`")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;

    fn config(text: &str) -> Config {
        Config::parse(text, Path::new("lockc.toml")).unwrap()
    }

    fn broken(text: &str) -> String {
        Config::parse(text, Path::new("lockc.toml")).unwrap_err().to_string()
    }

    #[test]
    fn the_default_holds_where_nothing_else_chooses() {
        let policy = resolve(&Config::default(), None, None).unwrap();
        assert_eq!((policy.level, policy.origin.as_str()), (Level::Baseline, "the default"));
        assert_eq!(resolve(&config("default = 'offline'"), None, None).unwrap().level, Level::Offline);
    }

    #[test]
    fn the_runtime_argument_is_final() {
        let policy = resolve(&Config::default(), Some("privileged"), Some("restricted")).unwrap();
        assert_eq!((policy.level, policy.origin.as_str()), (Level::Privileged, "--lockc-policy"));
    }

    #[test]
    fn an_annotation_is_granted_up_to_the_ceiling() {
        let default = Config::default();
        for tighter in ["baseline", "restricted", "offline"] {
            assert_eq!(resolve(&default, None, Some(tighter)).unwrap().name, tighter);
        }
        let error = resolve(&default, None, Some("privileged")).unwrap_err().to_string();
        assert!(error.contains("privileged") && error.contains("baseline"), "{error}");
        let ceiling = config("ceiling = 'restricted'");
        assert!(resolve(&ceiling, None, Some("offline")).is_err(), "offline admits what restricted refuses");
        let ceiling = config("ceiling = 'privileged'");
        assert!(resolve(&ceiling, None, Some("privileged")).is_ok());
    }

    #[test]
    fn an_unknown_name_is_refused_wherever_it_stands() {
        let default = Config::default();
        assert!(resolve(&default, Some("basline"), None).unwrap_err().to_string().contains("did you mean"));
        assert!(resolve(&default, None, Some("Baseline")).is_err());
        assert!(resolve(&default, None, Some("")).is_err());
        assert!(resolve(&default, Some("baseline"), Some("nonsense")).is_err());
        assert!(broken("default = 'none'").contains("unknown policy"));
        assert!(broken("ceiling = 'none'").contains("unknown policy"));
        assert!(broken("[policies.a]\nextends = 'none'").contains("policies.a.extends"));
    }

    #[test]
    fn custom_policies_take_away_what_they_name_and_inherit() {
        let config = config(
            "[policies.a]\nextends = 'baseline'\nadmit = ['capabilities']\n\
             [policies.b]\nextends = 'a'\nadmit = ['devices']\nwithout_rules = ['mount']\n",
        );
        let policy = resolve(&config, Some("b"), None).unwrap();
        assert_eq!(policy.level, Level::Baseline);
        assert_eq!(policy.rules, Level::Baseline.rules().without(Rule::Mount));
        assert_eq!(policy.strength(Control::Capabilities), Strength::Off);
        assert_eq!(policy.strength(Control::Devices), Strength::Off);
        assert_eq!(policy.strength(Control::HostMounts), Strength::Baseline);
        assert!(resolve(&config, None, Some("a")).is_err(), "looser than the ceiling baseline");
    }

    #[test]
    fn broken_policies_are_refused_with_the_configuration() {
        assert!(broken("[policies.a]\nextends = 'b'\n[policies.b]\nextends = 'a'").contains("extends itself"));
        assert!(broken("[policies.baseline]\nextends = 'privileged'").contains("name of a level"));
        assert!(broken("[policies.a]\nextends = 'baseline'\nadmit = ['mounts']").contains("host-mounts"));
        assert!(broken("[policies.a]\nextends = 'baseline'\nadmit = ['mount-namespace']").contains("privileged"));
        assert!(broken("[policies.a]\nextends = 'baseline'\nwithout_rules = ['x']").contains("kernel-log"));
    }

    #[test]
    fn a_registered_container_keeps_its_level_when_its_policy_is_gone() {
        let config = config("[policies.a]\nextends = 'baseline'\nadmit = ['capabilities']");
        assert_eq!(registered(&config, "a", Level::Baseline, "x").name, "a");
        assert_eq!(registered(&config, "gone", Level::Restricted, "x").name, "restricted");
        // The name was given to another level since.
        assert_eq!(registered(&config, "a", Level::Restricted, "x").name, "restricted");
    }

    fn any_policy() -> impl Strategy<Value = Policy> {
        (0..4usize, any::<u16>(), any::<u8>()).prop_map(|(level, admitted, rules)| {
            let mut policy = Policy::of_level(Level::ALL[level], "test");
            for control in Control::ALL.into_iter().filter(|control| admitted & 1 << *control as u16 != 0) {
                policy = policy.admitting(control);
            }
            for rule in Rule::ALL.into_iter().filter(|rule| rules & 1 << *rule as u8 != 0) {
                policy.rules = policy.rules.without(rule);
            }
            policy
        })
    }

    proptest! {
        #[test]
        fn taking_away_never_tightens(policy in any_policy(), control in 0..Control::ALL.len(), rule in 0..Rule::ALL.len()) {
            let mut looser = policy.clone().admitting(Control::ALL[control]);
            looser.rules = looser.rules.without(Rule::ALL[rule]);
            prop_assert!(policy.at_least_as_strict_as(&looser));
        }

        #[test]
        fn strictness_is_an_order(a in any_policy(), b in any_policy(), c in any_policy()) {
            prop_assert!(a.at_least_as_strict_as(&a));
            if a.at_least_as_strict_as(&b) && b.at_least_as_strict_as(&c) {
                prop_assert!(a.at_least_as_strict_as(&c));
            }
        }

        #[test]
        fn no_annotation_gets_above_the_ceiling(
            ceiling in 0..4usize, extends in 0..4usize, admit in 0..Control::ALL.len(), rule in 0..Rule::ALL.len(),
            wanted in prop::sample::select(vec!["privileged", "baseline", "restricted", "offline", "own", "no", ""]),
        ) {
            let mut text = format!("ceiling = '{}'\n[policies.own]\nextends = '{}'\n", Level::ALL[ceiling].name(), Level::ALL[extends].name());
            if Control::ALL[admit].optional() {
                text += &format!("admit = ['{}']\n", Control::ALL[admit].name());
            }
            text += &format!("without_rules = ['{}']\n", Rule::ALL[rule].name());
            let config = config(&text);
            if let Ok(policy) = resolve(&config, None, Some(wanted)) {
                prop_assert!(policy.at_least_as_strict_as(&Policy::of_level(Level::ALL[ceiling], "")));
            }
        }
    }
}
