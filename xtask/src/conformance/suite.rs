//! The suites that are known: where they come from, and how they are run in a guest.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::results::Test;
use crate::assets::{self, Maker};
use crate::kernels::Kernel;
use crate::places;
use crate::{setup, ui};

const CONFORMANCE_SH: &str = include_str!("../../vm/conformance.sh");

/// Which suite it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suite {
    Runc,
    Crun,
    Youki,
}

impl Suite {
    /// The suite in a folder.
    pub fn of(folder: &Path) -> Result<Self> {
        let has = |start: &str, end: &str| {
            let (place, start) = start.rsplit_once('/').unwrap_or((".", start));
            let entries = std::fs::read_dir(folder.join(place)).into_iter().flatten().flatten();
            let mut names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
            names.any(|name| name.starts_with(start) && name.ends_with(end))
        };
        match () {
            () if has("tests/integration/", ".bats") => Ok(Self::Runc),
            () if has("tests/test_", ".py") => Ok(Self::Crun),
            () if has("contest", "contest") => Ok(Self::Youki),
            () => bail!(
                "{} is not a suite: it has neither tests/integration/*.bats (runc), nor \
                 tests/test_*.py (crun), nor contest (youki)",
                folder.display()
            ),
        }
    }

    /// The runtime in the image that a suite was written for; youki's tests any.
    pub const fn runtime(self) -> &'static str {
        match self {
            Self::Runc | Self::Youki => "/usr/sbin/runc",
            Self::Crun => "/usr/bin/crun",
        }
    }

    /// What is missing in the suite's folder, for a user who made it.
    pub fn check(self, folder: &Path) -> Result<()> {
        let needed: &[&str] = match self {
            Self::Runc => &["root/usr/bin/bats", "bats/bin/bats"],
            Self::Crun => &["tests/init"],
            Self::Youki => &["runtimetest"],
        };
        if needed.iter().any(|file| folder.join(file).exists()) {
            return Ok(());
        }
        bail!(
            "{} has no {}: see `cargo xtask conformance --help`",
            folder.display(),
            needed.join(" and no ")
        )
    }

    /// For bash in the suite's folder, where `runtime` is the program to test: runs the files whose
    /// names contain one of `filters`, or of `only` these tests. No test may take longer than a
    /// quarter of `limit`, no file longer than `limit` seconds.
    pub fn script(self, filters: &[String], only: &[Test], limit: u64) -> String {
        let run = format!(
            "ran() {{ echo \"# file $1\"; shift; timeout -k 10 {limit} \"$@\" < /dev/null 2>&1; \
             case $? in 124 | 137) echo '# stopped after {limit} s' ;; esac; }}; export \
             OCI_RUNTIME=$PWD/runtime INIT=$PWD/tests/init RUNC=$PWD/runtime \
             BATS_TEST_TIMEOUT={}; PATH=$PWD/bats/bin:$PATH; ",
            limit.div_ceil(4)
        );
        // runc opens /dev/tty. crun's tests of terminals want one; exec-test-uid-tty does not end
        // with one, bare or wrapped.
        let (pattern, program) = match self {
            Self::Runc => ("tests/integration/*.bats", RUNC),
            Self::Crun => ("tests/test_*.py", CRUN),
            Self::Youki => {
                return format!(
                    "{run} ran contest ./contest run --runtime $PWD/runtime --runtimetest \
                     ./runtimetest"
                );
            }
        };
        if only.is_empty() {
            let parts: Vec<String> =
                filters.iter().map(|filter| format!("*{}*", quoted(filter))).collect();
            let parts = if parts.is_empty() { "*".to_owned() } else { parts.join(" | ") };
            return format!(
                "{run} for t in {pattern}; do case ${{t##*/}} in {parts}) ran \"$t\" {program} ;; \
                 esac; done"
            );
        }
        let mut files: Vec<&str> = only.iter().map(|test| test.file.as_str()).collect();
        files.dedup();
        let commands = files.into_iter().map(|file| {
            let names = only.iter().filter(|test| test.file == file).map(|test| test.name.as_str());
            let chosen = match self {
                _ if Test::all_of(file).is_among(only) => program.to_owned(),
                Self::Runc => {
                    let names: Vec<String> = names.map(escaped).collect();
                    format!("env N={} {program}", quoted(&format!("^({})$", names.join("|"))))
                }
                _ => {
                    let names: Vec<&str> = names.collect();
                    format!("env RUN_TESTS={} {program}", quoted(&names.join(" ")))
                }
            };
            format!("t={}; ran \"$t\" {chosen}", quoted(file))
        });
        format!("{run} {}", commands.collect::<Vec<_>>().join("; "))
    }
}

/// For `ran`: the tests of the file `$t`, on a terminal; of them those whose names fit the
/// expression `$N`.
const RUNC: &str = "env T=\"$t\" script -qec 'bats --tap \"$T\" ${N:+--filter \"$N\"}' /dev/null";

/// For `ran`: the tests of the file `$t`.
const CRUN: &str = "bash -c 'case $0 in *tty*) exec script -qec \"python3 -u $0\" /dev/null ;; *) \
                    exec python3 -u \"$0\" ;; esac' \"$t\"";

/// For bash.
pub fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// A name as a regular expression.
fn escaped(name: &str) -> String {
    name.chars().fold(String::new(), |mut text, letter| {
        if "\\^$.|?*+()[]{}".contains(letter) {
            text.push('\\');
        }
        text.push(letter);
        text
    })
}

