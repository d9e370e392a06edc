//! The names in a denial: those of a file and of the directories above it.

use lockc_core::{
    abi::{Denial, PATH_NAME_LEN},
    maps,
};

/// The innermost first.
pub(super) fn names(denial: &Denial) -> Vec<String> {
    let names = denial.path.chunks_exact(PATH_NAME_LEN).map(maps::text);
    names.take_while(|name| !name.is_empty()).collect()
}
