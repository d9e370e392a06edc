//! Any configuration of a bundle: read or refused, and a stricter level never admits what a looser
//! one refuses.
#![no_main]

use std::{
    io,
    path::{Path, PathBuf},
};

use libfuzzer_sys::fuzz_target;
use lockc_core::rules::Level;
use lockc_policy::{
    admission,
    config::Settings,
    engines::{Engines, Request},
    host::{HostView, Kind, MountedAt, Namespace, trusted::TrustError},
    policy::Policy,
    spec::{Spec, strict},
};

/// A host where every path exists and is what it looks like.
struct AnyHost;

impl HostView for AnyHost {
    fn canonicalize(&self, path: &Path) -> io::Result<PathBuf> {
        Ok(path.components().collect())
    }

    fn kind(&self, path: &Path) -> io::Result<Kind> {
        Ok(if path.extension().is_some_and(|end| end == "sock") {
            Kind::Socket
        } else {
            Kind::Directory
        })
    }

    fn is_host_namespace(&self, path: &Path, _: Namespace) -> io::Result<bool> {
        Ok(path.starts_with("/proc/1"))
    }

    fn root_uid(&self, _: &Path) -> io::Result<Option<u32>> {
        Ok(None)
    }

    fn others_may_change(&self, path: &Path) -> io::Result<bool> {
        Ok(path.starts_with("/home"))
    }

    fn own_files(&self) -> Vec<PathBuf> {
        vec!["/etc/lockc".into()]
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
        Ok(vec![
            mount("8:1", "/"),
            mount("0:20", "/proc"),
            mount("0:21", "/sys"),
            mount("0:22", "/run"),
        ])
    }
}

fuzz_target!(|data: &[u8]| {
    // Whatever the specification's own reading understands, lockc's sees the same, or refuses it.
    assert_eq!(strict::difference(data).unwrap_or_default(), None);
    let Ok(spec) = Spec::parse(data, Path::new("config.json")) else { return };
    let request = Request {
        id: "c1",
        bundle: Path::new("/b"),
        spec: &spec,
        restore: false,
        engine: None,
        sandbox: false,
    };
    let admitted = |level| {
        let policy = Policy::for_level(level, "fuzzing");
        admission::admit(&request, &policy, &Settings::default(), &Engines::default(), &AnyHost)
            .is_ok()
    };
    let [privileged, baseline, restricted] =
        [Level::Privileged, Level::Baseline, Level::Restricted].map(admitted);
    assert!(privileged >= baseline && baseline >= restricted);
});
