//! Any message in the engine's log: one object, one line, and the message as it was.
#![no_main]

use std::ffi::OsStr;

use libfuzzer_sys::fuzz_target;
use lockc_runc_wrapper::log;

fuzz_target!(|input: (&str, bool)| {
    let (message, is_error) = input;
    let level = if is_error { "error" } else { "warning" };
    let time = log::now();
    assert_eq!((time.len(), time.as_bytes()[10], time.as_bytes()[19]), (20, b'T', b'Z'));
    let json = log::entry(Some(OsStr::new("json")), level, message, &time);
    let object: serde_json::Value = serde_json::from_str(&json).expect("one object");
    assert_eq!(
        (&object["msg"], &object["level"], &object["time"]),
        (&message.into(), &level.into(), &time.as_str().into())
    );
    let text = log::entry(None, level, message, &time);
    for entry in [&json, &text] {
        assert_eq!(entry.matches('\n').count(), 1, "{entry}");
    }
});
