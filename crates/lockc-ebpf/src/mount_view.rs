//! A mount as the hooks see it, and the mount namespaces.

use lockc_core::{
    fields::{MntNamespace, Mount, SuperBlock, Vfsmount},
    pointers::{ProbePtr, Ptr},
};

use crate::label;

/// `MNT_NS_INTERNAL`, fs/mount.h: `ERR_PTR(-EINVAL)`. Mounts of the kernel's own, which no path
/// leads to: pipes, memfds, anonymous inodes, and the layers below an overlayfs.
pub const MNT_NS_INTERNAL: ProbePtr<MntNamespace> = ProbePtr::new(-22i64 as u64);

/// A mount, with what most hooks need of it.
pub struct MountView {
    pub mnt: Ptr<Vfsmount>,
    pub sb: Ptr<SuperBlock>,
    /// The magic number of its file system.
    pub magic: u64,
}

impl MountView {
    #[inline(always)]
    pub fn new(mnt: Ptr<Vfsmount>) -> Self {
        let sb = mnt.sb();
        Self { mnt, sb, magic: sb.magic() }
    }
}

/// The namespace that a mount is in.
#[inline(always)]
pub fn mount_ns(mnt: ProbePtr<Vfsmount>) -> Result<ProbePtr<MntNamespace>, i32> {
    mnt.container::<Mount>().ns()
}

/// Whether a mount has been attached to another: fsmount(2) makes one that is not.
#[inline(always)]
pub fn is_attached(mnt: Ptr<Vfsmount>) -> Result<bool, i32> {
    let mount = mnt.probe().container::<Mount>();
    Ok(mount.parent()? != mount)
}

/// The current task's mount namespace.
#[inline(always)]
pub fn own_mount_ns() -> ProbePtr<MntNamespace> {
    label::current().nsproxy().mnt_ns().probe()
}
