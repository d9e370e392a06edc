//! Which rules of a policy the kernel side enforces for one container.
//!
//! This is known before admission, because admission relies on it: `restricted` does not ask for
//! no_new_privs where the kernel side denies what set-uid programs gain.

use std::path::Path;

use crate::{
    config::{CONFIG_PATH, Settings},
    host::HostView,
    policy::Policy,
    runtimes::sandbox,
    spec::{Linux, devices::gives_all},
};
use lockc_core::rules::{Rule, RuleMask};

/// Whether the kernel side confines the container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KernelSide {
    /// It does.
    #[default]
    Confines,
    /// A rootless engine starts the container, from where the kernel side is out of reach
    /// (`rootless = "admission"`).
    Rootless,
    /// lockc's programs or maps do not answer (`fail = "open"`).
    Unreachable,
}

/// What decides about the enforcement, besides the policy and the container.
#[derive(Clone, Copy, Debug, Default)]
pub struct Circumstances<'a> {
    /// The runtime, by the path under which it is executed; nothing where that is not known.
    pub runtime: Option<&'a Path>,
    /// Whether the kernel side confines the container.
    pub kernel_side: KernelSide,
    /// Whether the container has been created: its cgroup then has its own processes.
    pub lives: bool,
}

impl Circumstances<'_> {
    /// The sandbox that the runtime makes.
    pub(super) fn sandbox(&self, settings: &Settings, view: &dyn HostView) -> Option<&'static str> {
        self.runtime.and_then(|runtime| sandbox::made_by(runtime, settings, view))
    }
}

/// Why the kernel side enforces no rule at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gap {
    /// The container has a kernel of its own: the host sees the sandbox's processes only, which
    /// do what no container may.
    Sandbox(&'static str),
    /// See [`KernelSide::Rootless`].
    Rootless,
    /// See [`KernelSide::Unreachable`].
    Unreachable,
}

impl Gap {
    /// Why, for a user.
    pub fn reason(self) -> String {
        match self {
            Self::Sandbox(what) => {
                format!(
                    "{what}: only the admission controls apply, because kernel rules do not reach \
                     inside"
                )
            }
            Self::Rootless => {
                format!(
                    "a rootless engine starts it, and {CONFIG_PATH} has rootless = \"admission\""
                )
            }
            Self::Unreachable => {
                format!("lockc's programs do not respond, and {CONFIG_PATH} has fail = \"open\"")
            }
        }
    }
}

/// What the kernel side enforces for one container. Whether it denies or only reports is the
/// policy's [`mode`](Policy::mode).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Enforcement {
    /// The rules that it gets.
    pub rules: RuleMask,
    /// Why it gets none.
    pub gap: Option<Gap>,
}

impl Enforcement {
    /// For a container that does not run yet.
    pub fn new(
        policy: &Policy,
        linux: &Linux,
        settings: &Settings,
        circumstances: &Circumstances<'_>,
        view: &dyn HostView,
    ) -> Self {
        let gap = match (circumstances.kernel_side, circumstances.sandbox(settings, view)) {
            (KernelSide::Rootless, _) => Some(Gap::Rootless),
            (KernelSide::Unreachable, _) => Some(Gap::Unreachable),
            (KernelSide::Confines, sandbox) => sandbox.map(Gap::Sandbox),
        };
        let rules = match policy.rules {
            _ if gap.is_some() => RuleMask::NONE,
            // The kernel side compares devices with those of the container: there is none that
            // such a container lacks.
            rules if gives_all(linux) => rules.without(Rule::Device),
            rules => rules,
        };
        Self { rules, gap }
    }

    /// The sandbox that keeps the rules out.
    pub fn sandbox(&self) -> Option<&'static str> {
        match self.gap {
            Some(Gap::Sandbox(what)) => Some(what),
            _ => None,
        }
    }
}
