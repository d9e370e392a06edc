//! What a report has of the kernel: nothing that names the host.

use std::{
    collections::BTreeMap,
    fs,
    io::Read as _,
    path::{Path, PathBuf},
};

use flate2::read::GzDecoder;
use serde_json::{Value, json};

use super::{read::read, redact::Redactor};

/// Options that lockc depends on.
const OPTIONS: [&str; 18] = [
    "CONFIG_BPF",
    "CONFIG_BPF_SYSCALL",
    "CONFIG_BPF_JIT",
    "CONFIG_BPF_JIT_ALWAYS_ON",
    "CONFIG_BPF_LSM",
    "CONFIG_BPF_UNPRIV_DEFAULT_OFF",
    "CONFIG_CFI_CLANG",
    "CONFIG_DEBUG_INFO_BTF",
    "CONFIG_DEBUG_INFO_BTF_MODULES",
    "CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS",
    "CONFIG_FUNCTION_TRACER",
    "CONFIG_LSM",
    "CONFIG_OVERLAY_FS",
    "CONFIG_PAHOLE_VERSION",
    "CONFIG_SECURITY",
    "CONFIG_SECURITYFS",
    "CONFIG_SECURITY_NETWORK",
    "CONFIG_SECURITY_PATH",
];

/// Parameters of the command line that lockc depends on. Others may have passwords.
const PARAMETERS: [&str; 8] = [
    "lsm=",
    "security=",
    "lockdown=",
    "selinux=",
    "apparmor=",
    "bpf_jit",
    "systemd.unified_cgroup_hierarchy=",
    "cgroup_no_v1=",
];

/// Settings that lockc depends on.
const SYSCTLS: [&str; 4] = [
    "kernel/unprivileged_bpf_disabled",
    "kernel/bpf_stats_enabled",
    "net/core/bpf_jit_enable",
    "kernel/ftrace_enabled",
];

/// The kernel below `root`.
pub fn facts(root: &Path) -> Value {
    let line = |path: &str| {
        read(&root.join(path)).map(|text| text.trim().to_owned()).unwrap_or_else(|why| why)
    };
    let release = line("proc/sys/kernel/osrelease");
    let parameters: Vec<String> = line("proc/cmdline")
        .split_whitespace()
        .filter(|word| PARAMETERS.iter().any(|parameter| word.starts_with(parameter)))
        .map(str::to_owned)
        .collect();
    let sysctls: BTreeMap<&str, String> =
        SYSCTLS.into_iter().map(|name| (name, line(&format!("proc/sys/{name}")))).collect();
    let (options_from, options) = options(root, &release);
    let distribution: BTreeMap<String, String> = line("etc/os-release")
        .lines()
        .filter_map(|line| line.split_once('='))
        .filter(|(key, _)| ["ID", "VERSION_ID"].contains(key))
        .map(|(key, value)| (key.to_owned(), value.trim_matches('"').to_owned()))
        .collect();
    json!({
        "release": release,
        "architecture": std::env::consts::ARCH,
        "lsm": line("sys/kernel/security/lsm"),
        "lockdown": line("sys/kernel/security/lockdown"),
        "parameters": parameters,
        "sysctls": sysctls,
        "options": options,
        "options_from": options_from,
        "btf_bytes": fs::metadata(root.join("sys/kernel/btf/vmlinux")).ok().map(|it| it.len()),
        "distribution": distribution,
    })
}

/// The kernel's release, its LSMs and its options are the same on every host that has it.
pub fn redacted(facts: &Value, redactor: &mut Redactor) -> Value {
    let mut kept = facts.clone();
    if let Some(facts) = kept.as_object_mut() {
        for (key, value) in facts {
            // Its name may be that of somebody's own distribution.
            let is_own = key == "distribution";
            *value = each(value, &mut |text| {
                if is_plain(text) && !is_own { text.to_owned() } else { redactor.text(text) }
            });
        }
    }
    kept
}

fn each(value: &Value, change: &mut impl FnMut(&str) -> String) -> Value {
    match value {
        Value::String(text) => change(text).into(),
        Value::Array(values) => values.iter().map(|value| each(value, change)).collect(),
        Value::Object(values) => {
            values.iter().map(|(key, value)| (key.clone(), each(value, change))).collect()
        }
        other => other.clone(),
    }
}

/// A release, a list of LSMs, the value of an option: nothing that could be a path or a sentence.
fn is_plain(text: &str) -> bool {
    text.len() <= 200
        && text.chars().all(|it| it.is_ascii_alphanumeric() || "._-+,=[]\" ~".contains(it))
}

/// Where the options of the running kernel are, and those that lockc depends on.
fn options(root: &Path, release: &str) -> (Option<String>, BTreeMap<String, String>) {
    let places = [
        PathBuf::from("proc/config.gz"),
        PathBuf::from("boot").join(format!("config-{release}")),
        PathBuf::from("lib/modules").join(release).join("config"),
        PathBuf::from("usr/lib/modules").join(release).join("config"),
    ];
    for place in places {
        let Ok(bytes) = fs::read(root.join(&place)) else { continue };
        let mut text = String::new();
        let is_read = if place.ends_with("config.gz") {
            GzDecoder::new(&bytes[..]).take(4 << 20).read_to_string(&mut text).is_ok()
        } else {
            text = String::from_utf8_lossy(&bytes).into_owned();
            true
        };
        if is_read {
            let name = place.file_name().map(|name| name.to_string_lossy().into_owned());
            return (name, found(&text));
        }
    }
    (None, BTreeMap::new())
}

fn found(config: &str) -> BTreeMap<String, String> {
    let set = config.lines().filter_map(|line| line.split_once('='));
    let mut found: BTreeMap<String, String> = set
        .filter(|(name, _)| OPTIONS.contains(name))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    for name in OPTIONS {
        found.entry(name.to_owned()).or_insert_with(|| "not set".to_owned());
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_lockc_depends_on_is_told() {
        let root = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| {
            let at = root.path().join(path);
            fs::create_dir_all(at.parent().unwrap()).unwrap();
            fs::write(at, text).unwrap();
        };
        put("proc/sys/kernel/osrelease", "6.12.63-cloud-amd64\n");
        put("proc/cmdline", "root=UUID=CANARY lsm=lockdown,bpf rd.iscsi.password=CANARY quiet\n");
        put("sys/kernel/security/lsm", "capability,bpf");
        put("etc/os-release", "ID=debian\nNAME=CANARY\nHOME_URL=CANARY\nVERSION_ID=\"13\"\n");
        let config = "CONFIG_BPF_LSM=y\nCONFIG_LSM=\"a,bpf\"\nCONFIG_CMDLINE=\"CANARY\"\n";
        put("boot/config-6.12.63-cloud-amd64", config);
        let facts = facts(root.path());
        let kept = redacted(&facts, &mut Redactor::new(false));
        assert!(!kept.to_string().contains("CANARY"), "{kept}");
        assert_eq!(kept["release"], "6.12.63-cloud-amd64");
        assert_eq!(kept["parameters"], json!(["lsm=lockdown,bpf"]));
        assert_eq!(kept["options"]["CONFIG_LSM"], "\"a,bpf\"");
        assert_eq!(kept["options"]["CONFIG_SECURITY"], "not set");
        assert_eq!(kept["distribution"], json!({"ID": "debian", "VERSION_ID": "13"}));
    }
}
