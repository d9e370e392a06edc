//! Standard output that a reader may close (`lockc config show | head`): what is left is not
//! printed, and the command ends with its own exit code.
//!
//! The crate's `println!` takes the place of the standard library's, which panics then: every
//! command prints through it.

use std::{
    fmt,
    io::{self, Write as _},
    process,
};

/// Prints a line to standard output; a reader that is gone is no error.
#[macro_export]
macro_rules! println {
    ($($text:tt)*) => {
        $crate::out::line(format_args!($($text)*))
    };
}

/// See [`println!`](crate::println).
pub fn line(text: fmt::Arguments<'_>) {
    if let Err(error) = writeln!(io::stdout().lock(), "{text}")
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        // What a script then reads is not the answer.
        eprintln!("lockc: standard output cannot be written: {error}");
        process::exit(1);
    }
}

/// Whether an error says no more than that the reader is gone.
pub fn is_closed(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let own = cause.downcast_ref::<io::Error>().map(io::Error::kind);
        let json =
            cause.downcast_ref::<serde_json::Error>().and_then(serde_json::Error::io_error_kind);
        own.or(json) == Some(io::ErrorKind::BrokenPipe)
    })
}
