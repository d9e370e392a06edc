//! The names in an event: those of a file and of the directories above it.

use lockc_core::{
    abi::{DETAIL_NAME_LEN, DETAIL_NAMES, Event},
    maps,
};

/// The innermost first.
pub(super) fn names(event: &Event) -> Vec<String> {
    (0..DETAIL_NAMES)
        .filter_map(|index| {
            event.detail.get(index * DETAIL_NAME_LEN..(index + 1) * DETAIL_NAME_LEN)
        })
        .map(maps::text)
        .take_while(|name| !name.is_empty())
        .collect()
}
