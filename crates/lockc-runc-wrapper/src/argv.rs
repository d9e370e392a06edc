//! What the engine asks for: the command line read into a small struct.
//!
//! runc reads its command line with Go's `flag` (one dash is as good as two, no clusters, flags may follow the id except
//! for `exec`), crun with argp, youki with clap (clusters). The reading here accepts what any of them accepts, and
//! refuses what they could take in different ways wherever it decides on which container is meant or how it is made.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    path::PathBuf,
};

use crate::flags::{ACTED, Arity, CREATE, DELETE, EXEC, Flag, GLOBAL, PASSED, RESTORE, RUN};

/// The command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Invocation {
    /// `--lockc-policy`.
    pub policy: Option<String>,
    /// Everything for the runtime: the arguments without lockc's own.
    pub passed: Vec<OsString>,
    /// `--root`.
    pub root: Option<PathBuf>,
    /// `--log`.
    pub log: Option<OsString>,
    /// `--log-format`.
    pub log_format: Option<OsString>,
    /// What to do.
    pub call: Call,
}

/// What the engine wants done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Call {
    /// Nothing that concerns lockc.
    #[default]
    Other,
    /// `--lockc-help`.
    Help,
    /// `--lockc-version`.
    Version,
    /// `create`, `run`, `restore`.
    Start(Start),
    /// `exec`.
    Exec(Exec),
    /// `delete`; the id where it is clear which one is meant.
    Delete(Option<String>),
}

/// A container to be started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Start {
    /// From a checkpoint.
    pub restore: bool,
    /// `--bundle`; the working directory if absent.
    pub bundle: Option<PathBuf>,
    /// crun's `--config`.
    pub config: Option<PathBuf>,
    /// The container.
    pub id: String,
}

/// A process to join a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exec {
    /// `--process`.
    pub process: Option<PathBuf>,
    /// `--cap`.
    pub caps: Vec<String>,
    /// `--user`.
    pub user: Option<String>,
    /// The container.
    pub id: String,
}

/// A command line that cannot be read in one way only; the sentence is for the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unclear(pub String);

