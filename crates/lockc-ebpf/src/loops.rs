//! Loops whose body the verifier checks once instead of once per iteration.
//!
//! Use them only for bodies with few branches: since 6.7 the verifier merges no paths within a loop
//! that it has not finished, so the number of paths through the body counts, not its length.
//!
//! Kernels before 6.7 check one iteration only and take its state for that after the loop
//! (kernel/bpf/verifier.c, 6.1, `set_loop_callback_state`; the fix is ab5cfac139ab). So a state may
//! hold flags that an iteration sets to a constant or does not change, and addresses; never a
//! count.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::bpf_loop;

/// What a round says: whether there is another one.
pub type Next = i64;
pub const GO_ON: Next = 0;
pub const STOP: Next = 1;

/// Runs rounds, numbered from 0, until one says [`STOP`], at most `times`. False: the kernel
/// refused.
#[inline(always)]
pub fn rounds<S>(times: u32, round: extern "C" fn(u64, &mut S) -> Next, state: &mut S) -> bool {
    // SAFETY: the kernel calls `round` with the pointer that it is granted here, which outlives the
    // call.
    unsafe { bpf_loop(times, round as *mut c_void, core::ptr::from_mut(state).cast(), 0) >= 0 }
}
