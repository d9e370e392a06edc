//! Types that cross from user space into the kernel through pinned maps.
//!
//! Every change of a layout or of a meaning raises [`ABI_VERSION`]: loader, wrapper and command
//! refuse maps of another version instead of misreading them.

mod containers;
mod grants;
mod names;
mod record;
mod text;

pub use containers::*;
pub use grants::*;
pub use names::*;
pub use record::*;
pub use text::{padded, unpadded};

pub use crate::hooks::{ARG_DESCRIPTOR, Hook};

/// Version of everything in this module.
pub const ABI_VERSION: u32 = 12;

macro_rules! assert_layout {
    ($($type:ty: $size:literal, $align:literal;)*) => {$(
        const _: () = assert!(size_of::<$type>() == $size && align_of::<$type>() == $align);
    )*};
}

assert_layout! {
    ContainerKey: 8, 4;
    FileId: 16, 8;
    ObjectTag: 40, 8;
    TaskLabel: 72, 8;
    ContainerEntry: 248, 8;
    GrantKey: 24, 8;
    ProgramKey: 16, 8;
    KeyOwner: 24, 8;
    KeyPlace: 8, 4;
    Usage: 16, 8;
    Meta: 72, 8;
    DenialKey: 32, 8;
    Denial: 336, 8;
    DenialRing: 16, 4;
    LogEntry: 48, 8;
    EndedContainer: 176, 8;
    NameKey: 32, 4;
    NameRule: 8, 4;
    ReadKey: 48, 4;
    ReadSet: 8, 4;
    SocketNameKey: 24, 8;
    SocketName: 344, 8;
}
