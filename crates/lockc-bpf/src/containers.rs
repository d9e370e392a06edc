//! Containers as people see them: those that lockc confines, and those that it does not.

mod monitors;

use anyhow::{Result, bail};
use lockc_core::maps::{Registry, RegistryError};
use lockc_policy::{container_names::ContainerNames, policy::PolicySet};
use serde::Serialize;

use crate::status::{self, Container};
use monitors::Running;

/// The wrapper's program.
const WRAPPER: &str = "lockc-runc-wrapper";

/// A container that lockc does not confine.
#[derive(Clone, Debug, Serialize)]
pub struct Unconfined {
    /// Its id.
    pub id: String,
    /// What people call it.
    #[serde(flatten)]
    pub names: ContainerNames,
    /// The runtime that started it, where its engine tells.
    pub runtime: Option<String>,
    /// Why it is not confined.
    pub cause: Cause,
    /// The same in words.
    pub reason: String,
}

/// Why a container is not confined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// A rootless engine runs it.
    Rootless,
    /// lockc's programs are not loaded.
    NotLoaded,
    /// It started under lockc's runtime while the programs were not loaded.
    StartedWhileNotLoaded,
    /// Another runtime started it.
    OtherRuntime,
}

impl Cause {
    /// Every cause.
    pub const ALL: [Self; 4] =
        [Self::Rootless, Self::NotLoaded, Self::StartedWhileNotLoaded, Self::OtherRuntime];

    /// The name in JSON and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rootless => "rootless",
            Self::NotLoaded => "not-loaded",
            Self::StartedWhileNotLoaded => "started-while-not-loaded",
            Self::OtherRuntime => "other-runtime",
        }
    }
}

/// The registered containers that have a process, or stand for others.
///
/// # Errors
///
/// Where the pinned maps cannot be read, or nothing is loaded.
pub fn confined() -> Result<Vec<Container>> {
    Registry::open()?;
    let containers = status::gather()?.containers.into_iter();
    Ok(containers.filter(|it| it.is_alive() || it.is_guard()).collect())
}

/// The containers of every engine on this host that have no label.
///
/// # Errors
///
/// Where a label cannot be read; a host where nothing is loaded is no error.
pub fn unconfined() -> Result<Vec<Unconfined>> {
    let registry = match Registry::open() {
        Ok(registry) => Some(registry),
        Err(error @ (RegistryError::NotRoot { .. } | RegistryError::Map { .. })) => {
            return Err(error.into());
        }
        Err(_) => None,
    };
    let settings = PolicySet::of_host().map(|set| set.settings).unwrap_or_default();
    let mut found = Vec::new();
    let monitors::Found { running, unread } = monitors::running(&settings);
    if unread != 0 {
        eprintln!(
            "lockc: the files of {unread} containers cannot be read in time; they are left out"
        );
    }
    for container in running {
        if let (Some(registry), Some(pid)) = (&registry, container.pid)
            && registry.label_of(pid)?.is_some()
        {
            continue;
        }
        let cause = cause(&container, registry.is_some());
        let reason = reason(cause, &container);
        let Running { id, names, runtime, .. } = container;
        found.push(Unconfined { id, names, runtime, cause, reason });
    }
    Ok(found)
}

fn cause(container: &Running, is_loaded: bool) -> Cause {
    let is_wrapper = |runtime: &String| runtime.contains(WRAPPER);
    match (container.uid, is_loaded) {
        (1.., _) => Cause::Rootless,
        (0, false) => Cause::NotLoaded,
        _ if container.runtime.as_ref().is_some_and(is_wrapper) => Cause::StartedWhileNotLoaded,
        _ => Cause::OtherRuntime,
    }
}

fn reason(cause: Cause, container: &Running) -> String {
    match (cause, &container.runtime) {
        (Cause::Rootless, _) => format!("a rootless engine of uid {} runs it", container.uid),
        (Cause::NotLoaded, _) => "lockc's programs are not loaded".into(),
        (Cause::StartedWhileNotLoaded, _) => {
            "it started while lockc's programs were not loaded".into()
        }
        (Cause::OtherRuntime, Some(runtime)) => {
            format!("{runtime} started it, not lockc's runtime")
        }
        (Cause::OtherRuntime, None) => "another runtime than lockc's started it".into(),
    }
}

