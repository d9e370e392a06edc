//! What the number in an event means, by the hook that it comes from.

use core::fmt;

use crate::{families, rules::Rule};

/// Bit of an event's number where it is about a descriptor that was left open, whose number is in
/// the lower half.
pub const ARG_DESCRIPTOR: u64 = 1 << 32;

/// The meaning of the number in the events of a hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Argument {
    /// The number says nothing: the file's name does, or the hook alone.
    Unused,
    /// Every event of the hook is about the same.
    Always(&'static str),
    /// A decimal number, after these words.
    Number(&'static str),
    /// The same in hexadecimal.
    Hex(&'static str),
    /// The permission bits of a mode in octal.
    Octal(&'static str),
    /// The lowest byte: a command, whose flags say nothing.
    Command(&'static str),
    /// An errno that tells which check denied.
    Errno(&'static [(u64, &'static str)], &'static str),
    /// This where the event's rule is that one; otherwise unused.
    Under(Rule, &'static Self),
    /// This where the event's rule is another one; otherwise unused.
    NotUnder(Rule, &'static Self),
    /// A user, or above it a group plus one.
    UserOrGroup,
    /// A socket family, and above it a netlink protocol: [`families::event_number`].
    Socket,
    /// Under the rule `network` an option below its level; otherwise as [`Socket`](Self::Socket).
    SocketOption,
    /// A descriptor, with [`ARG_DESCRIPTOR`].
    Descriptor,
}

/// The number of an event in words; empty where it says nothing.
#[derive(Clone, Copy, Debug)]
pub struct Described {
    /// The hook's.
    pub argument: Argument,
    /// The number.
    pub number: u64,
    /// The rule by which it was denied.
    pub rule: Option<Rule>,
}

impl fmt::Display for Described {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { argument, number, rule } = *self;
        match argument {
            Argument::Unused => Ok(()),
            Argument::Always(what) => out.write_str(what),
            Argument::Number(what) => write!(out, "{what} {number}"),
            Argument::Hex(what) => write!(out, "{what} {number:#x}"),
            Argument::Octal(what) => write!(out, "{what} {:o}", number & 0o777),
            Argument::Command(what) => write!(out, "{what} {}", number & 0xff),
            Argument::Errno(meanings, other) => {
                let known = meanings.iter().find(|(errno, _)| *errno == number);
                out.write_str(known.map_or(other, |(_, what)| what))
            }
            Argument::Under(under, inner) if rule == Some(under) => {
                Self { argument: *inner, ..*self }.fmt(out)
            }
            Argument::NotUnder(under, inner) if rule != Some(under) => {
                Self { argument: *inner, ..*self }.fmt(out)
            }
            Argument::Under(..) | Argument::NotUnder(..) => Ok(()),
            Argument::UserOrGroup if number >> 32 != 0 => {
                write!(out, "gid {}", (number >> 32) - 1)
            }
            Argument::UserOrGroup => write!(out, "uid {number}"),
            Argument::SocketOption if rule == Some(Rule::Network) => {
                write!(out, "socket option {} of level {}", number as u32, number >> 32)
            }
            Argument::Socket | Argument::SocketOption => socket(number, out),
            Argument::Descriptor if number & ARG_DESCRIPTOR != 0 => {
                write!(out, "descriptor {}, which was left open", number & !ARG_DESCRIPTOR)
            }
            Argument::Descriptor => Ok(()),
        }
    }
}

fn socket(number: u64, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    let (family, protocol) = families::in_event(number);
    write!(out, "socket family {family}")?;
    if let Some(protocol) = protocol {
        write!(out, " protocol {protocol}")?;
    }
    match (family, families::needed(number)) {
        (families::AF_INET, _) => out.write_str(" (inet)"),
        (families::AF_INET6, _) => out.write_str(" (inet6)"),
        (families::AF_NETLINK, None) => out.write_str(" (netlink)"),
        (families::AF_PACKET, _) => out.write_str(" (packet)"),
        (_, Some(family)) => write!(out, " ({})", family.name),
        _ => Ok(()),
    }
}

/// For the page about the hooks.
impl fmt::Display for Argument {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Unused => Ok(()),
            Self::Always(what)
            | Self::Number(what)
            | Self::Hex(what)
            | Self::Octal(what)
            | Self::Command(what) => out.write_str(what),
            Self::Errno(meanings, other) => {
                meanings.iter().try_for_each(|(_, what)| write!(out, "{what}; "))?;
                out.write_str(other)
            }
            Self::Under(rule, inner) => write!(out, "{inner} (rule {})", rule.name()),
            Self::NotUnder(rule, inner) => write!(out, "{inner} (not rule {})", rule.name()),
            Self::UserOrGroup => out.write_str("uid or gid"),
            Self::Socket => out.write_str("socket family and netlink protocol"),
            Self::SocketOption => {
                out.write_str("socket option (rule network); socket family and netlink protocol")
            }
            Self::Descriptor => out.write_str("descriptor that was left open"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::string::ToString as _;

    use super::*;

    #[test]
    fn numbers_are_described_by_their_hook() {
        let said = |argument, number, rule| Described { argument, number, rule }.to_string();
        assert_eq!(said(Argument::Number("signal"), 9, None), "signal 9");
        assert_eq!(said(Argument::Hex("mount flags"), 0x1001, None), "mount flags 0x1001");
        assert_eq!(said(Argument::Octal("mode"), 0o100_644, None), "mode 644");
        assert_eq!(said(Argument::Command("shmctl command"), 0x101, None), "shmctl command 1");
        let denied = Argument::Errno(&[(122, "too many")], "another");
        assert_eq!(said(denied, 122, None), "too many");
        assert_eq!(said(denied, 1, None), "another");
        let under = Argument::Under(Rule::Process, &Argument::Always("an owner"));
        assert_eq!(said(under, 0, Some(Rule::Process)), "an owner");
        assert_eq!(said(under, 0, Some(Rule::Files)), "");
        let not_under = Argument::NotUnder(Rule::Files, &Argument::Socket);
        assert_eq!(said(not_under, 40, Some(Rule::Network)), "socket family 40 (vsock)");
        assert_eq!(said(not_under, 40, Some(Rule::Files)), "");
        assert_eq!(said(Argument::UserOrGroup, 5 << 32, None), "gid 4");
        assert_eq!(said(Argument::UserOrGroup, 7, None), "uid 7");
        let option = Argument::SocketOption;
        assert_eq!(said(option, 1 << 32 | 25, Some(Rule::Network)), "socket option 25 of level 1");
        let netlink = families::event_number(families::AF_NETLINK, 11);
        assert_eq!(
            said(option, netlink, Some(Rule::SocketFamily)),
            "socket family 16 protocol 11 (netlink-connector)"
        );
        let left_open = said(Argument::Descriptor, 3 | ARG_DESCRIPTOR, None);
        assert_eq!(left_open, "descriptor 3, which was left open");
        assert_eq!(said(Argument::Descriptor, 3, None), "");
    }
}
