//! Unix sockets of the host by path, as `allowed_sockets` names them.
//!
//! A restarted server creates another socket, so the file cannot be the identity. A setting names a
//! directory and socket names in it. The kernel side compares the directory's tag and the name to
//! which the server bound its socket. A setting is compared as it is written; only /var/run stands
//! for /run, as on every host. A symbolic link on the way could be the choice of a container that
//! may write there, so none is followed.

use std::{
    ffi::OsStr,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use lockc_core::abi::{SOCKET_NAME_LEN, SocketName, padded};

/// Bytes of a socket's path with its terminating zero (`struct sockaddr_un`, unix(7)).
const PATH_LEN: usize = 108;

/// What one entry of `allowed_sockets` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedSockets {
    /// The directory, without a link on the way.
    pub directory: PathBuf,
    /// The beginning of the name; the whole name where there is no tail.
    head: Vec<u8>,
    /// What follows the `*`.
    tail: Option<Vec<u8>>,
}

impl NamedSockets {
    /// What a setting names.
    ///
    /// # Errors
    ///
    /// What is wrong with it, and what to write instead.
    pub fn new(path: &Path) -> Result<Self, String> {
        let unfit = |problem: &str| Err(format!("{path:?} {problem}"));
        let has = |text: &OsStr, byte: u8| text.as_bytes().contains(&byte);
        let path = &match path.strip_prefix("/var/run") {
            Ok(rest) => Path::new("/run").join(rest),
            Err(_) => path.to_owned(),
        };
        let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
            return unfit("is not the path of a socket; write the full path of one");
        };
        if has(directory.as_os_str(), b'*') {
            return unfit(
                "has a `*` in the name of a directory; use `*` in the last name only, with one \
                 entry for each directory",
            );
        }
        let name = name.as_bytes();
        if name.iter().any(|byte| b"?[]{}".contains(byte)) {
            return unfit("has an unsupported wildcard; only `*` matches any characters");
        }
        if path.as_os_str().len() >= PATH_LEN {
            return unfit("is longer than 107 bytes, the limit for the path of a socket (unix(7))");
        }
        let mut parts = name.split(|byte| *byte == b'*');
        let head = parts.next().unwrap_or_default().to_vec();
        let tail = parts.next().map(<[u8]>::to_vec);
        if parts.next().is_some() {
            return unfit("has more than one `*`; write one entry for each pattern");
        }
        Ok(Self { directory: directory.to_owned(), head, tail })
    }

    /// Whether a canonical path is one that it names.
    pub fn has(&self, path: &Path) -> bool {
        let name = path.file_name().unwrap_or_default().as_bytes();
        path.parent() == Some(&self.directory)
            && match &self.tail {
                None => name == self.head,
                Some(tail) => {
                    name.len() >= self.head.len() + tail.len()
                        && name.starts_with(&self.head)
                        && name.ends_with(tail)
                }
            }
    }

    /// The name as the kernel side compares it.
    pub fn name(&self) -> SocketName {
        let padded = |bytes: &[u8]| words(&padded(bytes));
        // The whole name, with the zeros behind it, where there is no tail.
        let compared = if self.tail.is_some() { self.head.len() } else { SOCKET_NAME_LEN };
        let mut mask = [0; SOCKET_NAME_LEN];
        mask.iter_mut().take(compared).for_each(|byte| *byte = u8::MAX);
        let tail = self.tail.as_deref().unwrap_or_default();
        SocketName {
            head: padded(&self.head),
            mask: words(&mask),
            tail: padded(tail),
            // Both fit a path of at most 107 bytes.
            tail_len: tail.len() as u32,
            least: (self.head.len() + tail.len()) as u32,
        }
    }
}

/// Bytes as the kernel side compares them.
fn words(bytes: &[u8; SOCKET_NAME_LEN]) -> [u64; SOCKET_NAME_LEN / 8] {
    let mut words = [0; SOCKET_NAME_LEN / 8];
    for (word, bytes) in words.iter_mut().zip(bytes.as_chunks().0) {
        *word = u64::from_ne_bytes(*bytes);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(text: &str) -> NamedSockets {
        NamedSockets::new(Path::new(text)).unwrap()
    }

    #[test]
    fn a_name_or_a_pattern_in_one_directory() {
        for (setting, path, fits) in [
            ("/run/a/s.sock", "/run/a/s.sock", true),
            ("/var/run/a/s.sock", "/run/a/s.sock", true),
            ("/run/a/s.sock", "/run/a/s.sock2", false),
            ("/run/a/s.sock", "/run/b/s.sock", false),
            ("/run/a/*.sock", "/run/a/s.sock", true),
            ("/run/a/*.sock", "/run/a/.sock", true),
            ("/run/a/*.sock", "/run/a/b/s.sock", false),
            ("/run/a/*.sock", "/run/a/s.sock.tmp", false),
            ("/run/a/ab*ba", "/run/a/aba", false),
            ("/run/a/s-*", "/run/a/s-", true),
            ("/run/a/*", "/run/a/x", true),
        ] {
            assert_eq!(named(setting).has(Path::new(path)), fits, "{setting} {path}");
        }
    }

    #[test]
    fn what_cannot_be_resolved_is_refused() {
        for (setting, problem) in [
            ("/tmp/ssh-*/agent", "in the name of a directory"),
            ("/run/*/*", "in the name of a directory"),
            ("/run/a/*x*", "more than one"),
            ("/run/a/s?.sock", "only `*`"),
            ("/run/a/[ab].sock", "only `*`"),
            ("/", "is not the path of a socket"),
            (&format!("/run/{}", "n".repeat(110)), "107 bytes"),
        ] {
            let error = NamedSockets::new(Path::new(setting)).unwrap_err();
            assert!(error.contains(problem), "{setting}: {error}");
        }
    }

    /// What the kernel side does with the words.
    fn fits(name: &SocketName, bound: &str) -> bool {
        let padded = |text: &str| words(&padded(text.as_bytes()));
        let differs = padded(bound)
            .iter()
            .zip(name.head)
            .zip(name.mask)
            .any(|((word, head), mask)| word & mask != head);
        bound.len() >= name.least as usize
            && !differs
            && (name.tail_len == 0
                || padded(&bound[bound.len() - name.tail_len as usize..]) == name.tail)
    }

    #[test]
    fn the_kernel_compares_the_same() {
        let names = [
            "s.sock",
            ".sock",
            "s.soc",
            "s.sock.tmp",
            "",
            "sock",
            "aba",
            "abba",
            "ss.sock",
            &"n".repeat(107),
        ];
        for setting in ["s.sock", "*.sock", "s*", "*", "ab*ba", "s*.sock"] {
            let named = named(&format!("/d/{setting}"));
            for name in names.iter().filter(|name| !name.is_empty()) {
                let path = Path::new("/d").join(name);
                assert_eq!(fits(&named.name(), name), named.has(&path), "{setting} {name}");
            }
        }
    }
}
