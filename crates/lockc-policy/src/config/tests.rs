//! Configurations that are read, and those that are not.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use super::*;
use crate::{host::Host, policy::PolicySet};

fn parse(text: &str) -> Result<PolicySet, String> {
    PolicySet::parse(text, Path::new("lockc.toml")).map_err(|error| error.to_string())
}

/// As a host does on which the files belong to `owner`, with what no single file shows.
fn load_owned_by(path: &Path, owner: u32) -> Result<Loaded, ConfigError> {
    let loaded = Loaded::read(path, &Host::owned_by(owner))?;
    PolicySet::new(&loaded, path)?;
    Ok(loaded)
}

fn written(text: &str) -> (tempfile::TempDir, PathBuf, u32) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lockc.toml");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let owner = path.metadata().unwrap().uid();
    (dir, path, owner)
}

#[test]
fn a_missing_file_is_the_defaults_and_a_dangling_link_is_not() {
    let (dir, ..) = written("");
    assert_eq!(
        PolicySet::load(&dir.path().join("none"), &Host::default()).unwrap(),
        PolicySet::default()
    );
    let link = dir.path().join("link");
    std::os::unix::fs::symlink("/nonexistent/lockc.toml", &link).unwrap();
    assert!(PolicySet::load(&link, &Host::default()).is_err());
}

#[test]
fn every_key_is_read() {
    let text = "default = 'restricted'\nceiling = 'test'\nfail = 'open'\nmode = 'audit'\n\
        runtimes = ['/usr/bin/crun']\nallowed_mounts = ['/data']\n\
        allowed_sockets = ['/run/x.sock']\nengine_dirs = ['/data/docker']\n\
        rootless = 'admission'\nsandbox_runtimes = ['/opt/vmm']\n\
        [policies.test]\nextends = 'baseline'\nadmit = ['capabilities']\n\
        without_rules = ['mount']\n";
    parse(text).unwrap();
    let config = Loaded::parse(text, Path::new("lockc.toml")).unwrap().config;
    assert_eq!(
        (config.settings.fail, config.mode, config.settings.rootless),
        (Fail::Open, Mode::Audit, Rootless::Admission)
    );
    assert_eq!(config.settings.sandbox_runtimes, [Path::new("/opt/vmm")]);
    assert_eq!(config.settings.runtimes, [Path::new("/usr/bin/crun")]);
    assert_eq!(config.policies["test"].without_rules, ["mount"]);
    assert_eq!(parse("").unwrap(), PolicySet::default());
}

#[test]
fn an_unknown_key_is_refused_with_its_line_and_the_nearest_key() {
    let error = parse("\nceilling = 'baseline'\n").unwrap_err();
    assert!(error.contains("line 2") && error.contains("did you mean `ceiling`"), "{error}");
    let error = parse("[policies.a]\nextends = 'baseline'\nadmits = []\n").unwrap_err();
    assert!(error.contains("line 3") && error.contains("`admit`"), "{error}");
    assert!(parse("fail = 'soft'").is_err());
    assert!(parse("default = ").is_err());
    assert!(parse("default = 1").is_err());
}

#[test]
fn paths_are_absolute() {
    for text in
        ["allowed_mounts = ['srv']", "runtimes = ['runc']", "allowed_sockets = ['/run/../x']"]
    {
        assert!(parse(text).unwrap_err().contains("absolute"), "{text}");
    }
}

#[test]
fn a_file_that_others_can_change_is_refused() {
    let (dir, path, owner) = written("default = 'restricted'");
    assert_eq!(load_owned_by(&path, owner).unwrap().config.default, "restricted");
    assert!(load_owned_by(&path, owner + 1).unwrap_err().to_string().contains("chown"));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o664)).unwrap();
    assert!(load_owned_by(&path, owner).unwrap_err().to_string().contains("chmod go-w"));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let link = dir.path().join("link");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert!(load_owned_by(&link, owner).is_ok(), "a link to a trusted file is followed");
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
    assert!(load_owned_by(&path, owner).is_err(), "the directory is writable for all");
    assert!(load_owned_by(dir.path(), owner).unwrap_err().to_string().contains("regular"));
}

