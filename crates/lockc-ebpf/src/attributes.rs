//! Attributes `security.*`, which a kernel before 6.10 does not check where BPF LSM is active.
//!
//! The kernel wants CAP_SYS_ADMIN to set or remove one, and CAP_SETFCAP to remove file capabilities
//! (security/commoncap.c, `cap_inode_setxattr`, `cap_inode_removexattr`). Before 6.10 it asks only
//! if no security module answers the hook, and 0, which the BPF LSM always answers, counts as
//! "checked" (security/security.c, 6.1). The VFS checks nothing else: not even the owner of the
//! file (fs/xattr.c, `xattr_permission`). Setting file capabilities has its own check
//! (`cap_convert_nscap`). Since 6.10 the kernel denies before it asks this program.

use lockc_core::{
    abi::Hook,
    fields::{Dentry, Inode},
    pointers::{ProbePtr, Ptr},
    rules::Rule,
};

use crate::{
    creds, kernel,
    verdict::{self, About, EPERM, Subject},
};

/// Length of the longest name that is compared, with its end, in words.
const WORDS: usize = 3;
/// `security.capability`, in words; every name that counts begins with `security.`.
const FILE_CAPABILITIES: [u64; WORDS] = words(b"security.capability\0\0\0\0\0");

/// Checks the name of an attribute that is set.
#[inline(always)]
pub fn check_set(dentry: Ptr<Dentry>, name: ProbePtr<u8>) -> i32 {
    check(dentry, name, Hook::inode_setxattr)
}

/// Checks the name of an attribute that is removed.
#[inline(always)]
pub fn check_remove(dentry: Ptr<Dentry>, name: ProbePtr<u8>) -> i32 {
    check(dentry, name, Hook::inode_removexattr)
}

#[inline(always)]
fn check(dentry: Ptr<Dentry>, name: ProbePtr<u8>, hook: Hook) -> i32 {
    // SELinux and Smack make the kernel's check themselves, and decide about their own labels.
    if kernel::setting(&kernel::HAS_LABELS) != 0 {
        return 0;
    }
    let Some(who) = verdict::subject_to(Rule::Capability) else {
        return 0;
    };
    let mut text = [0u64; WORDS];
    let length = kernel::read_text(&mut text, name);
    let about = About::dentry(dentry.probe());
    if length <= 0 {
        verdict::error(hook);
        return verdict::deny(&who, Rule::Capability, hook, about, EPERM);
    }
    if text[0] != FILE_CAPABILITIES[0] || text[1] as u8 != b'.' {
        return 0;
    }
    let allowed = if text[1] == FILE_CAPABILITIES[1] && text[2] == FILE_CAPABILITIES[2] {
        hook as u32 == Hook::inode_setxattr as u32 || may_remove_capabilities(&who, dentry.inode())
    } else {
        creds::may_administer_in(&who, dentry.sb().user_ns())
    };
    if allowed || creds::kernel_at_work() {
        return 0;
    }
    verdict::deny(&who, Rule::Capability, hook, about, EPERM)
}

#[inline(always)]
fn may_remove_capabilities(who: &Subject, inode: Ptr<Inode>) -> bool {
    !inode.is_null() && creds::may_set_file_capabilities(who, inode.uid())
}

/// A text as words in memory.
const fn words(text: &[u8; WORDS * 8]) -> [u64; WORDS] {
    let mut words = [0; WORDS];
    let mut index = 0;
    while index < WORDS * 8 {
        words[index / 8] |= (text[index] as u64) << (index % 8 * 8);
        index += 1;
    }
    words
}
