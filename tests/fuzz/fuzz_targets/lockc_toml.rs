//! Any configuration of lockc's: refused with a message, or understood, and then the same once more
//! when it is written out.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use lockc_policy::{config::Loaded, policy::PolicySet};

fuzz_target!(|text: &str| {
    let path = Path::new("lockc.toml");
    match Loaded::of_text(text, path) {
        Ok(loaded) => {
            let mut written =
                toml::Table::try_from(&loaded.config).expect("a configuration can be written");
            // Only a pair that somebody wrote is checked for a contradiction, so that a half stays
            // a half.
            for key in ["default", "ceiling"] {
                if !loaded.origins.contains_key(key) {
                    written.remove(key);
                }
            }
            assert_eq!(
                PolicySet::parse(&written.to_string(), path).expect("and read again"),
                loaded.config
            );
        }
        Err(error) => assert!(error.to_string().starts_with("lockc.toml: ")),
    }
});
