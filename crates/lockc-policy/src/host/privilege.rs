//! Whether this process runs in the host's user namespace. In another one, as with every rootless
//! engine, the pinned maps are unreachable, and the host's root has another uid.

use std::{fs, path::Path};

/// Where this process runs, as far as it decides what lockc can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Privilege {
    /// uid 0 of the host.
    Root,
    /// Another user of the host.
    User(u32),
    /// Any user of a user namespace.
    Namespace,
}

impl Privilege {
    /// Of this process.
    pub fn of_this_process() -> Self {
        let map = own_map();
        match nix::unistd::geteuid().as_raw() {
            _ if !is_initial(&map) => Self::Namespace,
            0 => Self::Root,
            uid => Self::User(uid),
        }
    }
}

/// The number by which files of the host's root are seen here.
pub fn root_uid() -> u32 {
    let map = own_map();
    if is_initial(&map) {
        return 0;
    }
    // A namespace that has the host's root in it was made by the host's root; others see nobody
    // instead.
    let overflow = fs::read_to_string(Path::new("/proc/sys/kernel/overflowuid")).ok();
    lines(&map)
        .find(|[_, outside, _]| *outside == 0)
        .map(|[inside, ..]| inside)
        .or_else(|| overflow?.trim().parse().ok())
        .unwrap_or(65_534)
}

/// The host's number of a user of this namespace; the same where nothing is known of it.
pub fn on_the_host(uid: u32) -> u32 {
    outside(&own_map(), uid)
}

fn own_map() -> String {
    fs::read_to_string("/proc/self/uid_map").unwrap_or_default()
}

fn outside(map: &str, uid: u32) -> u32 {
    let found = lines(map).find_map(|[inside, outside, size]| {
        let offset = uid.checked_sub(inside).filter(|offset| *offset < size)?;
        outside.checked_add(offset)
    });
    found.unwrap_or(uid)
}

/// Without a readable table there is no procfs, and the old answer holds: the caller's own checks
/// decide.
fn is_initial(map: &str) -> bool {
    map.is_empty() || lines(map).any(|line| line == [0, 0, u32::MAX])
}

/// The lines of a `uid_map` (user_namespaces(7)): the first number inside, the first outside, how
/// many.
pub(super) fn lines(map: &str) -> impl Iterator<Item = [u32; 3]> {
    map.lines().filter_map(|line| {
        let mut numbers = line.split_whitespace().map(str::parse);
        Some([numbers.next()?.ok()?, numbers.next()?.ok()?, numbers.next()?.ok()?])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_have_other_numbers_outside() {
        let map = "0 1000 1\n1 100000 65536\n";
        for (inside, there) in [(0, 1000), (1, 100_000), (65_536, 165_535), (65_537, 65_537)] {
            assert_eq!(outside(map, inside), there);
        }
        assert_eq!(outside("0 0 4294967295", 7), 7);
        assert_eq!(outside("", 7), 7);
    }

    #[test]
    fn the_initial_namespace_is_the_one_with_every_user() {
        assert!(is_initial("         0          0 4294967295\n"));
        for map in ["0 1000 1\n1 100000 65536\n", "0 0 65536\n", "0 100000 65536\n"] {
            assert!(!is_initial(map), "{map}");
        }
    }
}
