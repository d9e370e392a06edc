//! Any configuration of a bundle: read or refused, and a stricter level never admits what a looser
//! one refuses.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use lockc_core::rules::Level;
use lockc_policy::{
    admission,
    config::Settings,
    engines::{Engines, Request},
    host::fake::FakeHost,
    policy::Policy,
    spec::{Spec, strict},
};

fuzz_target!(|data: &[u8]| {
    // Whatever the specification's own reading understands, lockc's sees the same, or refuses it.
    assert_eq!(strict::difference(data).unwrap_or_default(), None);
    let Ok(spec) = Spec::parse(data, Path::new("config.json")) else { return };
    let request = Request {
        id: "c1",
        bundle: Path::new("/b"),
        spec: &spec,
        restore: false,
        engine: None,
        sandbox: false,
    };
    let host = FakeHost { host_namespaces: vec!["/proc/1".into()], ..FakeHost::default() };
    let admitted = |level| {
        let policy = Policy::for_level(level, "fuzzing");
        admission::admit(&request, &policy, &Settings::default(), &Engines::default(), &host)
            .is_ok()
    };
    let [privileged, baseline, restricted] =
        [Level::Privileged, Level::Baseline, Level::Restricted].map(admitted);
    assert!(privileged >= baseline && baseline >= restricted);
});
