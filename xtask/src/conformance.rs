//! `cargo xtask conformance DIR`: a runtime's own test suite, with the bare runtime and through lockc's
//! wrapper at the privileged level, which refuses nothing; what differs is lockc's doing.
//!
//! The user unpacks and builds the suite (`make -C runc localintegration` needs as much); nothing
//! is downloaded. Each of the suites writes TAP, by which its tests are compared.
//!
//! | suite | what DIR must contain | how it takes a runtime |
//! |---|---|---|
//! | runc | `tests/integration/*.bats`, its helpers built, and `bats/bin/bats` unless the image has bats | `runc` in DIR |
//! | crun | `tests/test_*.py` and `tests/init` | `OCI_RUNTIME` |
//! | youki | `contest` and `runtimetest` | `--runtime` |

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::assets::Kernel;
use crate::vm::Vm;
use crate::{build, setup, ui};

#[derive(clap::Args)]
pub struct Args {
    /// The suite: the source of runc or crun, or a folder with youki's test programs
    suite: PathBuf,
    /// Which kernel: 6.1, 6.12 or 7.2
    #[arg(long, default_value = "6.12")]
    kernel: String,
    /// The runtime in the image that is tested
    #[arg(long, default_value = "/usr/sbin/runc")]
    runtime: PathBuf,
    /// Only files of tests whose names contain this
    #[arg(long, default_value = "")]
    filter: String,
    /// Seconds until the machine is stopped
    #[arg(long, default_value_t = 7200)]
    timeout: u64,
}

/// Which suite it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Suite {
    Runc,
    Crun,
    Youki,
}

impl Suite {
    fn of(folder: &Path) -> Result<Self> {
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
                "{} is no suite: it has neither tests/integration/*.bats (runc), nor tests/test_*.py (crun), nor contest \
                 (youki)",
                folder.display()
            ),
        }
    }

    /// For bash in the suite's folder: runs the tests with the runtime `$R`.
    const fn script(self) -> &'static str {
        match self {
            Self::Runc => {
                "printf '#!/bin/sh\\nexec %s \"$@\"\\n' \"$R\" > runc; chmod 755 runc; PATH=$PWD/bats/bin:$PATH; \
                 for t in tests/integration/*\"$F\"*.bats; do echo \"# file $t\"; bats --tap \"$t\"; done"
            }
            Self::Crun => {
                "for t in tests/test_*\"$F\"*.py; do echo \"# file $t\"; \
                 OCI_RUNTIME=$PWD/runtime INIT=$PWD/tests/init python3 \"$t\"; done"
            }
            Self::Youki => "./contest run --runtime $PWD/runtime --runtimetest ./runtimetest",
        }
    }
}

/// Runs the suite twice; true if no test differs.
pub fn run(args: &Args) -> Result<bool> {
    let kernel = Kernel::named(&args.kernel)?;
    let suite = Suite::of(&args.suite)?;
    setup::run(true)?;
    let input = tempfile::Builder::new().prefix("lockc-conformance-").tempdir().context("cannot create a folder")?;
    ui::capture(Command::new("cp").arg("-rT").arg(build::guest_programs()?).arg(input.path()))?;
    ui::capture(Command::new("cp").arg("-rT").arg(&args.suite).arg(input.path().join("suite")))?;
    let mut results = Vec::new();
    for wrapped in [false, true] {
        let machine = Vm {
            kernel,
            timeout: Duration::from_secs(args.timeout),
            append: String::new(),
            workloads: false,
            systemd: None,
            counts_instructions: false,
        };
        let command = command(suite, &args.runtime, &args.filter, wrapped);
        eprintln!("  .. the suite {}", if wrapped { "through the wrapper" } else { "with the bare runtime" });
        let mut tests = Tests::default();
        machine.run(input.path(), &command, &mut |line| tests.read(line))?;
        if tests.0.is_empty() {
            bail!("the suite ran no test; `--filter` and what DIR must contain: see `cargo xtask conformance --help`");
        }
        results.push(tests);
    }
    let differences = results[0].differences(&results[1]);
    differences.iter().for_each(|line| println!("{line}"));
    println!("{} tests, {} differ", results[0].0.len(), differences.len());
    Ok(differences.is_empty())
}

/// What a machine executes. The suite calls one program; the wrapper is a script, since it takes
/// options of its own.
fn command(suite: Suite, runtime: &Path, filter: &str, wrapped: bool) -> String {
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "'\\''"));
    let runtime = runtime.display().to_string();
    let real = quoted(&runtime);
    let set_up = if wrapped {
        format!(
            "./lockc load || exit 1; mkdir -p /etc/lockc; echo \"runtimes = ['\"{real}\"']\" > /etc/lockc/lockc.toml; \
             chmod 600 /etc/lockc/lockc.toml; exec_line=\"$PWD/lockc-runc-wrapper --lockc-policy privileged\"; "
        )
    } else {
        format!("exec_line={real}; ")
    };
    format!(
        "{set_up}cd suite; printf '#!/bin/sh\\nexec %s \"$@\"\\n' \"$exec_line\" > runtime; chmod 755 runtime; \
         R=$PWD/runtime; F={}; {}; exit 0",
        quoted(filter),
        suite.script()
    )
}

