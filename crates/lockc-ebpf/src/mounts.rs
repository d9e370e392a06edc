//! Mounts: the runtime creates a container's mounts, and the container changes none of them. Calls
//! without a hook need CAP_SYS_ADMIN, which `creds` denies.

use crate::{
    hook::lsm,
    verdict::{About, EPERM},
};

lsm! {
    /// mount(2): new, bind, move, remount, propagation.
    fn sb_mount(_dev_name, _path, _type, flags: u64, _data) -> rule Mount |check| {
        check.deny(About::number(flags), EPERM)
    }

    /// umount(2).
    fn sb_umount(_mnt, _flags) -> rule Mount |check| {
        check.deny(About::NOTHING, EPERM)
    }

    /// fsconfig(FSCONFIG_CMD_RECONFIGURE).
    fn sb_remount(_sb, _mnt_opts) -> rule Mount |check| {
        check.deny(About::NOTHING, EPERM)
    }

    /// pivot_root(2).
    fn sb_pivotroot(_old_path, _new_path) -> rule Mount |check| {
        check.deny(About::NOTHING, EPERM)
    }

    /// move_mount(2).
    fn move_mount(_from_path, _to_path) -> rule Mount |check| {
        check.deny(About::NOTHING, EPERM)
    }
}
