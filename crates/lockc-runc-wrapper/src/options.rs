//! Options and words of a command line, in every spelling that one of the runtimes accepts.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
};

use crate::{
    flags::{Arity, Flag},
    invocation::{AmbiguousArgs, At, unclear},
};

/// Where options end.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Options may follow words.
    Any,
    /// The first word ends the options.
    FlagsFirst,
}

/// Options and words after a subcommand.
#[derive(Default)]
pub struct Options {
    given: Vec<(&'static str, Option<OsString>, At)>,
    /// Everything else.
    pub words: Vec<OsString>,
    /// The runtime only prints something.
    pub informs: bool,
}

impl Options {
    /// Sorts arguments into options and words.
    pub fn read(
        args: &[OsString],
        tables: &[&[Flag]],
        order: Order,
    ) -> Result<Self, AmbiguousArgs> {
        let mut options = Self::default();
        let mut args = args.iter().enumerate();
        while let Some((index, arg)) = args.next() {
            match token(arg, tables) {
                Token::End => {
                    options.words.extend(args.map(|(_, arg)| arg.clone()));
                    break;
                }
                Token::Word => {
                    options.words.push(arg.clone());
                    if order == Order::FlagsFirst {
                        options.words.extend(args.map(|(_, arg)| arg.clone()));
                        break;
                    }
                }
                Token::Unknown => return Err(unclear(arg, &[])),
                Token::Flags(flags) => {
                    for (flag, inline) in flags {
                        // After a word crun no longer reads options, so that `ID --help` would
                        // start the container.
                        let informs = flag.arity == Arity::Info;
                        if informs && (inline.is_some() || !options.words.is_empty()) {
                            return Err(unclear(arg, &[]));
                        }
                        options.informs |= informs;
                        let (value, at) = match (flag.arity, inline) {
                            (Arity::Value, None) => {
                                let next = args
                                    .next()
                                    .map(|(index, value)| (value.clone(), At { index, start: 0 }));
                                let (value, at) = next.ok_or_else(|| {
                                    AmbiguousArgs(format!(
                                        "{arg:?} needs a value; check the arguments"
                                    ))
                                })?;
                                (Some(value), at)
                            }
                            // It ends the argument.
                            (_, inline) => {
                                let start =
                                    arg.len() - inline.as_ref().map_or(0, |value| value.len());
                                (inline, At { index, start })
                            }
                        };
                        options.given.push((flag.long, value, at));
                    }
                }
            }
        }
        Ok(options)
    }

    /// Whether an option is given.
    pub fn has(&self, long: &'static str) -> bool {
        self.given.iter().any(|(name, ..)| *name == long)
    }

    /// Whether a switch is on or off; nothing where it is not given. Go's `flag` reads the values
    /// of strconv.ParseBool and refuses others.
    pub fn is_on(&self, long: &'static str) -> Option<bool> {
        let (_, value, _) = self.given.iter().rfind(|(name, ..)| *name == long)?;
        let on =
            |value: &OsString| ["1", "t", "T", "true", "TRUE", "True"].iter().any(|on| value == on);
        Some(value.as_ref().is_none_or(on))
    }

    /// All values of an option.
    pub fn all<'a>(&'a self, long: &'static str) -> impl DoubleEndedIterator<Item = &'a OsString> {
        self.given
            .iter()
            .filter(move |(name, ..)| *name == long)
            .filter_map(|(_, value, _)| value.as_ref())
    }

    /// Where the value of an option stands that [`last`](Self::last) returns.
    pub fn last_at(&self, long: &'static str) -> Option<At> {
        self.given
            .iter()
            .rev()
            .find(|(name, value, _)| *name == long && value.is_some())
            .map(|(_, _, at)| *at)
    }

    /// The value of an option: all of the runtimes take the last one.
    pub fn last(&self, long: &'static str) -> Option<&OsString> {
        self.all(long).next_back()
    }
}

/// How an argument is read.
pub enum Token {
    /// `--`.
    End,
    /// Not an option.
    Word,
    /// One option, or a cluster of them, with a value that is part of the argument.
    Flags(Vec<(Flag, Option<OsString>)>),
    /// An option in no table.
    Unknown,
}

/// Reads one argument by the options of `tables`.
pub fn token(arg: &OsStr, tables: &[&[Flag]]) -> Token {
    let bytes = arg.as_bytes();
    let (dashes, name) = match bytes {
        b"--" => return Token::End,
        [b'-', b'-', name @ ..] => (2, name),
        [b'-', name @ ..] if !name.is_empty() => (1, name),
        _ => return Token::Word,
    };
    let flags = || tables.iter().copied().flatten().copied();
    let (long, inline) = match name.iter().position(|byte| *byte == b'=') {
        Some(at) => (&name[..at], Some(OsString::from_vec(name[at + 1..].to_vec()))),
        None => (name, None),
    };
    if let Some(flag) = flags().find(|flag| !flag.long.is_empty() && flag.long.as_bytes() == long) {
        return Token::Flags(vec![(flag, inline)]);
    }
    let short = |letter: u8| flags().find(|flag| flag.short == Some(letter));
    if dashes == 2 {
        // Go takes `--b` as `-b`.
        return match (long, short(*long.first().unwrap_or(&0))) {
            ([_], Some(flag)) => Token::Flags(vec![(flag, inline)]),
            _ => Token::Unknown,
        };
    }
    let mut found = Vec::new();
    let mut rest = name;
    while let [letter, tail @ ..] = rest {
        let Some(flag) = short(*letter) else { return Token::Unknown };
        match (flag.arity, tail) {
            (Arity::Value, []) => found.push((flag, None)),
            // Go and clap leave the `=` out, argp keeps it: a value that begins with it fails to
            // resolve there.
            (_, [b'=', value @ ..]) => found.push((flag, Some(OsString::from_vec(value.to_vec())))),
            (Arity::Value, value) => found.push((flag, Some(OsString::from_vec(value.to_vec())))),
            _ => {
                found.push((flag, None));
                rest = tail;
                continue;
            }
        }
        break;
    }
    Token::Flags(found)
}
