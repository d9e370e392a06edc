//! Devices: the default ones, and those in the container's specification, however the node was
//! created.
//!
//! file_open checks opening a node. path_mknod checks creating one: on a volume, the host could
//! open it.

use lockc_core::{
    abi::{ANY_MINOR, FileId, GRANT_DEVICE, GrantKey, Hook, is_default_device},
    fields::{Dentry, File},
    pointers::{ProbePtr, Ptr},
    rules::Rule,
};

use crate::{
    granted, kernel_log,
    linux::{S_IFBLK, S_IFCHR, S_IFMT},
    verdict::{self, About, EPERM, Subject},
};

/// include/linux/kdev_t.h
const MINOR_BITS: u32 = 20;

/// `device` is in the kernel's own encoding.
#[inline(always)]
pub fn is_granted(who: &Subject, block: bool, device: u32) -> bool {
    let (major, minor) = (device >> MINOR_BITS, device & ((1 << MINOR_BITS) - 1));
    (!block && is_default_device(major, minor))
        || granted::grant(&GrantKey::device(who.key, block, major, minor)) & GRANT_DEVICE != 0
        || granted::grant(&GrantKey::device(who.key, block, major, ANY_MINOR)) & GRANT_DEVICE != 0
}

/// Checks the opening of a device.
#[inline(always)]
pub fn check_open(who: &Subject, file: Ptr<File>, block: bool, device: u32) -> i32 {
    if !block && device == kernel_log::DEV_KMSG {
        return if who.has(Rule::KernelLog) {
            verdict::deny(who, Rule::KernelLog, Hook::file_open, About::file(file), EPERM)
        } else {
            0
        };
    }
    if !who.has(Rule::Device) || is_granted(who, block, device) {
        return 0;
    }
    // The specification granted a node that is bound by itself, or a terminal as standard input.
    let dentry = file.dentry();
    if dentry == file.mnt().root() || granted::is_stdio(dentry) {
        return 0;
    }
    verdict::deny(who, Rule::Device, Hook::file_open, About::file(file), EPERM)
}

/// Checks the making of a node; `device` is in the encoding of mknod(2) (include/linux/kdev_t.h,
/// `new_decode_dev`).
#[inline(always)]
pub fn check_mknod(who: &Subject, dentry: ProbePtr<Dentry>, mode: u16, device: u32) -> i32 {
    let block = match mode & S_IFMT {
        S_IFCHR => false,
        S_IFBLK => true,
        _ => return 0,
    };
    let (major, minor) = (device >> 8 & 0xfff, device & 0xff | device >> 12 & 0xfff00);
    // overlayfs marks a removed file with the device 0:0, which nothing answers to.
    let nothing = !block && device == 0;
    if !who.has(Rule::Device) || nothing || is_granted(who, block, major << MINOR_BITS | minor) {
        return 0;
    }
    let about = About { dentry, file: FileId::default(), arg: u64::from(device) };
    verdict::deny(who, Rule::Device, Hook::path_mknod, about, EPERM)
}
