//! The mount family, by both interfaces, with every capability that it needs.

use libc::EPERM;

use super::{Row, Test, both, denied, row};
use crate::bundle::Bundle;

fn admin(bundle: Bundle) -> Bundle {
    bundle.admin()
}

const fn mount(args: &'static [&'static str]) -> Test {
    denied(args, admin, "test", EPERM, "mount")
}

pub const ROWS: &[Row] = &[
    both("mounts/tmpfs", mount(&["mount", "tmpfs", "/mnt/x"])).core(),
    row("mounts/proc", mount(&["mount", "proc", "/mnt/x"])),
    row("mounts/sysfs", mount(&["mount", "sysfs", "/mnt/x"])),
    row("mounts/bind", mount(&["bind", "/bin", "/mnt/x"])),
    row("mounts/rbind", mount(&["rbind", "/", "/mnt/x"])),
    row("mounts/remount", mount(&["remount", "/mnt/a"])),
    row("mounts/remount-super", mount(&["remount-super", "/mnt/a"])),
    row("mounts/propagation", mount(&["propagation", "/mnt/a"])),
    row("mounts/move", mount(&["move", "/mnt/a", "/mnt/x"])),
    row("mounts/umount", mount(&["umount", "/mnt/a"])),
    row("mounts/fsopen", mount(&["fsopen", "tmpfs"])),
    both("mounts/new-api-fsmount", mount(&["fsmount", "tmpfs", "."])).core().thorough_with_runc(),
    row("mounts/new-api-fsmount-proc", mount(&["fsmount", "proc", "uptime"])),
    row("mounts/new-api-fsmount-sysfs", mount(&["fsmount", "sysfs", "fs"])),
    row("mounts/new-api-move", mount(&["fsmount-move", "tmpfs", "/mnt/x"])),
    row("mounts/new-api-open-tree", mount(&["open-tree", "/mnt/a", "."])),
    row("mounts/new-api-open-tree-move", mount(&["open-tree-move", "/mnt/a", "/mnt/x"])),
    row("mounts/new-api-setattr", mount(&["mount-setattr", "/mnt/a"])),
    row("mounts/new-api-fspick", mount(&["fspick", "/mnt/a"])),
    both("mounts/pivot-root", mount(&["pivot-root", "/mnt/a"])).core().thorough_with_runc(),
    row("mounts/unshare", mount(&["unshare", "mnt", "mount", "tmpfs", "/mnt/x"])),
    row("mounts/unshare-remount-root", mount(&["unshare", "mnt", "remount", "/"])),
    // No capability of the host's: those of a user namespace of its own.
    row(
        "mounts/userns",
        denied(
            &["unshare", "user,mnt", "mount", "tmpfs", "/mnt/x"],
            super::same,
            "nesting",
            EPERM,
            "mount",
        ),
    ),
    row(
        "mounts/userns-new-api",
        denied(
            &["unshare", "user,mnt", "fsmount", "tmpfs", "."],
            super::same,
            "nesting",
            EPERM,
            "mount",
        ),
    ),
    row("mounts/thread", mount(&["thread", "mount", "tmpfs", "/mnt/x"])),
    row(
        "mounts/restricted",
        denied(
            &["unshare", "user,mnt", "mount", "tmpfs", "/mnt/x"],
            |b| b.user(1000),
            "tight-nesting",
            EPERM,
            "mount",
        ),
    ),
];
