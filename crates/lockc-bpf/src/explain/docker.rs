//! `lockc explain docker:NAME`: asks Docker for the container's runtime and for that runtime's
//! arguments in daemon.json, which the bundle does not contain.

use std::{collections::BTreeMap, path::PathBuf, process::Command};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

/// The wrapper's file name, by which a runtime of Docker's is lockc's.
pub(super) const WRAPPER: &str = "lockc-runc-wrapper";

/// A container that dockerd knows.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Container {
    /// Its full id.
    pub(crate) id: String,
    /// `--lockc-policy` among the arguments of its runtime.
    pub(crate) argument: Option<String>,
    /// `--lockc-runtime` among them.
    pub(crate) runtime: Option<PathBuf>,
    /// Its runtime, where that is not lockc's.
    pub(crate) foreign_runtime: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Inspected {
    id: String,
    host_config: HostConfig,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HostConfig {
    runtime: Option<String>,
}

/// One of `Runtimes` in the answer of `docker info`.
#[derive(Deserialize)]
struct Runtime {
    path: Option<PathBuf>,
    #[serde(rename = "runtimeArgs")]
    args: Option<Vec<String>>,
}

/// Asks Docker about the container of that name or id.
///
/// # Errors
///
/// Where there is no such container, or Docker does not answer.
pub(crate) fn inspect(name: &str) -> Result<Container> {
    let containers =
        docker(&["container", "inspect", "--", name]).with_context(|| format!("docker:{name}"))?;
    let runtimes = docker(&["info", "--format", "{{json .Runtimes}}"])?;
    container(&containers, &runtimes)
}

fn container(inspected: &str, runtimes: &str) -> Result<Container> {
    let inspected: Vec<Inspected> =
        serde_json::from_str(inspected).context("unexpected output of docker inspect")?;
    let Some(Inspected { id, host_config }) = inspected.into_iter().next() else {
        bail!("docker inspect printed nothing");
    };
    let runtimes: BTreeMap<String, Runtime> =
        serde_json::from_str(runtimes).context("unexpected output of docker info")?;
    let name = host_config.runtime.unwrap_or_default();
    let runtime = runtimes.get(&name);
    let is_ours =
        |runtime: &&Runtime| runtime.path.as_ref().is_some_and(|path| path.ends_with(WRAPPER));
    Ok(match runtime.filter(is_ours) {
        Some(runtime) => Container {
            id,
            argument: option(runtime.args.as_deref(), "--lockc-policy")?,
            runtime: option(runtime.args.as_deref(), "--lockc-runtime")?.map(PathBuf::from),
            foreign_runtime: None,
        },
        None => Container { id, foreign_runtime: Some(name), ..Container::default() },
    })
}

/// The value of one of lockc's options, as the wrapper reads it: it refuses two that differ.
fn option(args: Option<&[String]>, name: &str) -> Result<Option<String>> {
    let mut found = None;
    let mut args = args.unwrap_or_default().iter();
    while let Some(arg) = args.next() {
        let value = match arg.strip_prefix(name) {
            Some("") => args.next().map(String::as_str),
            Some(rest) => rest.strip_prefix('='),
            None => None,
        };
        if let (Some(found), Some(value)) = (&found, value)
            && found != value
        {
            bail!(
                "its runtime in Docker's daemon.json has {name} twice, {found} and \
                 {value}; the wrapper refuses that; remove one of them"
            );
        }
        found = value.map(str::to_owned).or(found);
    }
    Ok(found)
}

fn docker(args: &[&str]) -> Result<String> {
    let output = Command::new("docker").args(args).output().context("`docker` cannot be run")?;
    if !output.status.success() {
        bail!("Docker answers: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUNTIMES: &str = r#"{"runc":{"path":"runc","status":{"x":"y"}},
        "lockc":{"path":"/usr/bin/lockc-runc-wrapper"},
        "tight":{"path":"/usr/bin/lockc-runc-wrapper",
            "runtimeArgs":["--debug","--lockc-policy=restricted"]},
        "io.containerd.runc.v2":{"path":"runc"}}"#;

    fn of(runtime: &str) -> Container {
        let inspected =
            format!(r#"[{{"Id":"abc","Name":"/web","HostConfig":{{"Runtime":"{runtime}"}}}}]"#);
        container(&inspected, RUNTIMES).unwrap()
    }

    #[test]
    fn the_runtime_and_its_argument_are_found() {
        let ours = |argument: Option<&str>| Container {
            id: "abc".into(),
            argument: argument.map(str::to_owned),
            ..Container::default()
        };
        assert_eq!(of("lockc"), ours(None));
        assert_eq!(of("tight"), ours(Some("restricted")));
        for foreign in ["runc", "gone"] {
            assert_eq!(of(foreign).foreign_runtime.as_deref(), Some(foreign));
        }
        assert!(container("[]", RUNTIMES).is_err());
        assert!(container("x", RUNTIMES).is_err());
    }

    #[test]
    fn the_argument_in_either_spelling() {
        let policy = |words: &str| {
            let args: Vec<_> = words.split(' ').map(str::to_owned).collect();
            option(Some(&args), "--lockc-policy")
        };
        assert_eq!(policy("--lockc-policy offline").unwrap().as_deref(), Some("offline"));
        assert_eq!(policy("--lockc-policy=b --lockc-policy b").unwrap().as_deref(), Some("b"));
        assert_eq!(policy("--debug --lockc-policyx=a").unwrap(), None);
        assert_eq!(option(None, "--lockc-policy").unwrap(), None);
        for two in ["--lockc-policy=a --lockc-policy b", "--lockc-policy b --lockc-policy=a"] {
            let error = policy(two).unwrap_err().to_string();
            assert!(error.contains("twice"), "{error}");
        }
    }
}
