//! Parses the engine's command line.
//!
//! runc parses its command line with Go's `flag` (one or two dashes, no clusters, flags may follow
//! the id except for `exec`), crun with argp, youki with clap (clusters). This parser accepts what
//! any of them accepts. It refuses what they could parse differently where that decides which
//! container is meant or how it is created.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::OsStrExt as _,
    path::PathBuf,
};

use crate::{
    flags::{
        ACTING, Arity, CHECKPOINT, CREATE, DELETE, EXEC, Flag, GLOBAL, PASSED, RESTORE, RUN,
        STARTING, UPDATE,
    },
    invocation::{AmbiguousArgs, At, Call, Checkpoint, Create, Exec, Invocation, Update, unclear},
    options::{Options, Order, Token, token},
};

/// Reads the arguments after the program's name. What was read before an error is in the error's
/// first part, so that the error reaches the engine's log.
pub fn parse(args: &[OsString]) -> (Invocation, Result<(), AmbiguousArgs>) {
    let mut invocation = Invocation { passed: args.to_vec(), ..Invocation::default() };
    let result = read(args, &mut invocation);
    (invocation, result)
}

fn read(args: &[OsString], to: &mut Invocation) -> Result<(), AmbiguousArgs> {
    let mut own = Vec::new();
    let result = globals(args, to, &mut own);
    let mut index = 0;
    to.passed.retain(|_| {
        index += 1;
        !own.contains(&(index - 1))
    });
    if let Some(root) = &mut to.root_at {
        root.index -= own.iter().filter(|own| **own < root.index).count();
    }
    let Some(at) = result? else { return Ok(()) };
    let (name, rest) = (args[at].as_os_str(), &args[at + 1..]);
    let result = subcommand(name, rest, to);
    if let Some(file) = &mut to.file_at {
        // All of lockc's own stand before the subcommand.
        file.index += at + 1 - own.len();
    }
    result
}

fn subcommand(name: &OsStr, rest: &[OsString], to: &mut Invocation) -> Result<(), AmbiguousArgs> {
    match name.to_str() {
        Some("create") => start(rest, &[CREATE], to, false),
        Some("run") => start(rest, &[CREATE, RUN], to, false),
        Some("restore") => start(rest, &[CREATE, RUN, RESTORE], to, true),
        Some("exec") => exec(rest, to),
        Some("start") => {
            to.call = Call::Start(one_id(rest));
            Ok(())
        }
        Some("delete") => {
            to.call = Call::Delete(one_id(rest));
            Ok(())
        }
        Some("checkpoint") => checkpoint(rest, to),
        Some("update") => update(rest, to),
        Some("mounts") => mounts(rest, to),
        Some(name) if PASSED.contains(&name) => Ok(()),
        _ => Err(AmbiguousArgs(format!(
            "unknown subcommand {name:?}: it may start a container, so lockc does not execute it; \
             call the runtime directly if you need it"
        ))),
    }
}

/// Reads up to the subcommand; its index, or none if the runtime will only print something. Indices
/// of lockc's own arguments go into `own`.
fn globals(
    args: &[OsString],
    to: &mut Invocation,
    own: &mut Vec<usize>,
) -> Result<Option<usize>, AmbiguousArgs> {
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
                    let mut place = At {
                        index: at,
                        start: arg.len() - inline.as_ref().map_or(0, |value| value.len()),
                    };
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
                            place = At { index: at, start: 0 };
                            match args.get(at) {
                                Some(value) => value.clone(),
                                None => return Ok(None),
                            }
                        }
                    };
                    match flag.long {
                        "root" => (to.root, to.root_at) = (Some(value.into()), Some(place)),
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
                None if may_start(&args[at + 1..]) => return Err(unclear(arg, args)),
                // Whatever it means, no container and no process can follow.
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

/// Whether a subcommand that starts something, or one that nobody knows, may be among these.
fn may_start(args: &[OsString]) -> bool {
    let among = |names: &[&str]| args.iter().any(|arg| names.iter().any(|name| arg == name));
    let words = args.iter().any(|arg| !arg.as_bytes().starts_with(b"-"));
    among(&STARTING) || among(&ACTING) || words && !among(&PASSED) && !among(&["delete"])
}

/// lockc's own options; how many arguments it takes up.
fn lockc(
    args: &[OsString],
    at: usize,
    to: &mut Invocation,
) -> Result<Option<usize>, AmbiguousArgs> {
    let Some(arg) = args[at].to_str() else { return Ok(None) };
    let (name, inline) =
        arg.split_once('=').map_or((arg, None), |(name, value)| (name, Some(value)));
    match (name, inline) {
        ("--lockc-help", None) => to.call = Call::Help,
        ("--lockc-version", None) => to.call = Call::Version,
        ("--lockc-policy", _) => {
            let (value, width) = own_value(
                args,
                at,
                inline,
                "the name of a policy, as in --lockc-policy restricted",
            )?;
            once(&mut to.policy, value.to_owned(), name)?;
            return Ok(Some(width));
        }
        ("--lockc-runtime", _) => {
            let (value, width) =
                own_value(args, at, inline, "a path, as in --lockc-runtime /usr/bin/crun")?;
            once(&mut to.runtime, PathBuf::from(value), name)?;
            return Ok(Some(width));
        }
        _ if arg.starts_with("--lockc") || arg.starts_with("-lockc") => {
            return Err(AmbiguousArgs(format!(
                "unknown option {arg}; --lockc-help lists lockc's options"
            )));
        }
        _ => return Ok(None),
    }
    Ok(Some(1))
}

/// The value of one of lockc's own options, and how many arguments it takes up.
fn own_value<'a>(
    args: &'a [OsString],
    at: usize,
    inline: Option<&'a str>,
    needs: &str,
) -> Result<(&'a str, usize), AmbiguousArgs> {
    let (value, width) = match inline {
        Some(value) => (Some(value), 1),
        None => (args.get(at + 1).and_then(|value| value.to_str()), 2),
    };
    let value = value.filter(|value| !value.is_empty());
    value.map(|value| (value, width)).ok_or_else(|| {
        let name = args[at].to_string_lossy();
        AmbiguousArgs(format!("{} needs {needs}", name.split('=').next().unwrap_or_default()))
    })
}

