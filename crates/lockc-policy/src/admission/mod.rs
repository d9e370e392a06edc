//! Admission: what a container may be created with, checked before the runtime is executed.
//!
//! [`admit`] is a function of its arguments and of [`HostView`](crate::host::HostView); it collects
//! every violation, so that a user who has three things to change reads of all three at once.
//!
//! | control | module |
//! |---|---|
//! | host-mounts, host-sockets | [`mounts`] with [`sources`], [`protected_paths`] |
//! | mount-types, rootfs | [`mounts`] |
//! | mount-namespace, host-namespaces | [`namespaces`] |
//! | capabilities, run-as-root | [`process`] |
//! | devices | [`devices`] |
//! | seccomp, apparmor, selinux, privilege-escalation | [`profiles`] |
//! | proc-mount, sysctls | [`kernel_files`] |
//! | runtime-handlers | [`annotations`], and the runtime's name here |
//! | hooks | [`hooks`] |
//! | rootfs-propagation, resources | [`host_side_effects`] with [`cgroups`] |
//! | own-files | [`self_protection`] |
//! | restore | here |

pub mod annotations;
mod cgroups;
mod commands;
mod create;
pub mod devices;
mod file_systems;
pub mod findings;
pub mod grants;
mod hooks;
mod host_side_effects;
pub mod kernel_files;
pub mod mounts;
pub mod namespaces;
mod overlays;
pub mod process;
mod profiles;
pub mod protected_paths;
mod self_protection;
mod sources;
mod summary;
#[cfg(test)]
mod tests;

pub use commands::{admit_checkpoint, admit_joining, admit_mounts, admit_process, admit_update};
pub use create::{admit, admit_under};
pub use summary::{Summary, summary};
