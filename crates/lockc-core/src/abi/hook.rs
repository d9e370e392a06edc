//! Where an event or an internal error comes from.

macro_rules! hooks {
    ($($name:ident)*) => {
        /// The hook (or the place in one) that an event or an internal error comes from. The number of each is its place
        /// in this list: new ones come at the end.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u32)]
        #[allow(missing_docs)] // each is named after the LSM hook of include/linux/lsm_hook_defs.h
        pub enum Hook {
            $($name,)*
        }

        impl Hook {
            /// Every hook, in the order of the values.
            pub const ALL: &[Self] = &[$(Self::$name,)*];
        }
    };
}

hooks! {
    TaskAlloc TaskFree BprmCommittedCreds BprmCheckSecurity SbStatfs SbKernMount SbMount SbUmount SbRemount
    SbPivotroot MoveMount Capable Syslog FileOpen SocketPostCreate SocketCreate UnixStreamConnect UnixMaySend
    PtraceAccessCheck TaskKill TaskSetrlimit TaskSetscheduler TaskSetnice TaskSetioprio TaskMovememory UsernsCreate
    Bpf PerfEventOpen KernelModuleRequest KernelReadFile KernelLoadData LockedDown KeyAlloc KeyPermission Settime
    Quotactl QuotaOn BprmCredsFromFile TaskFixSetuid InodeInitSecurityAnon SocketConnect SocketBind SocketListen
    SocketAccept SocketSendmsg SocketRecvmsg FileReceive MmapFile PathMknod
    PathMkdir PathRmdir PathUnlink PathRename PathLink PathSymlink PathTruncate PathChmod PathChown PathChroot
    PathNotify InodeGetattr InodeSetattr InodeSetxattr InodeRemovexattr InodeGetxattr InodeListxattr InodeReadlink
    InodeSetAcl InodeRemoveAcl InodeGetAcl InodeFileGetattr InodeFileSetattr
    BpfMap FileMprotect InodeFreeSecurity SocketSetsockopt UringOverrideCreds UringSqpoll TaskFixSetgid FileFcntl TaskPrlimit
    FileIoctl FileIoctlCompat InodeRename BprmCredsForExec
    ShmAllocSecurity SemAllocSecurity MsgQueueAllocSecurity ShmFreeSecurity SemFreeSecurity MsgQueueFreeSecurity
    IpcPermission ShmShmctl SemSemctl MsgQueueMsgctl InodeCreate InodeUnlink
}

impl Hook {
    /// The hook of a raw value from an event, if it is one.
    pub fn from_raw(raw: u32) -> Option<Self> {
        Self::ALL.get(raw as usize).copied()
    }
}
