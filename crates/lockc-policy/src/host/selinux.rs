//! Whether engines give containers SELinux labels, by their configuration files.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::engine::Engine;

/// Where SELinux says whether it enforces (selinuxfs).
const ENFORCE: &str = "/sys/fs/selinux/enforce";
/// Podman labels unless `label = false` (containers.conf(5)); the others label where their
/// configuration says so (dockerd(8), crio.conf(5), containerd's docs/cri/config.md).
pub(super) fn labels_containers(engine: Engine) -> bool {
    if !fs::read(ENFORCE).is_ok_and(|text| text.starts_with(b"1")) {
        return false;
    }
    let says = |files: &[&str], key: &str, value: &str| {
        let texts = files
            .iter()
            .flat_map(|file| with_drop_ins(Path::new(file)))
            .filter_map(|file| fs::read_to_string(file).ok());
        texts.into_iter().any(|text| text.lines().any(|line| setting(line, key) == Some(value)))
    };
    match engine {
        Engine::Podman => !says(
            &["/usr/share/containers/containers.conf", "/etc/containers/containers.conf"],
            "label",
            "false",
        ),
        Engine::Docker => {
            says(&["/etc/docker/daemon.json"], "selinux-enabled", "true")
                || runs_with("dockerd", "--selinux-enabled")
        }
        Engine::Crio => says(&["/etc/crio/crio.conf"], "selinux", "true"),
        Engine::Cri => says(&["/etc/containerd/config.toml"], "enable_selinux", "true"),
        Engine::Containerd => false,
    }
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
