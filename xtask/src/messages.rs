//! The messages of the suite's client of the Container Runtime Interface: what prost generates
//! from `runtime.proto`. They are committed, so that a build needs no compiler of protocol buffers.
//!
//! `cargo nextest run -p xtask messages::`

use std::fs;

use crate::root;

#[test]
fn the_committed_messages_are_those_of_the_interface() {
    let directory = root().join("tests/integration/src/it/cri");
    let descriptors = protox::compile(["runtime.proto"], [&directory]).unwrap();
    let out = tempfile::tempdir().unwrap();
    prost_build::Config::new().out_dir(out.path()).compile_fds(descriptors).unwrap();
    let generated = fs::read_to_string(out.path().join("runtime.v1.rs")).unwrap();
    let committed = directory.join("proto.rs");
    if fs::read_to_string(&committed).unwrap_or_default() != generated {
        fs::write(&committed, generated).unwrap();
        panic!("{} differed from runtime.proto and was written again", committed.display());
    }
}
