//! Typed pointers to kernel structs.
//!
//! The table in [`fields`](crate::fields) declares the structs, their members and the types of the
//! members. Each member is a method of two pointer types:
//!
//! - [`Ptr`]: the verifier knows the type of what it points to, because it came from a hook's
//!   argument or from another `Ptr`. A member is a plain load; the kernel turns a fault into a read
//!   of 0.
//! - [`ProbePtr`]: any address. A member is read by the helper `bpf_probe_read_kernel`, costs about
//!   five times as much, and is an error where the address cannot be read.
//!
//! ```no_run
//! use lockc_core::{fields::Dentry, pointers::{ProbePtr, Ptr}};
//!
//! fn device(dentry: Ptr<Dentry>) -> u32 {
//!     dentry.sb().dev()
//! }
//!
//! fn device_by_probe(dentry: ProbePtr<Dentry>) -> Result<u32, i32> {
//!     dentry.sb()?.dev()
//! }
//! ```
//!
//! A member of another struct does not compile:
//!
//! ```compile_fail,E0599
//! # use lockc_core::{fields::Dentry, pointers::Ptr};
//! fn device(dentry: Ptr<Dentry>) -> u32 {
//!     dentry.dev() // a member of `struct super_block`
//! }
//! ```
//!
//! Neither does another width than the table's:
//!
//! ```compile_fail,E0308
//! # use lockc_core::{fields::Dentry, pointers::Ptr};
//! fn device(dentry: Ptr<Dentry>) -> u64 {
//!     dentry.sb().dev() // 32 bits
//! }
//! ```
//!
//! Nor a pointer to another struct:
//!
//! ```compile_fail,E0308
//! # use lockc_core::{fields::{Dentry, Inode}, pointers::Ptr};
//! fn parent(dentry: Ptr<Dentry>) -> Ptr<Inode> {
//!     dentry.parent()
//! }
//! ```
//!
//! Nor a read by probe that is used like a typed load, or whose error is ignored:
//!
//! ```compile_fail,E0308
//! # use lockc_core::{fields::{Dentry, SuperBlock}, pointers::{ProbePtr, Ptr}};
//! fn superblock(dentry: ProbePtr<Dentry>) -> Result<Ptr<SuperBlock>, i32> {
//!     dentry.sb()
//! }
//! ```
//!
//! ```compile_fail,E0599
//! # use lockc_core::{fields::Dentry, pointers::ProbePtr};
//! fn device(dentry: ProbePtr<Dentry>) -> Result<u32, i32> {
//!     dentry.sb().dev()
//! }
//! ```

use core::{ffi::c_void, marker::PhantomData, mem::MaybeUninit, ptr};

/// A pointer whose target's type the verifier knows.
#[repr(transparent)]
pub struct Ptr<T>(*const T);

/// The address of a `T` in kernel memory, which only a helper may read.
#[repr(transparent)]
pub struct ProbePtr<T>(u64, PhantomData<*const T>);

impl<T> Clone for Ptr<T> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Ptr<T> {}

impl<T> PartialEq for Ptr<T> {
    #[inline(always)]
    fn eq(&self, other: &Self) -> bool {
        self.addr() == other.addr()
    }
}

impl<T> Clone for ProbePtr<T> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for ProbePtr<T> {}

impl<T> PartialEq for ProbePtr<T> {
    #[inline(always)]
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<T> Ptr<T> {
    /// Points to nothing.
    pub const NULL: Self = Self(ptr::null());

    /// Any address, 0 for null.
    ///
    /// # Safety
    ///
    /// The verifier must know that the address, unless it is 0, is that of a `T`.
    #[inline(always)]
    pub const unsafe fn new(address: *const c_void) -> Self {
        Self(address.cast())
    }

    /// Whether it points to nothing.
    #[inline(always)]
    pub fn is_null(self) -> bool {
        self.0.is_null()
    }

    /// The address, which may be compared and stored.
    #[inline(always)]
    pub fn addr(self) -> u64 {
        self.0 as u64
    }

    /// The same pointer for a helper that wants the object.
    #[inline(always)]
    pub fn as_ptr(self) -> *mut c_void {
        self.0.cast_mut().cast()
    }

    /// The same address, read by probe.
    #[inline(always)]
    pub fn probe(self) -> ProbePtr<T> {
        ProbePtr::new(self.addr())
    }

    /// Loads a member. `V` is the member's type in the table.
    #[inline(always)]
    pub(crate) fn load<V>(self, offset: u64) -> V {
        // SAFETY: the verifier proves the load, and the kernel turns a fault into a read of 0.
        unsafe { ptr::read_volatile(self.0.cast::<u8>().wrapping_add(offset as usize).cast()) }
    }
}

impl<T> ProbePtr<T> {
    /// Points to nothing.
    pub const NULL: Self = Self::new(0);