/// Files beside `lockc.toml`, in `lockc.d`.
fn with_drop_ins(
    main: &str,
    files: &[(&str, &str)],
) -> (tempfile::TempDir, Result<Loaded, String>) {
    let (dir, path, owner) = written(main);
    let drop_ins = dir.path().join("lockc.d");
    fs::create_dir(&drop_ins).unwrap();
    fs::set_permissions(&drop_ins, fs::Permissions::from_mode(0o755)).unwrap();
    for (name, text) in files {
        fs::write(drop_ins.join(name), text).unwrap();
        fs::set_permissions(drop_ins.join(name), fs::Permissions::from_mode(0o644)).unwrap();
    }
    let loaded = load_owned_by(&path, owner).map_err(|error| error.to_string());
    (dir, loaded)
}

#[test]
fn later_files_take_the_place_of_earlier_values_and_each_value_has_a_place() {
    let (_dir, loaded) = with_drop_ins(
        "default = 'baseline'\nallowed_mounts = ['/a']\n\n[policies.one]\nextends = 'baseline'\n",
        &[
            ("20.toml", "default = 'two'\n"),
            (
                "10.toml",
                "default = 'offline'\n[policies.two]\nextends = 'one'\n[namespaces]\n'kube-*' = { \
                 default = 'one' }\n",
            ),
            ("readme", "no TOML at all"),
        ],
    );
    let loaded = loaded.unwrap();
    assert_eq!(loaded.config.default, "two");
    assert_eq!(loaded.config.settings.allowed_mounts, [Path::new("/a")]);
    assert_eq!(loaded.files.len(), 3);
    let place = |key: &str| {
        let origin = &loaded.origins[key];
        (origin.path.file_name().unwrap().to_str().unwrap().to_owned(), origin.line)
    };
    assert_eq!(place("default"), ("20.toml".into(), 1));
    assert_eq!(place("policies.one"), ("lockc.toml".into(), 4));
    assert_eq!(place("policies.two"), ("10.toml".into(), 2));
    assert_eq!(place("namespaces.kube-*"), ("10.toml".into(), 5));
    assert!(!loaded.origins.contains_key("fail"));
}

#[test]
fn what_two_files_define_is_a_contradiction() {
    let policy = "[policies.one]\nextends = 'baseline'\n";
    let (_dir, loaded) = with_drop_ins(policy, &[("a.toml", &format!("\n{policy}"))]);
    let error = loaded.unwrap_err();
    assert!(
        error.contains("a.toml: line 2: policies.one is also defined in ")
            && error.contains("lockc.toml:1"),
        "{error}"
    );
}

