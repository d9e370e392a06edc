//! What `lockc config check` says of a valid configuration: settings that give a container the
//! host, and settings that have no effect on this host.

mod capabilities;
mod dangerous;
mod devices;
mod ineffective;
mod selection;
mod values;
mod view;
mod warning;

use lockc_policy::{config::Loaded, policy::PolicySet};

use values::Values;
pub use view::View;
pub use warning::{Kind, Warning};

/// The warnings, in the order of their places. Defaults are none.
pub fn warnings(loaded: &Loaded, set: &PolicySet, host: &View) -> Vec<Warning> {
    let values = Values::new(loaded);
    let mut found = Vec::new();
    for (key, reason) in loaded.deprecated() {
        found.extend(values.warning(key, None, Kind::Deprecated, reason));
    }
    found.extend(dangerous::warnings(&values));
    found.extend(devices::warnings(&values, host));
    found.extend(capabilities::warnings(&values, set));
    found.extend(ineffective::warnings(&values, host));
    found.extend(selection::warnings(&values, set, host));
    found.sort_by(|one, other| (&one.file, one.line).cmp(&(&other.file, other.line)));
    found
}

#[cfg(test)]
mod tests;
