//! How a workload's containers are started: by which runtime, and with which privileges.

use anyhow::{Context, Result};

use crate::command::{self, Run};
use crate::docker::Background;
use crate::launch::fresh_id;

/// The image with the packages.
pub const IMAGE: &str = "work";

/// A runtime and whether the container gives up what `restricted` wants given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Way {
    pub name: &'static str,
    runtime: &'static str,
    pub hardened: bool,
}

impl Way {
    /// Without lockc.
    pub const PLAIN: Self = Self { name: "plain", runtime: "runc", hardened: false };
    /// Without lockc, with what `restricted` wants: tells a test's fault from lockc's.
    pub const HARDENED: Self = Self { name: "plain-hardened", runtime: "runc", hardened: true };
    pub const BASELINE: Self =
        Self { name: "baseline", runtime: "lockc-baseline", hardened: false };
    pub const RESTRICTED: Self =
        Self { name: "restricted", runtime: "lockc-restricted", hardened: true };

    /// Options of `docker run` and `docker create`.
    pub fn options(&self) -> Vec<&'static str> {
        let mut words = vec!["--runtime", self.runtime];
        if self.hardened {
            words.extend([
                "--user",
                "1000:1000",
                "--cap-drop",
                "ALL",
                "--security-opt",
                "no-new-privileges",
            ]);
            words.extend(["-e", "HOME=/tmp"]);
        }
        words
    }

    /// The runtime for calls that choose it by themselves.
    pub const fn runtime(&self) -> &'static str {
        self.runtime
    }

    /// `docker run --rm` to the end.
    pub fn run(&self, args: &[&str]) -> Result<Run> {
        self.call(&["run", "--rm"], args)
    }

    /// The output of a `docker run --rm` that succeeds.
    pub fn says(&self, args: &[&str]) -> Result<String> {
        self.run(args)?.must().with_context(|| format!("docker run {}", args.join(" ")))
    }

    /// `docker VERB` with this way's options.
    pub fn call(&self, verb: &[&str], args: &[&str]) -> Result<Run> {
        let mut words = vec!["docker"];
        words.extend(verb);
        words.extend(self.options());
        words.extend(args);
        command::run(&words)
    }

    /// `docker run -d`; removed when dropped.
    pub fn background(&self, args: &[&str]) -> Result<Background> {
        let name = fresh_id();
        self.named(&name, args)
    }

    /// The same under a name of the caller's.
    pub fn named(&self, name: &str, args: &[&str]) -> Result<Background> {
        let run = self.call(&["run", "-d", "--name", name], args)?;
        // Docker leaves the container behind when its start fails.
        let background = Background { name: name.to_owned() };
        run.must().with_context(|| format!("docker run -d {}", args.join(" ")))?;
        Ok(background)
    }
}

/// `docker WORDS` that must succeed.
pub fn docker(words: &[&str]) -> Result<String> {
    command::run(&[&["docker"], words].concat())?
        .must()
        .with_context(|| format!("docker {}", words.join(" ")))
}
