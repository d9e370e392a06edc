//! Any command line: arguments separated by NUL bytes, as in /proc/PID/cmdline.
#![no_main]

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::OsStrExt as _,
};

use libfuzzer_sys::fuzz_target;
use lockc_runc_wrapper::{argv, invocation::Call};

fuzz_target!(|data: &[u8]| {
    let args: Vec<OsString> =
        data.split(|byte| *byte == 0).map(|arg| OsStr::from_bytes(arg).to_owned()).collect();
    let (invocation, result) = argv::parse(&args);
    // The runtime gets what the engine wrote, in its order, without lockc's own.
    let mut rest = args.iter();
    assert!(invocation.passed.iter().all(|passed| rest.any(|arg| arg == passed)));
    if result.is_ok() {
        let id = match &invocation.call {
            Call::Create(start) => Some(&start.id),
            Call::Exec(exec) => Some(&exec.id),
            _ => None,
        };
        assert!(id.is_none_or(|id| invocation.passed.iter().any(|arg| arg == OsStr::new(id))));
    }
});
