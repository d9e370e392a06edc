//! Reading kernel structs: offsets come from the loader, see `lockc_core::fields`.
//!
//! Two ways: [`follow`] and [`load`] are plain loads, which the verifier accepts from a pointer
//! whose type it knows and whose faults the kernel handles (they read 0); [`read`] asks a helper,
//! costs about five times as much, and takes any address.

use core::{arch::asm, ptr};

use aya_ebpf::helpers::{bpf_probe_read_kernel, generated::bpf_probe_read_kernel as read_raw};

lockc_core::declare_field_globals!();
lockc_core::declare_overlay_globals!();

/// Bytes of `struct ovl_layer`, set by the loader; 0: the layout of overlayfs is not known.
#[unsafe(no_mangle)]
pub static OVL_LAYER_SIZE: u64 = 0;

/// Set by the loader on kernels before 6.2, where `bpf_task_storage_get` may fail on contention
/// (kernel/bpf/bpf_task_storage.c, 6.1: `bpf_task_storage_trylock`).
#[unsafe(no_mangle)]
pub static STORAGE_MAY_FAIL: u64 = 0;

/// Set by the loader on kernels since 6.7, whose verifier follows `bpf_loop` to its end
/// (kernel/bpf/verifier.c, `is_callback_iter_next`).
#[unsafe(no_mangle)]
pub static FOLLOWS_LOOPS: u64 = 0;

/// Set by the loader where `inode_setattr` has an idmap before its other arguments.
#[unsafe(no_mangle)]
pub static SETATTR_HAS_IDMAP: u64 = 0;

/// Set by the loader where another security module keeps labels in `security.*` attributes and
/// decides about them.
#[unsafe(no_mangle)]
pub static HAS_LABELS: u64 = 0;

/// The offset that the loader wrote.
#[inline(always)]
pub fn offset(global: &u64) -> usize {
    // SAFETY: a valid reference; volatile, because the compiler must not fold the initial 0.
    unsafe { ptr::read_volatile(global) as usize }
}

/// A kernel object. The verifier knows its type if it came from a hook's argument or from
/// [`follow`].
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Obj(pub *const u8);

impl Obj {
    #[inline(always)]
    pub fn is_null(self) -> bool {
        self.0.is_null()
    }

    #[inline(always)]
    pub fn addr(self) -> u64 {
        self.0 as u64
    }
}

/// The pointer in a field of a typed object.
#[inline(always)]
pub fn follow(obj: Obj, field: &u64) -> Obj {
    Obj(load::<*const u8>(obj, field))
}

/// A number in a field of a typed object.
#[inline(always)]
pub fn load<T>(obj: Obj, field: &u64) -> T {
    // SAFETY: the verifier proves the load, and the kernel turns a fault into a read of 0.
    unsafe { ptr::read_volatile(obj.0.wrapping_add(offset(field)).cast::<T>()) }
}

/// A value in a field of any kernel object; an error where the address cannot be read.
#[inline(always)]
pub fn read<T>(addr: u64, field: &u64) -> Result<T, i32> {
    let address = addr.wrapping_add(offset(field) as u64) as *const T;
    // SAFETY: the helper checks the address.
    unsafe { bpf_probe_read_kernel(address) }
}

/// Copies a value so that the verifier forgets what it knows of it: it would follow what comes next
/// once for each value that a part of it may have. False: the kernel did not copy.
#[inline(always)]
pub fn forget<T: Copy>(from: &T, to: &mut T) -> bool {
    let size = size_of::<T>() as u32;
    // SAFETY: both have that size, and the kernel's stack may be read.
    unsafe { read_raw(ptr::from_mut(to).cast(), size, ptr::from_ref(from).cast()) == 0 }
}

/// Adds to a number in a map and returns what it was before. Rust has no atomic arithmetic for this
/// target.
///
/// # Safety
///
/// `cell` must be an aligned cell of a map.
#[inline(always)]
pub unsafe fn fetch_add(cell: *mut u64, value: u64) -> u64 {
    let mut value = value;
    // SAFETY: by the caller; the verifier checks it once more.
    unsafe {
        asm!("{value} = atomic_fetch_add((u64 *)({cell} + 0), {value})", cell = in(reg) cell, value = inout(reg) value);
    }
    value
}