/// Makes the suite of `runtime` from Debian's source package, for the guest of `kernel`, or takes
/// it from the cache.
pub fn made(runtime: &str, kernel: Kernel) -> Result<PathBuf> {
    let suite = kernel.guest.suite;
    let name = format!("conformance-{runtime}-{suite}-");
    let done = places::cache()?.join(format!("{name}{}", assets::stamp(&[CONFORMANCE_SH])));
    if !done.is_dir() {
        let maker = Maker::new()?;
        setup::installed(
            &[("dpkg-dev", "unpacks source packages"), ("gcc", "builds test programs")],
            &maker.logs,
        )?;
        ui::step(
            &format!("making {runtime}'s suite from Debian's source package (some minutes, once)"),
            || {
                let scratch = maker.scratch()?;
                let at = |name: &str| scratch.path().join(name);
                let mut tar = Command::new("tar");
                tar.arg("xOf").arg(assets::guest_tar(&kernel.guest)?).arg("./var/lib/dpkg/status");
                std::fs::write(at("status"), ui::capture(&mut tar)?)
                    .context("cannot write into the cache")?;
                let mut command = maker.script(CONFORMANCE_SH);
                command.env("RUNTIME", runtime).env("SUITE", suite).env("STATUS", at("status"));
                command.env("WORK", at("work")).env("OUT", at("out"));
                maker.retry(&mut command, name.trim_end_matches('-'))?;
                maker.finish(&at("out"), &done, &name)
            },
        )?;
    }
    places::used(&done);
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::super::results::Results;
    use super::*;

    #[test]
    fn suites_are_known_by_their_files() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Suite::of(folder.path()).is_err());
        for (file, suite, needed) in [
            ("contest", Suite::Youki, "runtimetest"),
            ("tests/test_a.py", Suite::Crun, "tests/init"),
            ("tests/integration/a.bats", Suite::Runc, "root/usr/bin/bats"),
        ] {
            for file in [file, needed] {
                let path = folder.path().join(file);
                assert!(file != needed || suite.check(folder.path()).is_err());
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, "").unwrap();
                assert_eq!(Suite::of(folder.path()).unwrap(), suite);
            }
            suite.check(folder.path()).unwrap();
        }
    }

    /// What a machine would execute, with programs that say what they are asked for.
    fn output(suite: Suite, filters: &[&str], only: &[Test], limit: u64) -> String {
        let folder = tempfile::tempdir().unwrap();
        for (file, text) in [
            (
                "bats/bin/bats",
                "#!/bin/sh\n[ \"$2$3\" != tests/integration/hangs.bats ] || exec sleep 60\necho \
                 bats \"$@\"\n",
            ),
            ("bats/bin/script", "#!/bin/sh\necho in a terminal; exec sh -c \"$2\"\n"),
            ("bats/bin/python3", "#!/bin/sh\necho python3 \"$@\" only $RUN_TESTS\n"),
            ("tests/integration/a.bats", ""),
            ("tests/integration/b b.bats", ""),
            ("tests/integration/hangs.bats", ""),
            ("tests/test_a.py", ""),
            ("tests/test_b.py", ""),
            ("tests/test_tty.py", ""),
        ] {
            use std::os::unix::fs::PermissionsExt as _;
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        let filters: Vec<String> = filters.iter().map(|filter| (*filter).to_owned()).collect();
        let script = format!("{}; exit 0", suite.script(&filters, only, limit));
        ui::capture(Command::new("bash").arg("-c").arg(script).current_dir(folder.path())).unwrap()
    }

    #[test]
    fn files_are_chosen_and_one_that_hangs_is_stopped() {
        assert_eq!(
            output(Suite::Runc, &[], &[], 1),
            "# file tests/integration/a.bats\nin a terminal\nbats --tap \
             tests/integration/a.bats\n# file tests/integration/b b.bats\nin a terminal\nbats \
             --tap tests/integration/b b.bats\n# file tests/integration/hangs.bats\nin a \
             terminal\n# stopped after 1 s\n"
        );
        assert_eq!(
            output(Suite::Crun, &["b", "_b.", "x"], &[], 9),
            "# file tests/test_b.py\npython3 -u tests/test_b.py only\n"
        );
        assert_eq!(output(Suite::Crun, &["tests/"], &[], 9), "");
        assert_eq!(
            output(Suite::Crun, &["tty"], &[], 9),
            "# file tests/test_tty.py\nin a terminal\npython3 -u tests/test_tty.py only\n"
        );
    }

    #[test]
    fn tests_are_chosen() {
        let tests = |text: &str| {
            let mut results = Results::default();
            text.lines().for_each(|line| results.read(line));
            results
                .differences(&Results::default())
                .into_iter()
                .map(|difference| difference.test)
                .collect::<Vec<_>>()
        };
        let runc = tests(
            "# file tests/integration/a.bats\nok 1 x [it's (y)]\nok 2 z\n# file \
             tests/integration/b b.bats\nok 1 z",
        );
        assert_eq!(
            output(Suite::Runc, &[], &runc, 9),
            "# file tests/integration/a.bats\nin a terminal\nbats --tap tests/integration/a.bats \
             --filter ^(x \\[it's \\(y\\)\\]|z)$\n# file tests/integration/b b.bats\nin a \
             terminal\nbats --tap tests/integration/b b.bats --filter ^(z)$\n"
        );
        let all = [Test::all_of("tests/integration/b b.bats")];
        assert_eq!(
            output(Suite::Runc, &[], &all, 9),
            "# file tests/integration/b b.bats\nin a terminal\nbats --tap tests/integration/b \
             b.bats\n"
        );
        let crun = tests("# file tests/test_a.py\nok 1 - one\nok 2 - two\n");
        assert_eq!(
            output(Suite::Crun, &[], &crun, 9),
            "# file tests/test_a.py\npython3 -u tests/test_a.py only one two\n"
        );
    }
}
