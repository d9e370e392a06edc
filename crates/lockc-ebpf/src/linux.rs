//! Constants of the kernel that several files use.

/// include/linux/stat.h
pub const S_IFMT: u16 = 0o170_000;
pub const S_IFCHR: u16 = 0o020_000;
pub const S_IFBLK: u16 = 0o060_000;
pub const S_IFDIR: u16 = 0o040_000;
pub const S_IFREG: u16 = 0o100_000;
pub const S_IFIFO: u16 = 0o010_000;
pub const S_IFSOCK: u16 = 0o140_000;

/// include/uapi/linux/magic.h
pub const PROC_SUPER_MAGIC: u64 = 0x9fa0;
pub const SYSFS_MAGIC: u64 = 0x6265_6572;
pub const CGROUP_SUPER_MAGIC: u64 = 0x0027_e0eb;
pub const CGROUP2_SUPER_MAGIC: u64 = 0x6367_7270;
pub const BPF_FS_MAGIC: u64 = 0xcafe_4a11;

/// include/linux/fs.h
pub const FMODE_WRITE: u32 = 2;

/// include/linux/net.h
pub const SOCK_STREAM: u32 = 1;
pub const SOCK_DGRAM: u32 = 2;
pub const SOCK_RAW: u32 = 3;
