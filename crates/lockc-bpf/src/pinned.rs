//! What the pins tell of the programs that are loaded.

use std::path::Path;

use aya::maps::{Array, Map};
use lockc_core::{
    abi::Meta,
    hooks::{PROGRAMS, Program},
    maps::registry,
    paths,
};

/// What the pinned `meta` says, if anything is loaded.
pub fn attached_version() -> Option<Meta> {
    let map = registry::open_map("meta").ok()?;
    let map: Array<_, Meta> = Array::try_from(Map::Array(map)).ok()?;
    map.get(&0, 0).ok().filter(|meta| meta.abi != 0)
}

/// Programs whose link is not pinned, but for those whose hook the kernel lacked when the others
/// were loaded.
pub fn missing_links() -> Vec<&'static str> {
    let expected = |program: &&Program| {
        !program.is_optional() || attached_version().is_none_or(|loaded| loaded.has(program.hook))
    };
    let pinned = |program: &Program| Path::new(paths::LINKS).join(program.name).exists();
    PROGRAMS
        .iter()
        .filter(|program| !pinned(program))
        .filter(expected)
        .map(|program| program.name)
        .collect()
}
