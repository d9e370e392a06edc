//! The runtime of a pod: its RuntimeClass selects a handler, and the handler may be lockc.

use std::collections::BTreeMap;

use crate::explain::finding::{Check, Finding};

/// The handler that `lockc install` and the Helm chart make. `lockc-LEVEL` is the handler of a
/// level. RuntimeClasses have the names of their handlers.
const HANDLER: &str = "lockc";

/// The handlers of a cluster, as far as they are known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Runtimes {
    /// RuntimeClasses of the manifest, with their handlers.
    pub(super) classes: BTreeMap<String, String>,
    /// The handler of pods that name no RuntimeClass, and who says so.
    pub default: Option<(String, String)>,
}

/// The runtime that starts a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Runtime {
    /// lockc.
    Lockc {
        /// The policy that the handler names.
        policy: Option<String>,
        /// What selected it.
        by: String,
    },
    /// Another one.
    Other(Finding),
}

impl Runtimes {
    /// The runtime of a pod with this `runtimeClassName`.
    pub(super) fn of(&self, class: Option<&str>) -> Runtime {
        let Some(class) = class.filter(|class| !class.is_empty()) else { return self.default() };
        let defined = self.classes.get(class);
        let handler = defined.map_or(class, String::as_str);
        if let Some(policy) = policy_of(handler) {
            return Runtime::Lockc { policy, by: format!("RuntimeClass {class}") };
        }
        let what = match defined {
            Some(handler) => format!(
                "the RuntimeClass {class} selects the handler {handler}, which is not lockc's; \
                 set runtimeClassName: lockc"
            ),
            None => format!(
                "the RuntimeClass {class} is not one of lockc's; set runtimeClassName: lockc, or \
                 put the RuntimeClass into the manifest if its handler is lockc's"
            ),
        };
        Runtime::Other(Check::RuntimeClass.finding(what))
    }

    fn default(&self) -> Runtime {
        let what = match &self.default {
            Some((handler, origin)) => match policy_of(handler) {
                Some(policy) => {
                    let by = format!("the default runtime {handler} ({origin})");
                    return Runtime::Lockc { policy, by };
                }
                None => format!(
                    "the pod names no RuntimeClass, and the default runtime ({origin}) is \
                     {handler}; set runtimeClassName: lockc"
                ),
            },
            None => "the pod names no RuntimeClass; set runtimeClassName: lockc, or state with \
                     --default-runtime that lockc is the nodes' default runtime"
                .into(),
        };
        Runtime::Other(Check::RuntimeClass.finding(what))
    }
}

/// The policy that a handler of lockc's names, if it is one.
fn policy_of(handler: &str) -> Option<Option<String>> {
    match handler.strip_prefix(HANDLER)? {
        "" => Some(None),
        rest => rest
            .strip_prefix('-')
            .filter(|level| !level.is_empty())
            .map(|level| Some(level.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runtimes(default: Option<&str>) -> Runtimes {
        let classes = [("secure", "lockc-offline"), ("lockc-fake", "runsc")];
        Runtimes {
            classes: classes.map(|(class, handler)| (class.into(), handler.into())).into(),
            default: default.map(|handler| (handler.into(), "--default-runtime".into())),
        }
    }

    #[test]
    fn the_handler_decides() {
        let policy = |class: Option<&str>, default: Option<&str>| match runtimes(default).of(class)
        {
            Runtime::Lockc { policy, .. } => Some(policy.unwrap_or_default()),
            Runtime::Other(finding) => {
                assert!(finding.what.contains("runtimeClassName: lockc"), "{finding:?}");
                None
            }
        };
        let is = |policy: &str| Some(policy.to_owned());
        for (class, expected) in [
            ("lockc", is("")),
            ("lockc-restricted", is("restricted")),
            ("secure", is("offline")),
            ("lockc-fake", None),
            ("gvisor", None),
            ("lockcd", None),
            ("lockc-", None),
        ] {
            assert_eq!(policy(Some(class), Some("lockc")), expected, "{class}");
        }
        for none in [None, Some("")] {
            assert_eq!(policy(none, None), None);
            assert_eq!(policy(none, Some("runc")), None);
            assert_eq!(policy(none, Some("lockc")), is(""));
            assert_eq!(policy(none, Some("lockc-restricted")), is("restricted"));
        }
    }
}
