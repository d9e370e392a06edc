//! What the wrapper writes down of a container that it registers, for people: its names, where its
//! bundle is, and what it is granted of the host, in words. Nothing is decided by it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::container_names::ContainerNames;

/// The file of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerFile {
    /// The container's id. It tells whether the file is about the container that a reader means.
    pub id: String,
    /// What people call it.
    #[serde(flatten)]
    pub names: ContainerNames,
    /// Its bundle.
    pub bundle: PathBuf,
    /// What it is granted.
    pub granted: Granted,
}

/// What a container is granted of the host, as admission resolved it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Granted {
    /// Its root file system.
    pub rootfs: PathBuf,
    /// Files and directories of the host.
    pub mounts: Vec<PathBuf>,
    /// Unix sockets of the host that it may connect to, and names of such sockets.
    pub sockets: Vec<PathBuf>,
    /// Devices beyond those of every container, as `c MAJOR:MINOR` or `b MAJOR:MINOR`.
    pub devices: Vec<String>,
    /// What it may read in procfs and sysfs beyond what every container may.
    pub reads: Vec<PathBuf>,
}

impl ContainerFile {
    /// Its text.
    pub fn to_text(&self) -> String {
        let short = Self { names: self.names.cut(), ..self.clone() };
        serde_json::to_string(&short).unwrap_or_default()
    }

    /// Reads such a text; nothing where it is none, or another container's. The id may have been
    /// cut.
    pub fn from_text(text: &str, id: &str) -> Option<Self> {
        let file: Self = serde_json::from_str(text).ok()?;
        (!id.is_empty() && file.id.starts_with(id)).then_some(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> ContainerFile {
        let names = ContainerNames { name: Some(name.into()), ..ContainerNames::default() };
        ContainerFile { id: "abcdef".into(), names, ..ContainerFile::default() }
    }

    #[test]
    fn a_file_is_read_as_it_was_written() {
        let mut file = named("nginx");
        file.names.pod = Some("web-1".into());
        file.granted.mounts = vec!["/srv/data".into()];
        let text = file.to_text();
        for id in ["abcdef", "abc"] {
            assert_eq!(ContainerFile::from_text(&text, id).as_ref(), Some(&file), "{id}");
        }
        for id in ["", "abd", "abcdefg"] {
            assert_eq!(ContainerFile::from_text(&text, id), None, "{id}");
        }
        assert_eq!(ContainerFile::from_text("{", "abc"), None);
        assert!(named(&"ä".repeat(1 << 20)).to_text().len() < 1024);
    }
}
