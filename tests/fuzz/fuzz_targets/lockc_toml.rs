//! Any configuration of lockc's: refused with a message, or understood, and then the same once more
//! when it is written out.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use lockc_policy::{
    config::{ConfigError, Loaded},
    policy::PolicySet,
};

fuzz_target!(|text: &str| {
    let path = Path::new("lockc.toml");
    let resolved = |text: &str| {
        let loaded = Loaded::parse(text, path)?;
        let set = PolicySet::new(&loaded, path)?;
        Ok::<_, ConfigError>((loaded, set))
    };
    match resolved(text) {
        Ok((loaded, set)) => {
            let mut written =
                toml::Table::try_from(&loaded.config).expect("a configuration can be written");
            // Only a pair that somebody wrote is checked for a contradiction, so that a half stays
            // a half.
            for key in ["default", "ceiling"] {
                if !loaded.origins.contains_key(key) {
                    written.remove(key);
                }
            }
            let (again, set_again) = resolved(&written.to_string()).expect("and read again");
            assert_eq!((again.config, set_again), (loaded.config, set));
        }
        Err(error) => assert!(error.to_string().starts_with("lockc.toml: ")),
    }
});
