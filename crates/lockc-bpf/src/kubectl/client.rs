//! kubectl as a client of the cluster.

use std::{
    io::{Read, Write as _},
    path::PathBuf,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

/// How long kubectl may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// Which cluster, as kubectl takes it.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Connection {
    /// Context of the kubeconfig
    #[arg(long, value_name = "NAME", global = true)]
    context: Option<String>,
    /// Kubeconfig of kubectl
    #[arg(long, value_name = "FILE", global = true)]
    kubeconfig: Option<PathBuf>,
}

/// The namespaces that are asked about.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Namespaces {
    /// The namespace; default: that of the context
    #[arg(long, short, value_name = "NAMESPACE", conflicts_with = "all_namespaces")]
    namespace: Option<String>,
    /// Every namespace
    #[arg(long, short = 'A')]
    all_namespaces: bool,
}

impl Namespaces {
    /// The namespace; nothing for all of them.
    ///
    /// # Errors
    ///
    /// Where kubectl cannot say which one the context has.
    pub fn chosen(&self, kubectl: &Kubectl) -> Result<Option<String>> {
        if self.all_namespaces {
            Ok(None)
        } else {
            kubectl.namespace(self.namespace.as_deref()).map(Some)
        }
    }
}

impl Connection {
    /// kubectl with these options.
    pub fn client(&self) -> Kubectl {
        let mut options = Vec::new();
        if let Some(context) = &self.context {
            options.extend(["--context".into(), context.clone()]);
        }
        if let Some(file) = &self.kubeconfig {
            options.extend(["--kubeconfig".into(), file.display().to_string()]);
        }
        Kubectl { program: "kubectl".into(), options, patience: PATIENCE }
    }
}

/// What kubectl said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// Its exit code; nothing if a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Said {
    /// The last line of standard error, which says why.
    pub fn why(&self) -> &str {
        self.err.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("kubectl failed")
    }
}

/// kubectl, with a connection.
#[derive(Clone, Debug)]
pub struct Kubectl {
    pub(super) program: PathBuf,
    pub(super) options: Vec<String>,
    pub(super) patience: Duration,
}

impl Kubectl {
    /// Runs it.
    ///
    /// # Errors
    ///
    /// Where it cannot be run, or does not end.
    pub fn run(&self, words: &[&str], input: &str) -> Result<Said> {
        let mut command = Command::new(&self.program);
        command.args(&self.options).args(words);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| {
            format!("{} cannot be run; install kubectl", self.program.display())
        })?;
        let (stdin, out, err) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let input = input.to_owned();
        let feed = thread::spawn(move || {
            // It may not read all of it.
            stdin.map(|mut stdin| stdin.write_all(input.as_bytes()))
        });
        let (out, err) = (thread::spawn(|| text(out)), thread::spawn(|| text(err)));
        let end = Instant::now() + self.patience;
        let status = loop {
            match child.try_wait()? {
                Some(status) => break status,
                None if Instant::now() >= end => {
                    child.kill()?;
                    child.wait()?;
                    bail!(
                        "kubectl did not end within {} s; see `kubectl cluster-info`",
                        self.patience.as_secs()
                    );
                }
                None => thread::sleep(Duration::from_millis(20)),
            }
        };
        drop(feed.join());
        let (out, err) = (out.join().unwrap_or_default(), err.join().unwrap_or_default());
        Ok(Said { code: status.code(), out, err })
    }

    /// What it gets from the API server.
    ///
    /// # Errors
    ///
    /// Where it gets nothing.
    pub fn get(&self, words: &[&str]) -> Result<Value> {
        let said = self.run(&[&["get"], words, &["-o", "json"]].concat(), "")?;
        if said.code != Some(0) {
            bail!("kubectl cannot get {}: {}", words.join(" "), said.why());
        }
        serde_json::from_str(&said.out).context("kubectl printed no valid JSON")
    }

    /// The namespace that is meant: the one that is named, or the context's.
    ///
    /// # Errors
    ///
    /// Where kubectl cannot be run.
    pub fn namespace(&self, named: Option<&str>) -> Result<String> {
        if let Some(named) = named {
            return Ok(named.to_owned());
        }
        let words = ["config", "view", "--minify", "-o", "jsonpath={..namespace}"];
        let said = self.run(&words, "")?;
        let name = said.out.trim();
        Ok(if said.code != Some(0) || name.is_empty() { "default" } else { name }.to_owned())
    }
}

fn text(from: Option<impl Read>) -> String {
    let mut bytes = Vec::new();
    // What came before it broke off is what there is.
    let _ = from.map(|mut from| from.read_to_end(&mut bytes));
    String::from_utf8_lossy(&bytes).into_owned()
}