#[test]
fn what_makes_no_sense_is_said_with_file_and_line() {
    for (text, says) in [
        ("\n\ndefault = 'lax'\n", "a.toml: line 3: unknown policy \"lax\""),
        ("[engines.docker]\ndefault = 'basline'\n", "a.toml: line 2: unknown policy \"basline\""),
        (
            "[namespaces.'a*']\nceiling = 'x'\n",
            "a.toml: line 2: unknown policy \"x\" in `namespaces.a*.ceiling`",
        ),
        ("\nallowed_mounts = ['x']\n", "a.toml: line 2: allowed_mounts"),
        ("[policies.a]\nextends = 'baseline'\nadmit = ['x']\n", "a.toml: line 3: policies.a.admit"),
        ("[engines.dokcer]\n", "`docker`"),
        ("[policies.a]\nextends = 'b'\n", "a.toml: line 2: unknown policy \"b\""),
        (
            "[policies.a]\nextends = 'baseline'\nwithout_rules = [\n  'mount',\n  'mout',\n]\n",
            "a.toml: line 5: policies.a.without_rules: \"mout\" is not a rule (did you mean \
             \"mount\"?)",
        ),
        (
            "[policies.a]\nextends = 'baseline'\nadmit = ['host-mount']\n",
            "(did you mean \"host-mounts\"?)",
        ),
        (
            "[policies.a]\nextends = 'baseline'\ncapabilities = ['NET_ADMN']\n",
            "(did you mean \"NET_ADMIN\"?)",
        ),
        (
            "[policies.a]\nextends = 'baseline'\n\nreads = ['/proc/kcore']\n",
            "a.toml: line 4: policies.a.reads: \"/proc/kcore\" is the memory",
        ),
        (
            "[policies.a]\nextends = 'baseline'\nsocket_families = ['vsok']\n",
            "a.toml: line 3: policies.a.socket_families: \"vsok\" is not a socket family that a \
             policy can allow (did you mean \"vsock\"?)",
        ),
        (
            "[policies.a]\nextends = 'offline'\nsocket_families = ['inet']\n",
            "\"inet\" cannot be added",
        ),
        ("[policies.a]\nextends = 'baseline'\nreeds = ['/proc/kcore']\n", "did you mean `reads`"),
        (
            "[policies.a]\nextends = 'privileged'\nreads = ['/proc/kallsyms']\n",
            "a.toml: line 3: policies.a.reads: the policy extends privileged",
        ),
        (
            "[engines.podman]\nplugins = 'privileged'\n",
            "a.toml: line 2: engines.podman.plugins: only Docker has managed plugins",
        ),
        (
            "[engines.docker]\nplugins = 'privilegd'\n",
            "a.toml: line 2: unknown policy \"privilegd\"",
        ),
        ("mode = 'audt'\n", "did you mean `audit`"),
        ("[policies.a]\nextends = 'baseline'\nmode = 'x'\n", "line 3"),
        (
            "[engines.docker]\nceiling = 'restricted'\ndefault = 'baseline'\n",
            "a.toml: line 3: engines.docker.default is baseline, which is looser than \
             engines.docker.ceiling, which is restricted",
        ),
        (
            "[namespaces.a]\ndefault = 'p'\nceiling = 'baseline'\n[policies.p]\nextends = \
             'baseline'\nmode = 'audit'\n",
            "a.toml: line 2: namespaces.a.default is p, which is looser",
        ),
        (
            "default = 'privileged'\nceiling = 'baseline'\n",
            "a.toml: line 1: default is privileged, which is looser than ceiling",
        ),
        ("[namespaces.Team]\n", "a.toml: line 1: namespaces.Team: not a valid namespace name"),
        ("[namespaces.a]\nlevel = 'x'\n", "unknown field `level`"),
    ] {
        let (_dir, loaded) = with_drop_ins("", &[("a.toml", text)]);
        let error = loaded.unwrap_err();
        assert!(error.contains(says), "{text}: {error}");
    }
}

#[test]
fn a_drop_in_that_others_can_change_is_refused() {
    let (dir, loaded) = with_drop_ins("", &[("a.toml", "")]);
    loaded.unwrap();
    let (path, owner) = (dir.path().join("lockc.toml"), dir.path().metadata().unwrap().uid());
    for name in ["lockc.d/a.toml", "lockc.d"] {
        let open = dir.path().join(name);
        let mode = open.metadata().unwrap().mode();
        fs::set_permissions(&open, fs::Permissions::from_mode(mode | 0o020)).unwrap();
        assert!(
            load_owned_by(&path, owner).unwrap_err().to_string().contains("chmod go-w"),
            "{name}"
        );
        fs::set_permissions(&open, fs::Permissions::from_mode(mode)).unwrap();
    }
}

#[test]
fn the_most_special_entry_of_a_namespace_holds() {
    let config = parse(
        "[namespaces]\n'*' = { default = 'restricted' }\n'team-*' = { default = 'baseline' \
         }\n'team-a-*' = { ceiling = 'restricted' }\nteam-a-b = { default = 'offline' }\n",
    )
    .unwrap();
    for (name, key) in
        [("x", "*"), ("team-b", "team-*"), ("team-a-c", "team-a-*"), ("team-a-b", "team-a-b")]
    {
        assert_eq!(config.namespace(name), config.namespaces.get(key), "{name}");
    }
    assert!(PolicySet::default().namespace("x").is_none());
}

#[test]
fn what_only_looks_like_a_contradiction_is_none() {
    for text in [
        "default = 'privileged'\n",
        "default = 'offline'\n",
        "[engines.docker]\ndefault = 'privileged'\n[engines.podman]\nceiling = 'restricted'\n",
        "[policies.a]\nextends = 'privileged'\n",
        "[policies.a]\nextends = 'baseline'\nadmit = ['devices', 'devices']\nreads = \
         ['/proc/kallsyms', '/proc/kallsyms']\n",
        "[policies.'a.b']\nextends = 'baseline'\nadmit = ['devices']\n[policies.a]\nextends = \
         'a.b'\n",
    ] {
        parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    }
}
