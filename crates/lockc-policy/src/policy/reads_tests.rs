//! Paths that a policy can let its containers read, what they lead to, and the kernel side's walk
//! over the result.

use super::*;
use crate::host::fake::FakeHost;

/// A host with these links.
fn host(links: &[(&str, &str)]) -> FakeHost {
    let mut host = FakeHost::default();
    for (from, to) in links {
        host.link(from, to);
    }
    host
}

fn paths(texts: &[&str]) -> Vec<PathBuf> {
    texts.iter().map(|text| check(Path::new(text)).unwrap()).collect()
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
        ("/proc", "the whole file system"),
        ("/sys/", "the whole file system"),
        ("/proc/1/environ", "describes a process"),
        ("/proc/self/mem", "describes a process"),
        ("/proc/net/arp", "describes a process"),
        ("/proc/kcore", "the memory of the host"),
        ("/proc/kmsg", "the kernel log"),
        ("/proc/sys/fs/binfmt_misc/register", "another file system"),
        ("/sys/kernel/debug", "another file system"),
        ("/sys/fs/cgroup/x", "another file system"),
        ("/sys/class/*/x", "a `*`"),
        (deep.as_str(), "more than 12 components"),
        (long.as_str(), "longer than 43 bytes"),
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
    let host = host(&[
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
        found.left_out.len() == 1 && found.left_out[0].contains("more than 12 components"),
        "{:?}",
        found.left_out
    );
}

#[test]
fn a_path_below_another_one_makes_no_difference() {
    let host = host(&[]);
    let found = resolve(&paths(&["/sys/a/b", "/sys/a", "/sys/a-b", "/sys/a/b/c"]), &host);
    assert_eq!(found.paths, ["/sys/a", "/sys/a-b"].map(PathBuf::from));
}
