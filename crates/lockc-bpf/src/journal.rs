//! Entries in systemd's journal, with fields that a reader can match (`journalctl
//! LOCKC_CONTAINER=...`). A host without the journal has none.

use tracing_subscriber::layer::SubscriberExt as _;

/// Runs `log` with the journal as the place for its events. Their fields get no prefix.
fn with<T>(log: impl FnOnce() -> T) -> Option<T> {
    let layer = tracing_journald::layer().ok()?;
    let layer = layer.with_syslog_identifier("lockc".into()).with_field_prefix(None);
    let subscriber = tracing_subscriber::registry().with(layer);
    Some(tracing::subscriber::with_default(subscriber, log))
}

/// Notes that the administrator changed what holds for a running container.
pub fn changed(container: &str, name: &str, policy: &str, message: &str) {
    with(|| {
        tracing::warn!(
            LOCKC_CONTAINER = container,
            LOCKC_NAME = name,
            LOCKC_POLICY = policy,
            "{message}"
        );
    });
}
