//! Why there is no policy.

use lockc_core::rules::Rule;

use crate::config::CONFIG_PATH;

/// Why a policy of the configuration cannot be used: found when it is loaded.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DefinitionError {
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
        "policies.{policy}.{key}: the policy extends privileged, which forbids nothing; remove the \
         key, or extend baseline"
    )]
    Nothing {
        /// The policy.
        policy: String,
        /// The key.
        key: &'static str,
    },
    /// A default that nobody could ask for.
    #[error(
        "{table}default is {default}, which is looser than {table}ceiling, which is {ceiling}; use \
         a stricter default, or raise the ceiling"
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
        "namespaces.{0}: not a valid namespace name; use lower-case letters, digits and `-`, or \
         `*` for any characters"
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
    /// `network` beside `without_rules` that takes the rule away.
    #[error(
        "policies.{0}.without_rules: removes the `network` rule, which the setting `network` adds; \
         remove one of the two settings"
    )]
    NetworkTwice(String),
}

/// Why a container does not get what is asked for.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
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
    /// A policy of the cluster that this node cannot use.
    #[error("the ConfinementPolicy {name} in {origin} is not used on this node: {reason}")]
    Rejected {
        /// The name.
        name: String,
        /// Where it stands.
        origin: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The cluster may define it, and nobody knows.
    #[error(
        "unknown policy {name:?} in {origin}, and the policies of the cluster cannot be read: \
         {reason}"
    )]
    Unread {
        /// The name.
        name: String,
        /// Where it stands.
        origin: String,
        /// What is wrong with the file.
        reason: String,
    },
    /// A request for more than the ceiling.
    #[error(
        "the {origin} asks for {wanted}, which is looser than the ceiling {ceiling}; ask for a \
         stricter policy, or {remedy}"
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
    /// A network that is none.
    #[error("unknown network {name:?} in {origin}; use full, loopback or none")]
    UnknownNetwork {
        /// The name.
        name: String,
        /// Where it stands.
        origin: String,
    },
    /// A request for more network than the policy leaves.
    #[error(
        "the {origin} asks for network {wanted}, which is looser than network {holds} of {policy}; \
         remove it, or ask for another policy"
    )]
    LooserNetwork {
        /// By what it was asked for.
        origin: String,
        /// What was asked for.
        wanted: &'static str,
        /// What the policy leaves.
        holds: &'static str,
        /// The policy.
        policy: String,
    },
    /// A request for less network under a policy that denies nothing.
    #[error(
        "the {origin} asks for network {wanted}, and {policy} denies nothing; ask for the baseline \
         level as well"
    )]
    NothingDenied {
        /// By what it was asked for.
        origin: String,
        /// What was asked for.
        wanted: &'static str,
        /// The policy.
        policy: String,
    },
}

impl RequestError {
    /// Every id.
    pub const IDS: [&str; 7] = [
        "LOCKC-P001",
        "LOCKC-P002",
        "LOCKC-P003",
        "LOCKC-P004",
        "LOCKC-P005",
        "LOCKC-P006",
        "LOCKC-P007",
    ];

    /// The id of the message, by which `docs/troubleshooting.md` lists it.
    pub const fn id(&self) -> &'static str {
        match self {
            Self::Unknown { .. } => Self::IDS[0],
            Self::AboveCeiling { .. } => Self::IDS[1],
            Self::UnknownNetwork { .. } => Self::IDS[2],
            Self::LooserNetwork { .. } => Self::IDS[3],
            Self::NothingDenied { .. } => Self::IDS[4],
            Self::Rejected { .. } => Self::IDS[5],
            Self::Unread { .. } => Self::IDS[6],
        }
    }
}

fn rule_names() -> String {
    Rule::ALL.map(Rule::name).join(", ")
}
