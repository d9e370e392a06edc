//! Set-up, demo, tests.
fn main() {}
