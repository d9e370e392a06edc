//! The narrowest policy that allows what is on record.

mod draft;
mod evidence;
mod replay;

pub use draft::Draft;
pub use evidence::Evidence;
pub use replay::{Remaining, remaining};
