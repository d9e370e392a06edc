//! [`lsm!`]: one LSM program.
//!
//! ```text
//! lsm! {
//!     /// Signals.
//!     fn task_kill(target: Ptr<Task>, _info, signal: i32, _cred) -> rule Process |check| {
//!         ...
//!     }
//! }
//! ```
//!
//! The name is that of the hook, whose row in `lockc_core::hooks` must exist: `HOOK` in the body is
//! its number. The parameters are those of include/linux/lsm_hook_defs.h; one without a type is not
//! read. An earlier denial by another program stands: its verdict follows the last parameter. `..`
//! leaves the rest of the parameters out, and with them the earlier verdict: kernels differ in the
//! parameters of some hooks, and no kernel calls another program once one has denied. `NAME @ ..`
//! is the context itself.
//!
//! The body returns 0 or a negative errno. It runs
//!
//! - `-> rule RULE |check|`: for a confined task whose container is under that rule;
//! - `-> confined |who|`: for every confined task;
//! - `-> verdict`: for every task;
//! - `-> void`: for every task, if the kernel ignores the result.

use core::{arch::asm, ffi::c_void};

use lockc_core::{
    abi::Hook,
    pointers::{ProbePtr, Ptr},
    rules::Rule,
};

use crate::verdict::{self, About, Subject};

/// What a program checks, and for whom. The subject is apart: where its address goes to a loop, the
/// rest needs no place on the stack.
pub struct Check<'a> {
    pub who: &'a Subject,
    pub rule: Rule,
    pub hook: Hook,
}

impl Check<'_> {
    /// Denies (in audit mode: only reports) and notes it in the record.
    #[inline(always)]
    pub fn deny(&self, about: About, errno: i32) -> i32 {
        verdict::deny(self.who, self.rule, self.hook, about, errno)
    }

    /// Counts an internal error.
    #[inline(always)]
    pub fn error(&self) {
        verdict::error(self.hook);
    }
}

/// A parameter of a hook.
pub trait Parameter: Sized {
    /// The parameter with that number, from 0.
    ///
    /// # Safety
    ///
    /// `context` must be what the kernel called a program with. The verifier checks the number.
    #[inline(always)]
    unsafe fn read(context: *mut c_void, number: usize) -> Self {
        // SAFETY: by the caller.
        Self::from_register(unsafe { *context.cast::<u64>().add(number) })
    }

    fn from_register(value: u64) -> Self;
}

macro_rules! parameter {
    ($($number:ty)*) => {
        $(impl Parameter for $number {
            #[inline(always)]
            fn from_register(value: u64) -> Self {
                value as Self
            }
        })*
    };
}

parameter!(i32 u32 u64);

impl<T> Parameter for Ptr<T> {
    #[inline(always)]
    fn from_register(value: u64) -> Self {
        // SAFETY: the verifier takes the type of a parameter from the kernel's BTF, and refuses
        // loads from what is no pointer.
        unsafe { Self::new(value as *const c_void) }
    }
}

impl<T> Parameter for ProbePtr<T> {
    #[inline(always)]
    fn from_register(value: u64) -> Self {
        Self::new(value)
    }
}

/// A parameter, read by a separate instruction: of two branches with different numbers the
/// compiler would make one read at a computed place, which the verifier refuses.
///
/// # Safety
///
/// As [`Parameter::read`].
#[inline(always)]
pub unsafe fn parameter_at<const NUMBER: usize, T: Parameter>(context: *mut c_void) -> T {
    let value: u64;
    // SAFETY: by the caller.
    unsafe {
        asm!(
            "{value} = *(u64 *)({context} + {offset})",
            value = out(reg) value,
            context = in(reg) context,
            offset = const NUMBER * 8
        );
    }
    T::from_register(value)
}

/// Reads the parameters that have a type.
macro_rules! read_parameters {
    ($context:ident, $number:expr; $(..)?) => {};
    ($context:ident, $number:expr; $name:ident @ ..) => {
        let $name = $context;
    };
    ($context:ident, $number:expr; $name:ident : $type:ty $(, $($rest:tt)*)?) => {
        // SAFETY: the kernel's context.
        let $name: $type = unsafe { $crate::hook::Parameter::read($context, $number) };
        $crate::hook::read_parameters!($context, $number + 1; $($($rest)*)?);
    };
    ($context:ident, $number:expr; $name:ident $(, $($rest:tt)*)?) => {
        $crate::hook::read_parameters!($context, $number + 1; $($($rest)*)?);
    };
}
pub(crate) use read_parameters;

/// Returns an earlier denial.
macro_rules! keep_denial {
    ($context:ident, $number:expr; $($name:ident @)? ..) => {};
    ($context:ident, $number:expr;) => {
        // SAFETY: the kernel's context.
        let earlier: i32 = unsafe { $crate::hook::Parameter::read($context, $number) };
        if earlier != 0 {
            return earlier;
        }
    };
    ($context:ident, $number:expr; $name:ident $(: $type:ty)? $(, $($rest:tt)*)?) => {
        $crate::hook::keep_denial!($context, $number + 1; $($($rest)*)?);
    };
}
pub(crate) use keep_denial;

/// Declares LSM programs: see the module.
macro_rules! lsm {
    ($($(#[$doc:meta])* fn $name:ident($($parameters:tt)*)
        -> $kind:ident $($rule:ident)? $(|$who:ident|)? $body:block)*) => {$(
        $(#[$doc])*
        #[unsafe(no_mangle)]
        #[unsafe(link_section = concat!("lsm/", stringify!($name)))]
        #[allow(unused_variables)] // the context of a program without parameters
        pub fn $name(context: *mut core::ffi::c_void) -> i32 {
            #[allow(dead_code)]
            const HOOK: lockc_core::abi::Hook = lockc_core::abi::Hook::$name;
            $crate::hook::run!(
                $kind [$($rule)?] [$($who)?] context HOOK [$($parameters)*] $body
            )
        }
    )*};
}
pub(crate) use lsm;

/// The part of a program that its kind decides.
macro_rules! run {
    (rule [$rule:ident] [$check:ident] $context:ident $hook:ident [$($parameters:tt)*]
        $body:block) => {{
        $crate::hook::keep_denial!($context, 0; $($parameters)*);
        $crate::hook::read_parameters!($context, 0; $($parameters)*);
        let rule = lockc_core::rules::Rule::$rule;
        let Some(who) = $crate::verdict::subject_to(rule) else {
            return 0;
        };
        let $check = $crate::hook::Check { who: &who, rule, hook: $hook };
        $body
    }};
    (confined [] [$who:ident] $context:ident $hook:ident [$($parameters:tt)*] $body:block) => {{
        $crate::hook::keep_denial!($context, 0; $($parameters)*);
        let Some($who) = $crate::verdict::confined() else {
            return 0;
        };
        $crate::hook::read_parameters!($context, 0; $($parameters)*);
        $body
    }};
    (verdict [] [] $context:ident $hook:ident [$($parameters:tt)*] $body:block) => {{
        $crate::hook::keep_denial!($context, 0; $($parameters)*);
        $crate::hook::read_parameters!($context, 0; $($parameters)*);
        $body
    }};
    (void [] [] $context:ident $hook:ident [$($parameters:tt)*] $body:block) => {{
        $crate::hook::read_parameters!($context, 0; $($parameters)*);
        #[allow(clippy::redundant_closure_call)]
        (|| $body)();
        0
    }};
}
pub(crate) use run;
