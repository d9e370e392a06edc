//! Whether engines give containers SELinux labels, by their configuration files.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::engine::{Engine, Labelling};

/// Where SELinux says whether it enforces (selinuxfs).
const ENFORCE: &str = "/sys/fs/selinux/enforce";

/// Whether SELinux enforces, and the engine gives labels to containers.
pub(super) fn labels_containers(engine: Engine) -> bool {
    if !fs::read(ENFORCE).is_ok_and(|text| text.starts_with(b"1")) {
        return false;
    }
    match engine.facts().selinux {
        Labelling::Never => false,
        Labelling::Where { files, setting, option } => {
            say(files, setting)
                || option.is_some_and(|(program, option)| runs_with(program, option))
        }
        Labelling::Unless { files, setting } => !say(files, setting),
    }
}

/// Whether one of the files has the key with this value.
fn say(files: &[&str], (key, value): (&str, &str)) -> bool {
    let texts = files
        .iter()
        .flat_map(|file| with_drop_ins(Path::new(file)))
        .filter_map(|file| fs::read_to_string(file).ok());
    texts.into_iter().any(|text| text.lines().any(|line| setting(line, key) == Some(value)))
}

/// The file, and those of the directory `FILE.d`.
fn with_drop_ins(file: &Path) -> Vec<PathBuf> {
    let directory = PathBuf::from(format!("{}.d", file.display()));
    let entries = fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path());
    std::iter::once(file.to_owned()).chain(entries).collect()
}

/// The value of a key, in TOML or in JSON with a member on each line.
fn setting<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    let (name, value) = line.split_once(['=', ':'])?;
    let name = name.trim().trim_start_matches('{').trim().trim_matches('"');
    (name == key).then(|| value.trim().trim_end_matches([',', '}']).trim())
}

fn runs_with(program: &str, argument: &str) -> bool {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes.filter_map(|process| fs::read(process.path().join("cmdline")).ok()).any(|line| {
        let mut words = line.split(|byte| *byte == 0).map(String::from_utf8_lossy);
        words.next().is_some_and(|name| Path::new(name.as_ref()).ends_with(program))
            && words.any(|word| word == argument || word == format!("{argument}=true"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_read_in_toml_and_json() {
        assert_eq!(setting("selinux = true", "selinux"), Some("true"));
        assert_eq!(setting("  \"selinux-enabled\": true,", "selinux-enabled"), Some("true"));
        assert_eq!(setting("{\"selinux-enabled\":true}", "selinux-enabled"), Some("true"));
        assert_eq!(setting("# selinux = true", "selinux"), None);
        assert_eq!(setting("selinux_x = true", "selinux"), None);
    }
}
