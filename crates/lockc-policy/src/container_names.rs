//! What an engine calls a container, for people. Tenants choose most of it: nothing is decided by
//! it.

use serde::{Deserialize, Serialize};

/// Characters of a name that are kept: /run is memory.
const LEN: usize = 256;

/// The names of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerNames {
    /// The engine's name.
    pub engine: Option<String>,
    /// The container's name; in a pod, its name there.
    pub name: Option<String>,
    /// The image, as whoever started the container named it.
    pub image: Option<String>,
    /// The pod's name.
    pub pod: Option<String>,
    /// The pod's Kubernetes namespace.
    pub namespace: Option<String>,
    /// The pod's uid, as the kubelet gave it to the engine.
    pub pod_uid: Option<String>,
}

impl ContainerNames {
    /// With names that are not too long.
    pub(crate) fn cut(&self) -> Self {
        let cut = |name: &Option<String>| -> Option<String> {
            name.as_ref().map(|name| name.chars().take(LEN).collect())
        };
        Self {
            engine: cut(&self.engine),
            name: cut(&self.name),
            image: cut(&self.image),
            pod: cut(&self.pod),
            namespace: cut(&self.namespace),
            pod_uid: cut(&self.pod_uid),
        }
    }

    /// `NAMESPACE/POD/NAME` in a pod, otherwise the container's name, if it has one.
    pub fn full_name(&self) -> Option<String> {
        let parts = [&self.namespace, &self.pod, &self.name].into_iter().flatten();
        let parts: Vec<&str> = parts.map(String::as_str).collect();
        (!parts.is_empty()).then(|| parts.join("/"))
    }

    /// Whether a person may mean it by that name: its own, its pod's, or the full one.
    pub fn is_called(&self, name: &str) -> bool {
        let own = [&self.name, &self.pod].into_iter().flatten().any(|own| own == name);
        own || self.full_name().is_some_and(|full| full == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> ContainerNames {
        ContainerNames { name: Some(name.into()), ..ContainerNames::default() }
    }

    #[test]
    fn a_container_is_called_by_its_own_name_its_pods_and_the_full_one() {
        let mut names = named("nginx");
        assert_eq!(names.full_name().as_deref(), Some("nginx"));
        names.pod = Some("web-1".into());
        names.namespace = Some("team-a".into());
        assert_eq!(names.full_name().as_deref(), Some("team-a/web-1/nginx"));
        for name in ["nginx", "web-1", "team-a/web-1/nginx"] {
            assert!(names.is_called(name), "{name}");
        }
        for name in ["", "web", "team-a", "web-1/nginx"] {
            assert!(!names.is_called(name), "{name}");
        }
        assert_eq!(ContainerNames::default().full_name(), None);
    }
}
