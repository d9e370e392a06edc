//! Any message in the engine's log: one object, one line, and the message as it was.
#![no_main]

use std::ffi::OsStr;

use libfuzzer_sys::fuzz_target;
use lockc_runc_wrapper::log;

fuzz_target!(|input: (&str, u64)| {
    let (message, seconds) = input;
    let level = if seconds % 2 == 0 { "error" } else { "warning" };
    let time = log::rfc3339(seconds % (400 * 366 * 86_400));
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
