//! The host's mount table, as `/proc/self/mountinfo` shows it (proc_pid_mountinfo(5)).
//!
//! The crate procfs (0.18) is no replacement. It keeps options in a map, so that of several
//! `lowerdir+` one remains; it leaves `\040` in paths; it reads no table with a path that is not
//! UTF-8. It also takes 15 thousand instructions for the line of an overlay, instead of 7 thousand;
//! a host may have thousands of lines.

use std::{ffi::OsString, os::unix::ffi::OsStringExt as _, path::PathBuf};

/// What an overlay of the container's has to do with a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// It is shown, and not changed.
    Lower,
    /// It is changed: an upper or a work directory.
    Upper,
    /// It is the overlay itself, which an engine mounted, and is made of the others alone.
    Whole,
}

/// One mount.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MountedAt {
    /// The mount's id. The kernel uses it again once the mount is gone.
    pub id: u64,
    /// The id of the mount that it is mounted on.
    pub parent: u64,
    /// `major:minor` of the superblock.
    pub device: String,
    /// The part of that file system that is mounted.
    pub root: PathBuf,
    /// Where.
    pub point: PathBuf,
    /// The file system's type.
    pub kind: String,
    /// The device or server, or whatever the file system shows instead.
    pub source: PathBuf,
    /// The superblock's options, still escaped: they are separated by commas.
    pub options: Vec<u8>,
}

impl MountedAt {
    /// Reads one line; nothing if it has another form.
    pub fn parse(line: &[u8]) -> Option<Self> {
        let mut fields = line.split(|byte| *byte == b' ');
        let id = text(fields.next()?)?.parse().ok()?;
        let parent = text(fields.next()?)?.parse().ok()?;
        let device = text(fields.next()?)?;
        let (root, point) = (unescape(fields.next()?), unescape(fields.next()?));
        // Optional fields end with a hyphen.
        fields.find(|field| *field == b"-")?;
        let kind = text(fields.next()?)?;
        let source = unescape(fields.next()?);
        let options = fields.next().unwrap_or_default().to_vec();
        Some(Self { id, parent, device, root, point, kind, source, options })
    }

    /// Every directory that an overlayfs is made of: lower, upper, work and data directories, as
    /// they were written when it was mounted (fs/overlayfs/params.c, Linux 6.12).
    pub fn layers(&self) -> Vec<(Part, PathBuf)> {
        let mut layers = Vec::new();
        for option in self.options.split(|byte| *byte == b',') {
            let Some(at) = option.iter().position(|byte| *byte == b'=') else { continue };
            let (name, value) = (&option[..at], unescape_bytes(&option[at + 1..]));
            match name {
                // A colon in a directory's name is written `\:`; two colons begin data layers.
                b"lowerdir" => layers
                    .extend(split_at_colons(&value).into_iter().map(|path| (Part::Lower, path))),
                b"lowerdir+" | b"datadir+" => {
                    layers.push((Part::Lower, OsString::from_vec(value).into()))
                }
                b"upperdir" | b"workdir" => {
                    layers.push((Part::Upper, OsString::from_vec(value).into()))
                }
                _ => {}
            }
        }
        layers
    }
}

fn text(field: &[u8]) -> Option<String> {
    String::from_utf8(field.to_vec()).ok()
}

fn split_at_colons(value: &[u8]) -> Vec<PathBuf> {
    let mut parts = vec![Vec::new()];
    let mut bytes = value.iter().copied();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => parts.last_mut().map_or((), |part| part.extend(bytes.next())),
            b':' => parts.push(Vec::new()),
            _ => parts.last_mut().map_or((), |part| part.push(byte)),
        }
    }
    parts
        .into_iter()
        .filter(|part| !part.is_empty())
        .map(|part| OsString::from_vec(part).into())
        .collect()
}

fn unescape(field: &[u8]) -> PathBuf {
    PathBuf::from(OsString::from_vec(unescape_bytes(field)))
}

/// The kernel writes space, tab, newline, backslash and, in options, some more as `\ooo`.
fn unescape_bytes(field: &[u8]) -> Vec<u8> {
    if !field.contains(&b'\\') {
        return field.to_vec();
    }
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let [first, tail @ ..] = rest {
        rest = tail;
        match (first, tail) {
            (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', tail @ ..]) => {
                bytes.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                rest = tail;
            }
            _ => bytes.push(*first),
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_line_of_the_mount_table_is_read() {
        let line = br"36 35 98:0 /mnt1/a\040b /mnt2\134 rw,noatime master:1 - ext3 /dev/root rw";
        let mount = MountedAt::parse(line).unwrap();
        assert_eq!((mount.id, mount.parent, mount.device.as_str()), (36, 35, "98:0"));
        assert_eq!(
            (mount.root.as_path(), mount.point.as_path()),
            (Path::new("/mnt1/a b"), Path::new(r"/mnt2\"))
        );
        assert_eq!((mount.kind.as_str(), mount.source.as_path()), ("ext3", Path::new("/dev/root")));
        assert!(mount.layers().is_empty());
        assert!(MountedAt::parse(b"1 2 0:1 / / rw - tmpfs none").is_some(), "a source alone");
        for line in [&b"36 35 98:0"[..], b"x 35 98:0 / / rw - a b c", b"36 35 98:0 / / rw master:1"]
        {
            assert_eq!(MountedAt::parse(line), None);
        }
    }

    #[test]
    fn the_layers_of_an_overlay_are_read_from_its_options() {
        let read =
            |options: &str| MountedAt { options: options.into(), ..MountedAt::default() }.layers();
        let layers =
            |options: &str| read(options).into_iter().map(|(_, path)| path).collect::<Vec<_>>();
        let paths = |paths: &[&str]| paths.iter().map(PathBuf::from).collect::<Vec<_>>();
        let parts = "rw,lowerdir=/a:/b,upperdir=/c,workdir=/d,index=off";
        assert_eq!(layers(parts), paths(&["/a", "/b", "/c", "/d"]));
        let parts: Vec<_> = read(parts).into_iter().map(|(part, _)| part).collect();
        assert_eq!(parts, [Part::Lower, Part::Lower, Part::Upper, Part::Upper]);
        assert_eq!(layers("ro,lowerdir=/a::/data,xino=off"), paths(&["/a", "/data"]));
        assert_eq!(layers("rw,lowerdir+=/a,lowerdir+=/b,datadir+=/c"), paths(&["/a", "/b", "/c"]));
        assert_eq!(layers(r"ro,lowerdir=/a\134:b:/c\054d"), paths(&["/a:b", "/c,d"]));
        assert_eq!(layers("rw,lowerdir=l/ABC:l/DEF"), paths(&["l/ABC", "l/DEF"]));
    }
}
