//! Runtimes that run the workload in a handler because of their own name.
//!
//! crun looks at the last part of argv[0] (src/crun.c, fill_handler_from_argv0, crun 1.8 to 1.21):
//! `krun` stands for the handler krun, `crun-NAME` for the handler NAME. Fedora installs such
//! names as links to crun. The links do not matter, only the name under which the program is
//! executed: the wrapper executes the path that it was configured with. A handler runs the
//! workload inside of crun, without the exec that confines it.

use std::{ffi::OsStr, path::Path};

/// The handler that crun chooses by the name of the program; nothing where it is a version, as in
/// `crun-1.21-linux-amd64`: crun finds no handler of that name and goes on without one.
pub fn named_by(runtime: &Path) -> Option<String> {
    // Every byte counts: crun compares bytes.
    let name = runtime.file_name().map(OsStr::to_string_lossy)?;
    let handler = match name.as_ref() {
        "krun" => "krun",
        name => name.strip_prefix("crun-")?,
    };
    let version = handler.starts_with(|first: char| first.is_ascii_digit());
    (!handler.is_empty() && !version).then(|| handler.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_chooses_a_handler_and_a_version_does_not() {
        for (path, handler) in [
            ("/usr/bin/krun", Some("krun")),
            ("/usr/bin/crun-krun", Some("krun")),
            ("/usr/bin/crun-wasm", Some("wasm")),
            ("/opt/crun-vm", Some("vm")),
            ("crun-wasm", Some("wasm")),
            ("/usr/bin/crun", None),
            ("/usr/bin/crun-", None),
            ("/opt/crun-1.21-linux-amd64", None),
            ("/usr/bin/runc", None),
            ("/opt/krun/crun", None),
            ("/usr/bin/krun-1", None),
        ] {
            assert_eq!(named_by(Path::new(path)).as_deref(), handler, "{path}");
        }
    }
}