/// Two values cannot both be meant: one of them may be a tenant's.
fn once<T: PartialEq>(to: &mut Option<T>, value: T, name: &str) -> Result<(), AmbiguousArgs> {
    if to.as_ref().is_some_and(|other| *other != value) {
        return Err(AmbiguousArgs(format!(
            "{name} is given twice with different values; remove one of them"
        )));
    }
    *to = Some(value);
    Ok(())
}

fn start(
    rest: &[OsString],
    tables: &[&[Flag]],
    to: &mut Invocation,
    restore: bool,
) -> Result<(), AmbiguousArgs> {
    let options = Options::read(rest, tables, Order::Any)?;
    if options.informs {
        return Ok(());
    }
    let id = only_id(&options)?;
    to.file_at = options.last_at("config");
    to.call = Call::Create(Create {
        restore,
        bundle: options.last("bundle").map(PathBuf::from),
        config: options.last("config").map(PathBuf::from),
        id,
    });
    Ok(())
}

fn only_id(options: &Options) -> Result<String, AmbiguousArgs> {
    match options.words.as_slice() {
        [id] => text(id),
        words => Err(AmbiguousArgs(format!(
            "expected one container id after the options, found {}; check the arguments",
            words.len()
        ))),
    }
}

fn exec(rest: &[OsString], to: &mut Invocation) -> Result<(), AmbiguousArgs> {
    let options = Options::read(rest, &[EXEC], Order::FlagsFirst)?;
    if options.informs {
        return Ok(());
    }
    let Some(id) = options.words.first() else {
        return Err(AmbiguousArgs("exec needs a container id; check the arguments".into()));
    };
    to.file_at = options.last_at("process");
    to.call = Call::Exec(Exec {
        process: options.last("process").map(PathBuf::from),
        caps: options.all("cap").map(text).collect::<Result<_, _>>()?,
        user: options.last("user").map(text).transpose()?,
        apparmor: options.last("apparmor").map(text).transpose()?,
        label: options.last("process-label").map(text).transpose()?,
        no_new_privs: options.is_on("no-new-privs"),
        cgroup: options.last("cgroup").map(text).transpose()?,
        id: text(id)?,
    });
    Ok(())
}

fn checkpoint(rest: &[OsString], to: &mut Invocation) -> Result<(), AmbiguousArgs> {
    let options = Options::read(rest, &[CHECKPOINT], Order::Any)?;
    if !options.informs {
        to.call = Call::Checkpoint(Checkpoint {
            image: options.last("image-path").map(PathBuf::from),
            work: options.last("work-path").map(PathBuf::from),
            parent: options.last("parent-path").map(PathBuf::from),
            id: only_id(&options)?,
        });
    }
    Ok(())
}

fn update(rest: &[OsString], to: &mut Invocation) -> Result<(), AmbiguousArgs> {
    let options = Options::read(rest, &[UPDATE], Order::Any)?;
    if !options.informs {
        to.file_at = options.last_at("resources");
        to.call = Call::Update(Update {
            resources: options.last("resources").map(PathBuf::from),
            intel_rdt: options.has("l3-cache-schema") || options.has("mem-bw-schema"),
            id: only_id(&options)?,
        });
    }
    Ok(())
}

/// `mounts add ID FILE`, `mounts remove ID FILE` (crun, src/mounts.c).
fn mounts(rest: &[OsString], to: &mut Invocation) -> Result<(), AmbiguousArgs> {
    let words: Vec<_> = rest.iter().filter(|word| !word.as_bytes().starts_with(b"-")).collect();
    if let [_, id, ..] = words.as_slice() {
        to.call = Call::Mounts(text(id)?);
    }
    Ok(())
}

/// Neither a start nor a delete is refused: what cannot be read costs lockc a slot for some time,
/// or the container's notifications.
fn one_id(rest: &[OsString]) -> Option<String> {
    match Options::read(rest, &[DELETE], Order::Any) {
        Ok(options) if options.informs || options.has("regex") || options.words.len() != 1 => None,
        Ok(options) => text(options.words.first()?).ok(),
        // All engines put the id last.
        Err(_) => rest.last().and_then(|id| text(id).ok()),
    }
}

fn text(id: &OsString) -> Result<String, AmbiguousArgs> {
    id.to_str()
        .map(str::to_owned)
        .ok_or_else(|| AmbiguousArgs(format!("{id:?} is not valid UTF-8; choose another name")))
}

fn bytes_contain(arg: &OsStr, byte: u8) -> bool {
    arg.as_bytes().contains(&byte)
}

#[cfg(test)]
#[path = "argv_tests.rs"]
mod tests;
