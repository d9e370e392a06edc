//! What `lockc explain` finds not to be in order: violations of controls, and what it checks
//! itself.

use serde::Serialize;

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// The container does not start, or not under lockc.
    Error,
    /// Something is not confined, or only reported.
    Warning,
    /// Something to know.
    Note,
}

/// One thing that is not in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The id of the message, by which `docs/troubleshooting.md` lists it.
    pub id: &'static str,
    /// A control's name, or the check's.
    pub name: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// What is wrong.
    pub what: String,
}

/// What explain finds besides the violations of controls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// A pod of a manifest, whose handler is not one of lockc's.
    RuntimeClass,
    /// A container that an engine runs under another runtime.
    Runtime,
    /// What the Pod Security Standards refuse, and no runtime sees.
    PodSecurity,
    /// Rules that the kernel side does not enforce.
    KernelRules,
    /// Paths of `reads` that stay closed.
    Reads,
    /// A `config.json` that does not conform to the specification.
    Specification,
    /// A rootless engine that starts no container under lockc.
    Rootless,
    /// An earlier refusal.
    EarlierRefusal,
    /// A document of a manifest that is not an object of Kubernetes.
    Document,
}

impl Check {
    /// Every check.
    pub const ALL: [Self; 9] = [
        Self::RuntimeClass,
        Self::Runtime,
        Self::PodSecurity,
        Self::KernelRules,
        Self::Reads,
        Self::Specification,
        Self::Rootless,
        Self::EarlierRefusal,
        Self::Document,
    ];

    /// The id of its messages, its name, how much it matters, and what it is about.
    const fn row(self) -> (&'static str, &'static str, Severity, &'static str) {
        use Severity::{Error, Note, Warning};
        match self {
            Self::RuntimeClass => {
                ("LOCKC-W001", "runtime-class", Error, "the RuntimeClass of a pod")
            }
            Self::Runtime => ("LOCKC-W002", "runtime", Error, "the runtime of a container"),
            Self::PodSecurity => (
                "LOCKC-W003",
                "pod-security",
                Warning,
                "what the Pod Security Standards forbid, and a runtime does not see",
            ),
            Self::KernelRules => {
                ("LOCKC-W004", "kernel-rules", Warning, "rules that the kernel does not enforce")
            }
            Self::Reads => ("LOCKC-W005", "reads", Warning, "paths of reads that stay closed"),
            Self::Specification => {
                ("LOCKC-W006", "specification", Warning, "conformance to the OCI specification")
            }
            Self::Rootless => ("LOCKC-W007", "rootless", Warning, "containers of rootless engines"),
            Self::EarlierRefusal => ("LOCKC-W008", "earlier-refusal", Note, "earlier refusals"),
            Self::Document => ("LOCKC-W009", "document", Error, "documents of a manifest"),
        }
    }

    /// The id of its messages.
    pub const fn id(self) -> &'static str {
        self.row().0
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        self.row().1
    }

    /// What it is about, in a few words.
    pub const fn about(self) -> &'static str {
        self.row().3
    }

    /// A finding of it.
    pub fn finding(self, what: String) -> Finding {
        let (id, name, severity, _) = self.row();
        Finding { id, name, severity, what }
    }
}

#[cfg(test)]
mod tests {
    use lockc_policy::messages;

    use super::*;

    #[test]
    fn every_check_has_its_rows_in_the_page() {
        let ids = Check::ALL.map(Check::id);
        assert!(ids.is_sorted_by(|one, next| one < next), "{ids:?}");
        for id in ids {
            assert!(messages::all().any(|message| message.id == id), "the page has no {id}");
        }
        for message in messages::all().filter(|message| message.id.starts_with("LOCKC-W")) {
            assert!(ids.contains(&message.id), "the code has no {}", message.id);
        }
    }
}
