//! Entries in systemd's journal, with fields that a reader can match (`journalctl
//! LOCKC_CONTAINER=...`). A host without the journal has none.

use std::io;

use tracing::Dispatch;
use tracing_subscriber::layer::SubscriberExt as _;

use crate::denial::Denial;

/// The journal, as the place for entries of lockc.
pub struct Journal(Dispatch);

impl Journal {
    /// Opens it.
    ///
    /// # Errors
    ///
    /// Where no journald runs.
    pub fn open() -> io::Result<Self> {
        let layer = tracing_journald::layer()?;
        let layer = layer.with_syslog_identifier("lockc".into()).with_field_prefix(None);
        Ok(Self(Dispatch::new(tracing_subscriber::registry().with(layer))))
    }

    /// Writes a denial: a warning, or in audit mode a notice.
    pub fn write(&self, denial: &Denial) {
        let setting = denial.setting.as_ref().map(|it| format!("{}={}", it.key.name(), it.value));
        macro_rules! entry {
            ($level:ident) => {
                tracing::$level!(
                    MESSAGE_ID = "5d0a3c5b0ff64b4c8f4a2c8a9d1e7b36",
                    LOCKC_ID = denial.id,
                    LOCKC_RULE = denial.rule,
                    LOCKC_HOOK = denial.hook,
                    LOCKC_MODE = denial.mode,
                    LOCKC_OBJECT = denial.detail,
                    LOCKC_COUNT = denial.count,
                    LOCKC_CONTAINER = denial.container,
                    LOCKC_NAME = denial.names.name,
                    LOCKC_IMAGE = denial.names.image,
                    LOCKC_POD = denial.names.pod,
                    LOCKC_NAMESPACE = denial.names.namespace,
                    LOCKC_POLICY = denial.policy,
                    LOCKC_SETTING = setting,
                    LOCKC_PID = denial.pid,
                    LOCKC_COMM = denial.comm,
                    "{denial}"
                )
            };
        }
        tracing::dispatcher::with_default(&self.0, || {
            if denial.mode == "audit" { entry!(info) } else { entry!(warn) }
        });
    }

    fn write_change(&self, container: &str, name: &str, policy: &str, message: &str) {
        tracing::dispatcher::with_default(&self.0, || {
            tracing::warn!(
                LOCKC_CONTAINER = container,
                LOCKC_NAME = name,
                LOCKC_POLICY = policy,
                "{message}"
            );
        });
    }
}

/// Notes that the administrator changed what holds for a running container.
pub fn changed(container: &str, name: &str, policy: &str, message: &str) {
    if let Ok(journal) = Journal::open() {
        journal.write_change(container, name, policy, message);
    }
}
