//! Runs inside the VM.
fn main() {}
