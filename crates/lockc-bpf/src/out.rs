//! Standard output whose reader may exit (`lockc config show | head`): the rest is not printed, and
//! the command exits with its own exit code.
//!
//! The crate's `println!` replaces the standard library's, which would panic. Every command prints
//! with it.

use std::{
    fmt,
    io::{self, Write as _},
    process::{self, ExitCode},
};

use anyhow::Result;
use serde::Serialize;

/// Prints a line to standard output; a reader that is gone is not an error.
#[macro_export]
macro_rules! println {
    ($($text:tt)*) => {
        $crate::out::line(format_args!($($text)*))
    };
}

/// See [`println!`](crate::println).
pub fn line(text: fmt::Arguments<'_>) {
    let text = escaped(&text.to_string(), &['\n', '\t']);
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

/// Prints JSON, indented.
///
/// # Errors
///
/// Where the value has no form in JSON.
pub fn json(value: &impl Serialize) -> Result<()> {
    println!("{}", serde_json::to_string_pretty(value)?);
    Ok(())
}

/// Prints YAML.
///
/// # Errors
///
/// Where the value has no form in YAML.
pub fn yaml(value: &impl Serialize) -> Result<()> {
    println!("{}", serde_saphyr::to_string(value)?.trim_end());
    Ok(())
}

/// The exit code of an answer: 0 for yes, 3 for no.
pub fn answer(yes: bool) -> ExitCode {
    if yes { ExitCode::SUCCESS } else { ExitCode::from(3) }
}
/// A text that a container or a tenant chose, on one line and without commands to the terminal:
/// its control characters are escaped.
pub fn printable(text: &str) -> String {
    escaped(text, &[])
}

fn escaped(text: &str, but: &[char]) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        let commands = character.is_control() || turns(character);
        if commands && !but.contains(&character) {
            safe.extend(character.escape_default());
        } else {
            safe.push(character);
        }
    }
    safe
}

/// Characters that change the direction of what follows, or end a line for some programs: with them
/// a name could make a line say something else.
fn turns(character: char) -> bool {
    matches!(
        character,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_to_a_terminal_are_escaped() {
        assert_eq!(escaped("a\n\tb\x1b", &['\n', '\t']), "a\n\tb\\u{1b}");
        assert_eq!(printable("a\u{202e}b\u{2066}\u{2028}"), "a\\u{202e}b\\u{2066}\\u{2028}");
        assert_eq!(printable("\x1b[2J\n\u{9b}1mö/x"), "\\u{1b}[2J\\n\\u{9b}1mö/x");
    }
}