    /// Any address; the helper checks it.
    #[inline(always)]
    pub const fn new(address: u64) -> Self {
        Self(address, PhantomData)
    }

    /// Whether it points to nothing.
    #[inline(always)]
    pub const fn is_null(self) -> bool {
        self.0 == 0
    }

    /// The address, which may be compared and stored.
    #[inline(always)]
    pub const fn addr(self) -> u64 {
        self.0
    }

    /// The struct in which this one is embedded: the kernel's `container_of`.
    #[inline(always)]
    pub fn container<S: Embeds<T>>(self) -> ProbePtr<S> {
        ProbePtr::new(self.0.wrapping_sub(S::offset()))
    }

    /// The struct that begins with this one.
    #[inline(always)]
    pub fn downcast<S: BeginsWith<T>>(self) -> ProbePtr<S> {
        ProbePtr::new(self.0)
    }

    /// The address that many bytes further on: an element of an array.
    #[inline(always)]
    pub const fn byte_add(self, bytes: u64) -> Self {
        Self::new(self.0.wrapping_add(bytes))
    }

    /// The address that many bytes before.
    #[inline(always)]
    pub const fn byte_sub(self, bytes: u64) -> Self {
        Self::new(self.0.wrapping_sub(bytes))
    }

    /// Reads a member. `V` is the member's type in the table.
    #[inline(always)]
    pub(crate) fn member<V: Plain>(self, offset: u64) -> Result<V, i32> {
        ProbePtr::new(self.0.wrapping_add(offset)).read()
    }
}

impl<T: Plain> ProbePtr<T> {
    /// Reads the value.
    #[inline(always)]
    pub fn read(self) -> Result<T, i32> {
        let mut value = MaybeUninit::<T>::uninit();
        // SAFETY: `value` has that size, and the helper checks the address.
        let error = unsafe {
            probe_read_kernel(value.as_mut_ptr().cast(), size_of::<T>() as u32, self.0 as *const _)
        };
        // SAFETY: the helper has written it, and every pattern of bits is a `T`.
        if error == 0 { Ok(unsafe { value.assume_init() }) } else { Err(error as i32) }
    }

    /// Reads the first elements of an array, or bytes of a text.
    #[inline(always)]
    pub fn first<const N: usize>(self) -> Result<[T; N], i32> {
        ProbePtr::<[T; N]>::new(self.addr()).read()
    }

    /// The element of an array with that index.
    #[inline(always)]
    pub const fn index(self, index: u64) -> Self {
        self.byte_add(index * size_of::<T>() as u64)
    }
}

/// The helper `bpf_probe_read_kernel` (include/uapi/linux/bpf.h: 113).
#[cfg(target_arch = "bpf")]
#[inline(always)]
unsafe fn probe_read_kernel(to: *mut c_void, size: u32, from: *const c_void) -> i64 {
    // SAFETY: a call to this address is a call of the helper.
    let helper: unsafe extern "C" fn(*mut c_void, u32, *const c_void) -> i64 =
        unsafe { core::mem::transmute(113usize) };
    // SAFETY: by the caller.
    unsafe { helper(to, size, from) }
}

/// There is no helper outside of the kernel: nothing can be read.
#[cfg(not(target_arch = "bpf"))]
unsafe fn probe_read_kernel(_: *mut c_void, _: u32, _: *const c_void) -> i64 {
    -1
}

/// A type of which every pattern of bits is a value.
///
/// # Safety
///
/// By the implementer.
pub unsafe trait Plain: Copy {}

macro_rules! plain {
    ($($type:ty)*) => {
        // SAFETY: integers.
        $(unsafe impl Plain for $type {})*
    };
}

plain!(u8 u16 u32 u64 i32);

// SAFETY: an address.
unsafe impl<T> Plain for ProbePtr<T> {}
// SAFETY: by that of the elements.
unsafe impl<T: Plain, const N: usize> Plain for [T; N] {}

/// What a pointer may point to.
pub trait Target {
    /// The name of the struct in the kernel's BTF; `None`: it is no struct.
    const STRUCT: Option<&'static str>;
}

impl<T: Plain> Target for T {
    const STRUCT: Option<&'static str> = None;
}

/// A struct with a `T` in it.
pub trait Embeds<T> {
    /// At which offset.
    fn offset() -> u64;
}

/// A struct that begins with a `T`.
pub trait BeginsWith<T> {}
