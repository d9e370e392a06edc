//! Any configuration of lockc's: refused with a message, or understood, and then the same once more when it is written out.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use lockc_core::user::config::Config;

fuzz_target!(|text: &str| {
    let path = Path::new("lockc.toml");
    match Config::parse(text, path) {
        Ok(config) => {
            let written = toml::to_string(&config).expect("a configuration can be written");
            assert_eq!(Config::parse(&written, path).expect("and read again"), config);
        }
        Err(error) => assert!(error.to_string().starts_with("lockc.toml: ")),
    }
});