impl std::fmt::Display for Unclear {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unclear {}

/// Reads the arguments after the program's name. What was read before an error is in the error's first part, so that
/// the error reaches the engine's log.
pub fn parse(args: &[OsString]) -> (Invocation, Result<(), Unclear>) {
    let mut invocation = Invocation { passed: args.to_vec(), ..Invocation::default() };
    let result = read(args, &mut invocation);
    (invocation, result)
}

fn read(args: &[OsString], to: &mut Invocation) -> Result<(), Unclear> {
    let mut own = Vec::new();
    let result = globals(args, to, &mut own);
    let mut index = 0;
    to.passed.retain(|_| {
        index += 1;
        !own.contains(&(index - 1))
    });
    let Some(at) = result? else { return Ok(()) };
    let (name, rest) = (args[at].as_os_str(), &args[at + 1..]);
    match name.to_str() {
        Some("create") => start(rest, &[CREATE], to, false),
        Some("run") => start(rest, &[CREATE, RUN], to, false),
        Some("restore") => start(rest, &[CREATE, RUN, RESTORE], to, true),
        Some("exec") => exec(rest, to),
        Some("delete") => {
            to.call = Call::Delete(delete(rest));
            Ok(())
        }
        Some(name) if PASSED.contains(&name) => Ok(()),
        _ => Err(Unclear(format!(
            "unknown subcommand {name:?}: lockc cannot tell whether it starts a container, so it is not executed; call \
             the runtime directly if you need it"
        ))),
    }
}

/// Reads up to the subcommand; its index, or none if the runtime will only print something. Indices of lockc's own
/// arguments go into `own`.
fn globals(args: &[OsString], to: &mut Invocation, own: &mut Vec<usize>) -> Result<Option<usize>, Unclear> {
    let mut informs = false;
    let mut at = 0;
    while at < args.len() {
        let arg = args[at].as_os_str();
        match token(arg, &[GLOBAL]) {
            Token::End => {
                at += 1;
                break;
            }
            Token::Word => break,
            Token::Flags(flags) => {
                for (flag, inline) in flags {
                    let value = match (flag.arity, inline) {
                        (Arity::Info, None) => {
                            informs = true;
                            continue;
                        }
                        (Arity::Info, Some(_)) => return Err(unclear(arg, args)),
                        (Arity::Switch, _) => continue,
                        (Arity::Value, Some(inline)) => inline,
                        (Arity::Value, None) => {
                            at += 1;
                            match args.get(at) {
                                Some(value) => value.clone(),
                                None => return Ok(None),
                            }
                        }
                    };
                    match flag.long {
                        "root" => to.root = Some(value.into()),
                        "log" => to.log = Some(value),
                        "log-format" => to.log_format = Some(value),
                        _ => {}
                    }
                }
            }
            Token::Unknown => match lockc(args, at, to)? {
                Some(width) => {
                    own.extend(at..at + width);
                    at += width;
                    continue;
                }
                None if bytes_contain(arg, b'=') && arg.as_bytes().starts_with(b"--") => {}
                None if args[at + 1..].iter().any(|later| ACTED.iter().any(|name| later == name)) => {
                    return Err(unclear(arg, args));
                }
                // Whatever it means, nothing that lockc acts on can follow.
                None => return Ok(None),
            },
        }
        at += 1;
    }
    if matches!(to.call, Call::Help | Call::Version) || informs {
        return Ok(None);
    }
    Ok((at < args.len()).then_some(at))
}

/// lockc's own options; how many arguments it takes up.
fn lockc(args: &[OsString], at: usize, to: &mut Invocation) -> Result<Option<usize>, Unclear> {
    let Some(arg) = args[at].to_str() else { return Ok(None) };
    let (policy, width) = match arg.split_once('=').unwrap_or((arg, "")) {
        ("--lockc-help", "") => {
            to.call = Call::Help;
            return Ok(Some(1));
        }
        ("--lockc-version", "") => {
            to.call = Call::Version;
            return Ok(Some(1));
        }
        ("--lockc-policy", "") if !arg.contains('=') => (args.get(at + 1).and_then(|value| value.to_str()), 2),
        ("--lockc-policy", value) => (Some(value), 1),
        _ if arg.starts_with("--lockc") || arg.starts_with("-lockc") => {
            return Err(Unclear(format!("unknown option {arg}; --lockc-help lists lockc's options")));
        }
        _ => return Ok(None),
    };
    let policy = policy
        .filter(|name| !name.is_empty())
        .ok_or_else(|| Unclear("--lockc-policy needs the name of a policy, as in --lockc-policy restricted".into()))?;
    if to.policy.as_deref().is_some_and(|other| other != policy) {
        return Err(Unclear("--lockc-policy is given twice with different names; remove one of them".into()));
    }
    to.policy = Some(policy.into());
    Ok(Some(width))
}

fn start(rest: &[OsString], tables: &[&[Flag]], to: &mut Invocation, restore: bool) -> Result<(), Unclear> {
    let options = Options::read(rest, tables, Order::Any)?;
    if options.informs {
        return Ok(());
    }
    let [id] = options.words.as_slice() else {
        return Err(Unclear(format!(
            "expected one container id after the options, found {}; check the arguments",
            options.words.len()
        )));
    };
    to.call = Call::Start(Start {
        restore,
        bundle: options.last("bundle").map(PathBuf::from),
        config: options.last("config").map(PathBuf::from),
        id: text(id)?,
    });
    Ok(())
}

fn exec(rest: &[OsString], to: &mut Invocation) -> Result<(), Unclear> {
    let options = Options::read(rest, &[EXEC], Order::FlagsFirst)?;
    if options.informs {
        return Ok(());
    }
    let Some(id) = options.words.first() else {
        return Err(Unclear("exec needs a container id; check the arguments".into()));
    };
    to.call = Call::Exec(Exec {
        process: options.last("process").map(PathBuf::from),
        caps: options.all("cap").map(|cap| text(cap)).collect::<Result<_, _>>()?,
        user: options.last("user").map(text).transpose()?,
        id: text(id)?,
    });
    Ok(())
}

/// A delete is never refused: what cannot be read only costs lockc a slot for some time.
fn delete(rest: &[OsString]) -> Option<String> {
    match Options::read(rest, &[DELETE], Order::Any) {
        Ok(options) if options.informs || options.has("regex") || options.words.len() != 1 => None,
        Ok(options) => text(options.words.first()?).ok(),
        // All engines put the id last.
        Err(_) => rest.last().and_then(|id| text(id).ok()),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    /// Options may follow words.
    Any,
    /// The first word ends the options.
    FlagsFirst,
}

/// Options and words after a subcommand.
#[derive(Default)]
struct Options {
    given: Vec<(&'static str, Option<OsString>)>,
    words: Vec<OsString>,
    informs: bool,
}

impl Options {
    fn read(args: &[OsString], tables: &[&[Flag]], order: Order) -> Result<Self, Unclear> {
        let mut options = Self::default();
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            match token(arg, tables) {
                Token::End => {
                    options.words.extend(args.cloned());
                    break;
                }
                Token::Word => {
                    options.words.push(arg.clone());
                    if order == Order::FlagsFirst {
                        options.words.extend(args.cloned());
                        break;
                    }
                }
                Token::Unknown => return Err(unclear(arg, &[])),
                Token::Flags(flags) => {
                    for (flag, inline) in flags {
                        // After a word crun no longer reads options, so that `ID --help` would start the container.
                        let informs = flag.arity == Arity::Info;
                        if informs && (inline.is_some() || !options.words.is_empty()) {
                            return Err(unclear(arg, &[]));
                        }
                        options.informs |= informs;
                        let value = match (flag.arity, inline) {
                            (Arity::Value, None) => Some(args.next().cloned().ok_or_else(|| {
                                Unclear(format!("{arg:?} needs a value; check the arguments"))
                            })?),
                            (_, inline) => inline,
                        };
                        options.given.push((flag.long, value));
                    }
                }
            }
        }
        Ok(options)
    }

    fn has(&self, long: &'static str) -> bool {
        self.given.iter().any(|(name, _)| *name == long)
    }

    fn all<'a>(&'a self, long: &'static str) -> impl DoubleEndedIterator<Item = &'a OsString> {
        self.given.iter().filter(move |(name, _)| *name == long).filter_map(|(_, value)| value.as_ref())
    }

    /// All of the runtimes take the last one.
    fn last(&self, long: &'static str) -> Option<&OsString> {
        self.all(long).next_back()
    }
}

enum Token {
    /// `--`.
    End,
    /// Not an option.
    Word,
    /// One option, or a cluster of them, with a value that is part of the argument.
    Flags(Vec<(Flag, Option<OsString>)>),
    /// An option in no table.
    Unknown,
}

fn token(arg: &OsStr, tables: &[&[Flag]]) -> Token {
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
            // Go and clap leave the `=` out, argp keeps it: a value that begins with it fails to resolve there.
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

fn text(id: &OsString) -> Result<String, Unclear> {
    id.to_str().map(str::to_owned).ok_or_else(|| Unclear(format!("{id:?} is not valid UTF-8; choose another name")))
}

fn unclear(arg: &OsStr, args: &[OsString]) -> Unclear {
    let before = if args.is_empty() { "" } else { " before the subcommand" };
    Unclear(format!(
        "unknown option {arg:?}{before}: lockc cannot tell whether it takes a value, so the container is not started; \
         write it as --option=value, or leave it out"
    ))
}

fn bytes_contain(arg: &OsStr, byte: u8) -> bool {
    arg.as_bytes().contains(&byte)
}

#[cfg(test)]
#[path = "argv_tests.rs"]
mod tests;