/// Finds the one container that a name, or the beginning of an id, means.
///
/// # Errors
///
/// Where there is none, or more than one.
pub fn named<'a, T>(
    all: &'a [T],
    name: &str,
    of: impl Fn(&T) -> (&str, &ContainerNames),
) -> Result<&'a T> {
    let is_meant = |it: &&T| {
        let (id, names) = of(it);
        (!name.is_empty() && id.starts_with(name)) || names.is_called(name)
    };
    let found: Vec<&T> = all.iter().filter(is_meant).collect();
    // An id that another begins with is that container's own.
    let exact = found.iter().find(|it| of(it).0 == name);
    match (exact, found.as_slice()) {
        (Some(one), _) | (None, [one]) => Ok(one),
        (None, []) => bail!("no container that runs is called {name:?}; see `lockc ps --all`"),
        (None, several) => {
            let ids: Vec<String> =
                several.iter().map(|it| of(it).0.chars().take(12).collect()).collect();
            bail!("{name:?} may be any of {}; give the id", ids.join(", "))
        }
    }
}

/// The containers of the pod, if a pod is called so (`POD` or `NAMESPACE/POD`); otherwise the one
/// container that the name means.
///
/// # Errors
///
/// Where there is none, or more than one pod or container.
pub fn of_pod_or_named<'a>(all: &'a [Container], name: &str) -> Result<Vec<&'a Container>> {
    let pod = |it: &Container| {
        let (pod, namespace) = (it.names.pod.clone()?, it.names.namespace.clone());
        Some((pod, namespace))
    };
    let is_called = |(pod, namespace): &(String, Option<String>)| {
        pod == name || namespace.as_ref().is_some_and(|it| format!("{it}/{pod}") == name)
    };
    let mut pods: Vec<_> = all.iter().filter_map(pod).filter(is_called).collect();
    pods.sort();
    pods.dedup();
    match pods.as_slice() {
        [] => named(all, name, |it| (&it.id, &it.names)).map(|one| vec![one]),
        [one] => Ok(all.iter().filter(|it| pod(it).as_ref() == Some(one)).collect()),
        _ => bail!("pods of several namespaces are called {name:?}; give NAMESPACE/POD"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn running(runtime: Option<&str>, uid: u32) -> Running {
        Running { runtime: runtime.map(str::to_owned), uid, ..Running::default() }
    }

    #[test]
    fn the_reason_is_what_the_administrator_can_change() {
        for (runtime, uid, loaded, expected) in [
            (Some("/usr/bin/crun"), 1000, true, "a rootless engine of uid 1000"),
            (Some("/usr/bin/lockc-runc-wrapper"), 0, true, "while lockc's programs were not"),
            (Some("/usr/bin/lockc-runc-wrapper"), 0, false, "are not loaded"),
            (Some("runc"), 0, true, "runc started it, not lockc's"),
            (None, 0, true, "another runtime"),
        ] {
            let running = running(runtime, uid);
            let text = reason(cause(&running, loaded), &running);
            assert!(text.contains(expected), "{text}");
        }
    }

    #[test]
    fn causes_have_one_name() {
        for cause in Cause::ALL {
            assert_eq!(serde_json::to_value(cause).unwrap(), cause.name());
        }
    }

    #[test]
    fn a_name_means_one_container() {
        let of =
            |it: &(&'static str, ContainerNames)| -> (&'static str, ContainerNames) { it.clone() };
        let named_ = |name: &str| ContainerNames { name: Some(name.into()), ..Default::default() };
        let all = [("abc", named_("web")), ("abcd", named_("db")), ("ffff", named_("web"))];
        let find = |name: &str| named(&all, name, |it| (it.0, &it.1)).map(|it| of(it).0);
        assert_eq!(find("abc").unwrap(), "abc");
        assert_eq!(find("abcd").unwrap(), "abcd");
        assert_eq!(find("db").unwrap(), "abcd");
        for name in ["ab", "web", "", "x"] {
            assert!(find(name).is_err(), "{name}");
        }
    }
}