/// Tests by file and name, and whether they passed, were left out, or failed.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tests(BTreeMap<String, &'static str>, String);

impl Tests {
    /// A line of TAP: `ok 3 name`, `not ok 4 name`, `ok 5 name # SKIP reason`; youki's tests write
    /// `1 / 2 : name : ok`.
    fn read(&mut self, line: &str) {
        let line = line.trim();
        if let Some(file) = line.strip_prefix("# file ") {
            self.1 = file.to_owned();
            return;
        }
        let (passed, rest) = match (line.strip_prefix("ok "), line.strip_prefix("not ok ")) {
            (Some(rest), _) => (true, rest),
            (_, Some(rest)) => (false, rest),
            _ => return self.read_youkis(line),
        };
        let Some((number, name)) = rest.split_once(' ') else { return };
        if number.parse::<u32>().is_err() {
            return;
        }
        let name = name.trim_start_matches("- ");
        let (name, left_out) = match name.split_once(" # ") {
            Some((name, directive)) => (name, directive.to_ascii_lowercase().starts_with("skip")),
            None => (name, false),
        };
        let result = if left_out { "left out" } else { told(passed) };
        self.add(name, result);
    }

    fn read_youkis(&mut self, line: &str) {
        let parts: Vec<&str> = line.split(" : ").collect();
        let [number, name, result] = parts.as_slice() else { return };
        let is_number =
            number.split_once(" / ").is_some_and(|(at, of)| at.parse::<u32>().is_ok() && of.parse::<u32>().is_ok());
        match *result {
            "ok" if is_number => self.add(name, told(true)),
            "skipped" if is_number => self.add(name, "left out"),
            result if is_number && result.starts_with("not ok") => self.add(name, told(false)),
            _ => {}
        }
    }

    /// One name may stand for several tests.
    fn add(&mut self, name: &str, result: &'static str) {
        let name = format!("{}: {name}", self.1);
        let name = name.trim_start_matches(": ").to_owned();
        let free = (1..).map(|n| if n == 1 { name.clone() } else { format!("{name} ({n})") });
        if let Some(name) = free.into_iter().find(|name| !self.0.contains_key(name)) {
            self.0.insert(name, result);
        }
    }

    fn differences(&self, wrapped: &Self) -> Vec<String> {
        let mut names: Vec<&String> = self.0.keys().chain(wrapped.0.keys()).collect();
        names.sort();
        names.dedup();
        let of = |tests: &Self, name: &String| tests.0.get(name).copied().unwrap_or("did not run");
        names
            .into_iter()
            .map(|name| (name, of(self, name), of(wrapped, name)))
            .filter(|(_, bare, wrapped)| bare != wrapped)
            .map(|(name, bare, wrapped)| format!("{name}: {bare} with the bare runtime, {wrapped} through the wrapper"))
            .collect()
    }
}

const fn told(passed: bool) -> &'static str {
    if passed { "passed" } else { "failed" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tests(text: &str) -> Tests {
        let mut tests = Tests::default();
        text.lines().for_each(|line| tests.read(line));
        tests
    }

    #[test]
    fn results_are_read_and_compared() {
        let bare = "1..4\n# file a.bats\nok 1 one\nok 2 two # skip no criu\nnot ok 3 three\n# (in test file)\nok 4 one\nokay\n";
        let found = tests(bare);
        let all: Vec<_> = found.0.iter().map(|(name, result)| (name.as_str(), *result)).collect();
        assert_eq!(
            all,
            [
                ("a.bats: one", "passed"),
                ("a.bats: one (2)", "passed"),
                ("a.bats: three", "failed"),
                ("a.bats: two", "left out")
            ]
        );
        assert!(found.differences(&tests(bare)).is_empty());
        let wrapped = tests("# file a.bats\nnot ok 1 one\nok 2 two # SKIP\nnot ok 3 three\n");
        assert_eq!(
            found.differences(&wrapped),
            [
                "a.bats: one: passed with the bare runtime, failed through the wrapper",
                "a.bats: one (2): passed with the bare runtime, did not run through the wrapper"
            ]
        );
    }

    #[test]
    fn youkis_results_are_read() {
        let found =
            tests("# Start group x\n1 / 3 : a : ok\n2 / 3 : b : not ok\n\terror\n3 / 3 : c : skipped\n# End group x\n");
        assert_eq!(found.0.into_values().collect::<Vec<_>>(), ["passed", "failed", "left out"]);
    }

    #[test]
    fn suites_are_known_by_their_files() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Suite::of(folder.path()).is_err());
        for (file, suite) in
            [("contest", Suite::Youki), ("tests/test_a.py", Suite::Crun), ("tests/integration/a.bats", Suite::Runc)]
        {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
            assert_eq!(Suite::of(folder.path()).unwrap(), suite);
        }
    }
}
