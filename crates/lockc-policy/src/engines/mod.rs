//! What belongs to engines, and what of it an engine gives to a container by itself: one module for
//! each way of keeping files, behind [`Layout`].
//!
//! "The engine's own" is tied to the container: another container's files are as much the host's as
//! `/etc` is. Where an engine lets containers share a namespace it also shares the files that
//! belong to it (`/etc/hosts` with the network,
//! `/dev/shm` with the IPC namespace); then, and only at those destinations, they may be another
//! container's. No annotation is believed for this that a tenant can write.

mod belongs;
mod containerd;
mod directories;
mod docker;
mod kubelet;
mod layout;
mod namespaces;
mod nerdctl;
mod query;
mod records;
mod request;
mod storage;

pub(crate) use belongs::Belongs;
pub use directories::Engines;
pub(crate) use directories::{assumed_root, is_init};
pub(crate) use docker::is_plugin;
pub use layout::Starter;
pub(crate) use query::Query;
pub(crate) use records::names as stored_names;
pub use request::Request;
pub(crate) use storage::is_infra_layer;
