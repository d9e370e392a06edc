//! Settings that the loader writes for the running kernel, and reads that the typed pointers of
//! `lockc_core::pointers` do not cover.

use core::{arch::asm, ptr};

use aya_ebpf::helpers::generated::{bpf_probe_read_kernel, bpf_probe_read_kernel_str};
use lockc_core::pointers::{Plain, ProbePtr};

lockc_core::declare_offsets!();
lockc_core::declare_overlay_offsets!();

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

/// The value that the loader wrote.
#[inline(always)]
pub fn setting(global: &u64) -> u64 {
    // SAFETY: a valid reference; volatile, because the compiler must not fold the initial 0.
    unsafe { ptr::read_volatile(global) }
}

/// Reads a text of the kernel with its terminating zero, cut at the length of `to`. Returns the
/// length with the zero, or a negative errno.
#[inline(always)]
pub fn read_text<T: Plain>(to: &mut T, from: ProbePtr<u8>) -> i64 {
    let (to, size) = (ptr::from_mut(to).cast(), size_of::<T>() as u32);
    // SAFETY: the helper checks the address and writes at most the length of `to`.
    unsafe { bpf_probe_read_kernel_str(to, size, from.addr() as *const _) }
}

/// Copies a value so that the verifier forgets what it knows of it: otherwise it follows the rest
/// of the program once for each value that a part of it may have. False: the kernel did not copy.
#[inline(always)]
pub fn forget<T: Plain>(from: &T, to: &mut T) -> bool {
    let size = size_of::<T>() as u32;
    // SAFETY: both have that size, and the kernel's stack may be read.
    unsafe {
        bpf_probe_read_kernel(ptr::from_mut(to).cast(), size, ptr::from_ref(from).cast()) == 0
    }
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
        asm!(
            "{value} = atomic_fetch_add((u64 *)({cell} + 0), {value})",
            cell = in(reg) cell,
            value = inout(reg) value
        );
    }
    value
}
