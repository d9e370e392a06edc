//! `delete`: updates the registry after the runtime has deleted the container.
//!
//! Only for `delete` the runtime runs as a child process; the entry is marked when the container is
//! gone. Alternatives considered:
//!
//! - *Marking before the runtime is executed* (as lockc did): a `delete` that the runtime refuses
//!   leaves a live container marked, and a second `create` of its id took its place.
//! - *Marking before, and taking it back when the id is used again*: until then the entry is wrong,
//!   and another container may get the slot.
//! - *A watcher that stays behind*: the engine's next `create` of the same id may come before it
//!   acts.
//!
//! | what happens | the entry |
//! |---|---|
//! | the runtime refuses, fails or is killed before it removed anything | stays as it is |
//! | the wrapper is killed | the runtime is too; the entry stays until its last task ends |
//! | the container is gone, whatever the exit code (a `poststop` hook failed) | marked |
//! | it was gone before (`--force`), and the runtime says that all is well | marked |
//! | the id was created again meanwhile | not touched: it has another generation |

use anyhow::Result;
use lockc_policy::{host::privilege::Privilege, with_causes};

use crate::{
    containers::Containers,
    environment::{ContainerRegistry, Deletion, Environment, Plan},
    log, runtime,
};

/// What a `delete` of this container would have to mark; nothing where it is not registered.
pub fn expect(
    plan: &Plan,
    invocation_root: Option<&std::path::Path>,
    id: &str,
    environment: &Environment<'_>,
) -> Option<Deletion> {
    // Elsewhere nothing was registered.
    if environment.privilege != Privilege::Root {
        return None;
    }
    let root = runtime::state_root(invocation_root, &plan.runtime, environment.uid);
    match environment.kernel.entry(&root, id) {
        Ok(entry) => entry.map(|entry| Deletion {
            existed: environment.containers.exists(&root, id),
            id: id.to_owned(),
            generation: entry.generation,
            root,
        }),
        Err(error) => {
            log::warn(&format!("{}; {id} is deleted anyway", with_causes(&error)));
            None
        }
    }
}

impl Deletion {
    /// Marks the entry if the container is gone; `ok`: what the runtime says.
    ///
    /// # Errors
    ///
    /// Where the pinned maps cannot be written.
    pub fn follow(
        &self,
        ok: bool,
        containers: &dyn Containers,
        kernel: &dyn ContainerRegistry,
    ) -> Result<()> {
        let gone = !containers.exists(&self.root, &self.id) && (self.existed || ok);
        if gone {
            kernel.mark_deleting(&self.root, &self.id, Some(self.generation))
        } else {
            Ok(())
        }
    }
}
