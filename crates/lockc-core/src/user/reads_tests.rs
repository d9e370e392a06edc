//! Paths that a policy can let its containers read, what they lead to, and the kernel side's walk
//! over the result.

use std::{collections::HashMap, io};

use proptest::prelude::*;

use super::*;
use crate::user::admission::{Kind, Namespace, host_view::MountedAt};

/// A host with these links.
struct Links(&'static [(&'static str, &'static str)]);

impl HostView for Links {
    fn canonicalize(&self, path: &Path) -> io::Result<PathBuf> {
        if path.starts_with("/proc/missing") {
            return Err(io::ErrorKind::NotFound.into());
        }
        let mut resolved = PathBuf::new();
        for part in path {
            resolved.push(part);
            if let Some((_, to)) = self.0.iter().find(|(from, _)| Path::new(from) == resolved) {
                resolved = to.into();
            }
        }
        Ok(resolved)
    }

    fn links(&self, directory: &Path) -> Vec<PathBuf> {
        self.0
            .iter()
            .map(|(from, _)| PathBuf::from(from))
            .filter(|from| from.parent() == Some(directory))
            .collect()
    }

    fn kind(&self, _: &Path) -> io::Result<Kind> {
        Ok(Kind::File)
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

    fn own_files(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    fn mounts(&self) -> io::Result<Vec<MountedAt>> {
        Ok(Vec::new())
    }
}

fn paths(texts: &[&str]) -> Vec<PathBuf> {
    texts.iter().map(|text| check(Path::new(text)).unwrap()).collect()
}

/// The kernel side's walk, in words of user space.
fn readable(set: &Set, path: &str) -> bool {
    let map: HashMap<(u32, &str), NameRule> =
        set.entries.iter().map(|(node, name, rule)| ((*node, name.as_str()), *rule)).collect();
    let mut node = u32::from(path.starts_with("/sys"));
    for name in path.split('/').skip(2).take(READ_DEPTH) {
        let Some(rule) = map.get(&(node, name)) else { return false };
        if rule.flags & NAME_READ != 0 {
            return true;
        }
        node = rule.node;
    }
    false
}

#[test]
fn paths_that_cannot_be_let_are_named_with_the_reason() {
    let deep = format!("/sys{}", "/a".repeat(READ_DEPTH + 1));
    let long = format!("/sys/{}", "a".repeat(READ_NAME_LEN));
    for (path, says) in [
        ("/etc/passwd", "neither in /proc nor in /sys"),
        ("/system/x", "neither in /proc nor in /sys"),
        ("sys/class", "absolute path"),
        ("/sys/../etc", "`..`"),
        ("/proc", "all of it"),
        ("/sys/", "all of it"),
        ("/proc/1/environ", "about a process"),
        ("/proc/self/mem", "about a process"),
        ("/proc/net/arp", "about a process"),
        ("/proc/kcore", "the memory of the host"),
        ("/proc/kmsg", "the kernel log"),
        ("/proc/sys/fs/binfmt_misc/register", "another file system"),
        ("/sys/kernel/debug", "another file system"),
        ("/sys/fs/cgroup/x", "another file system"),
        ("/sys/class/*/x", "a `*`"),
        (deep.as_str(), "more than 12 names"),
        (long.as_str(), "more than 43 bytes"),
    ] {
        let error = check(Path::new(path)).unwrap_err();
        assert!(error.contains(says), "{path}: {error}");
    }
    assert_eq!(paths(&["/sys//class/./hwmon/"]), [Path::new("/sys/class/hwmon")]);
    assert!(
        check(Path::new("/proc/kcores")).is_ok()
            && check(Path::new("/sys/kernel/debugging")).is_ok()
    );
}

#[test]
fn links_in_a_listed_directory_of_links_are_followed_and_no_others() {
    let host = Links(&[
        ("/sys/class/hwmon/hwmon0", "/sys/devices/platform/t.0/hwmon/hwmon0"),
        ("/sys/class/hwmon/hwmon1", "/sys/devices/a/b/c/d/e/f/g/h/i/j/k/l/hwmon1"),
        ("/sys/class/dmi/id", "/sys/devices/virtual/dmi/id"),
        ("/sys/devices/virtual/dmi/id/subsystem", "/sys/class/dmi"),
        ("/proc/device-tree", "/sys/firmware/devicetree/base"),
    ]);
    let found = resolve(
        &paths(&["/sys/class/hwmon", "/sys/class/dmi/id", "/proc/device-tree", "/proc/missing"]),
        &host,
    );
    let wanted = [
        "/proc/device-tree",
        "/proc/missing",
        "/sys/class/dmi/id",
        "/sys/class/hwmon",
        "/sys/devices/platform/t.0/hwmon/hwmon0",
        "/sys/devices/virtual/dmi/id",
        "/sys/firmware/devicetree/base",
    ];
    assert_eq!(found.paths, wanted.map(PathBuf::from));
    assert!(
        found.left_out.len() == 1 && found.left_out[0].contains("more than 12 names"),
        "{:?}",
        found.left_out
    );
}

#[test]
fn the_walk_finds_what_is_listed_with_all_below_and_nothing_beside() {
    let set = Set::of(&paths(&[
        "/proc/kallsyms",
        "/sys/devices/virtual/dmi/id",
        "/sys/devices/virtual/mem",
    ]));
    for path in [
        "/proc/kallsyms",
        "/sys/devices/virtual/dmi/id",
        "/sys/devices/virtual/dmi/id/product_uuid",
        "/sys/devices/virtual/mem/a/b",
    ] {
        assert!(readable(&set, path), "{path}");
    }
    for path in [
        "/proc/keys",
        "/proc/kallsyms2",
        "/sys/kallsyms",
        "/sys/devices",
        "/sys/devices/virtual/dmi",
        "/sys/devices/virtual/dmi/id2",
    ] {
        assert!(!readable(&set, path), "{path}");
    }
    assert_ne!(set.hash, Set::of(&paths(&["/proc/kallsyms"])).hash);
}

#[test]
fn a_path_below_another_one_makes_no_difference() {
    let host = Links(&[]);
    let found = resolve(&paths(&["/sys/a/b", "/sys/a", "/sys/a-b", "/sys/a/b/c"]), &host);
    assert_eq!(found.paths, ["/sys/a", "/sys/a-b"].map(PathBuf::from));
}

fn a_path() -> impl Strategy<Value = PathBuf> {
    (prop::sample::select(vec!["/proc", "/sys"]), prop::collection::vec("[ab]{1,2}", 1..5))
        .prop_map(|(root, names)| PathBuf::from(format!("{root}/{}", names.join("/"))))
}

proptest! {
    #[test]
    fn the_walk_says_what_the_paths_say(listed in prop::collection::vec(a_path(), 0..6), path in a_path()) {
        let set = Set::of(&resolve(&listed, &Links(&[])).paths);
        let wanted = listed.iter().any(|above| path.starts_with(above));
        prop_assert_eq!(readable(&set, path.to_str().unwrap()), wanted);
        prop_assert!(set.entries.iter().all(|(node, _, rule)| *node < set.count && rule.node < set.count));
    }
}
