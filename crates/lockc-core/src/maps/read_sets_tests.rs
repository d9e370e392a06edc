//! The kernel side's walk over a set of paths, in user space's words.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

fn paths(texts: &[&str]) -> Vec<PathBuf> {
    texts.iter().map(PathBuf::from).collect()
}

/// Without those that are below another one, as admission resolves a list.
fn above_all(mut listed: Vec<PathBuf>) -> Vec<PathBuf> {
    listed.sort();
    let mut kept: Vec<PathBuf> = Vec::new();
    for path in listed {
        if !kept.iter().any(|above| path.starts_with(above)) {
            kept.push(path);
        }
    }
    kept
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
fn the_walk_finds_what_is_listed_with_all_below_and_nothing_beside() {
    let set = Set::new(&paths(&[
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
    assert_ne!(set.hash, Set::new(&paths(&["/proc/kallsyms"])).hash);
}

#[test]
fn what_the_kernel_side_could_not_compare_is_left_out() {
    let deep = format!("/sys{}", "/a".repeat(READ_DEPTH + 1));
    let long = format!("/proc/{}", "n".repeat(READ_NAME_LEN));
    let set = Set::new(&paths(&[&deep, &long, "/etc/passwd", "/proc", "/sys/a"]));
    assert_eq!(set.entries.len(), 1, "{:?}", set.entries);
}

fn a_path() -> impl Strategy<Value = PathBuf> {
    (prop::sample::select(vec!["/proc", "/sys"]), prop::collection::vec("[ab]{1,2}", 1..5))
        .prop_map(|(root, names)| PathBuf::from(format!("{root}/{}", names.join("/"))))
}

proptest! {
    #[test]
    fn the_walk_says_what_the_paths_say(listed in prop::collection::vec(a_path(), 0..6),
        path in a_path()) {
        let set = Set::new(&above_all(listed.clone()));
        let wanted = listed.iter().any(|above| path.starts_with(above));
        prop_assert_eq!(readable(&set, path.to_str().unwrap()), wanted);
        prop_assert!(set.entries.iter().all(|(node, _, rule)| *node < set.count
            && rule.node < set.count));
    }
}
