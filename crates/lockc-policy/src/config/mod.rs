//! The administrator's configuration, `/etc/lockc/lockc.toml` and `/etc/lockc/lockc.d/*.toml`.
//!
//! A missing file means the defaults. Anything else that is not a well-formed file which only root
//! can write is an error, and the caller refuses: a policy that cannot be read must not turn into a
//! looser one.

pub mod cluster;
mod error;
mod files;
pub mod globs;
pub mod labels;
mod origin;
mod raw;
#[cfg(feature = "schema")]
pub mod reference;
pub(crate) mod spelling;
mod synced;
#[cfg(test)]
mod tests;

pub use cluster::ClusterPolicies;
pub use error::ConfigError;
pub use files::Loaded;
#[cfg(feature = "schema")]
pub use files::schema;
pub use labels::Labels;
/// Where the configuration is. A constant: neither environment nor command line moves it.
pub use lockc_core::paths::CONFIG as CONFIG_PATH;
pub use origin::Origin;
pub use raw::{
    Choice, Fail, Follow, Kubernetes, Mode, NetworkChoice, PolicyConfig, RawConfig, Rootless,
    Settings,
};
pub use synced::SyncedFiles;
