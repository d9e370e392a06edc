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
}

/// What is written down. The id tells whether it is about the container that the reader means.
#[derive(Serialize, Deserialize)]
struct Entry {
    id: String,
    #[serde(flatten)]
    names: ContainerNames,
}

impl ContainerNames {
    /// Its text in the file of the container with this id.
    pub fn to_text(&self, id: &str) -> String {
        let entry = Entry { id: id.to_owned(), names: self.cut() };
        serde_json::to_string(&entry).unwrap_or_default()
    }

    /// Reads such a text; nothing where it is none, or another container's. The id may have been
    /// cut.
    pub fn from_text(text: &str, id: &str) -> Option<Self> {
        let entry: Entry = serde_json::from_str(text).ok()?;
        (!id.is_empty() && entry.id.starts_with(id)).then_some(entry.names)
    }

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
    fn names_are_read_as_they_were_written() {
        let names = ContainerNames { pod: Some("web-1".into()), ..named("nginx") };
        let text = names.to_text("abcdef");
        for id in ["abcdef", "abc"] {
            assert_eq!(ContainerNames::from_text(&text, id).as_ref(), Some(&names), "{id}");
        }
        for id in ["", "abd", "abcdefg"] {
            assert_eq!(ContainerNames::from_text(&text, id), None, "{id}");
        }
        assert_eq!(ContainerNames::from_text("{", "abc"), None);
        assert!(named(&"ä".repeat(1 << 20)).to_text("a").len() < 1024);
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
