//! The node of a manifest, which is not known.

use std::{
    io,
    path::{Path, PathBuf},
};

use lockc_policy::host::{HostView, Kind, MountedAt, Namespace, trusted::TrustError};

use super::pod::PodSpec;

/// A node that nobody has seen: paths are what they look like and what the manifest says.
pub(super) struct ManifestHost<'a> {
    pub(super) pod: &'a PodSpec,
}

impl HostView for ManifestHost<'_> {
    fn canonicalize(&self, path: &Path) -> io::Result<PathBuf> {
        let mut plain = PathBuf::new();
        for part in path.components() {
            match part {
                std::path::Component::ParentDir => {
                    plain.pop();
                }
                part => plain.push(part),
            }
        }
        Ok(match plain.strip_prefix("/var/run") {
            Ok(rest) => Path::new("/run").join(rest),
            Err(_) => plain,
        })
    }

    fn entries(&self, directory: &Path) -> Vec<PathBuf> {
        self.pod.entries(directory)
    }

    fn kind(&self, path: &Path) -> io::Result<Kind> {
        if let Some(node) = PodSpec::block_volume(path) {
            return Ok(node);
        }
        // Numbers that no device has, one for each path.
        let device = || {
            path.as_os_str()
                .as_encoded_bytes()
                .iter()
                .fold(0u32, |sum, byte| sum.wrapping_mul(31) + u32::from(*byte))
        };
        let named = self.pod.host_path_type(path);
        Ok(match named {
            "Socket" => Kind::Socket,
            "CharDevice" => Kind::Char(u32::MAX, device()),
            "BlockDevice" => Kind::Block(u32::MAX, device()),
            "File" | "FileOrCreate" => Kind::File,
            _ if path.extension().is_some_and(|end| end == "sock") => Kind::Socket,
            "" if path.starts_with("/dev") && path.components().count() > 2 => {
                Kind::Char(u32::MAX, device())
            }
            _ => Kind::Directory,
        })
    }

    fn is_host_namespace(&self, _: &Path, _: Namespace) -> io::Result<bool> {
        Ok(false)
    }

    fn root_uid(&self, _: &Path) -> io::Result<Option<u32>> {
        Ok(None)
    }

    fn others_may_change(&self, _: &Path) -> io::Result<bool> {
        Ok(false)
    }

    /// As most nodes: Debian's, Ubuntu's, SUSE's.
    fn containerd_uses_apparmor(&self) -> bool {
        true
    }

    fn own_files(&self) -> Vec<PathBuf> {
        ["/etc/lockc", "/var/lib/lockc", "/usr/bin/lockc", "/usr/bin/lockc-runc-wrapper"]
            .map(PathBuf::from)
            .to_vec()
    }

    fn trusted_text(&self, _path: &Path, _limit: u64) -> Result<Option<String>, TrustError> {
        Ok(None)
    }

    fn trusted_entries(&self, _directory: &Path) -> Result<Vec<PathBuf>, TrustError> {
        Ok(Vec::new())
    }

    fn mounts(&self) -> io::Result<Vec<MountedAt>> {
        let mount = |device: &str, point: &str| MountedAt {
            device: device.into(),
            root: "/".into(),
            point: point.into(),
            ..MountedAt::default()
        };
        Ok([("8:1", "/"), ("0:20", "/proc"), ("0:21", "/sys"), ("0:5", "/dev"), ("0:22", "/run")]
            .map(|(device, point)| mount(device, point))
            .to_vec())
    }
}
