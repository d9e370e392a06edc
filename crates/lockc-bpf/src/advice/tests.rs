//! Configurations with a warning for each line that has a comment, and none for the others.

use std::{fs, path::Path};

use super::*;

/// A host with an engine's data, a runtime and sockets.
fn host() -> (tempfile::TempDir, View) {
    let folder = tempfile::tempdir().unwrap();
    for directory in
        ["srv/app", "dev/dri", "run/app", "etc", "usr/bin", "proc", "sys/class/drm", "sys/kernel"]
    {
        fs::create_dir_all(folder.path().join(directory)).unwrap();
    }
    std::os::unix::fs::symlink("run/app", folder.path().join("link")).unwrap();
    fs::write(folder.path().join("usr/bin/runc"), "").unwrap();
    fs::write(folder.path().join("dev/file"), "").unwrap();
    let view = View::below(folder.path());
    (folder, view)
}

/// The warnings of a text; a line that should have one says which words are in it after `#~`.
fn check(text: &str, view: &View) {
    let loaded = Loaded::parse(text, Path::new("lockc.toml")).unwrap();
    let set = PolicySet::new(&loaded, Path::new("lockc.toml"));
    let set = set.unwrap_or_else(|error| panic!("{error}: {text}"));
    let found = warnings(&loaded, &set, view);
    assert!(found.iter().all(|one| one.id.is_some()), "without a row: {found:#?}");
    let mut expected = 0;
    for (at, line) in text.lines().enumerate() {
        for words in line.split("#~").skip(1) {
            expected += 1;
            let here = found.iter().filter(|one| one.line == at + 1);
            let fits = here.filter(|one| one.reason.contains(words.trim())).count();
            assert_eq!(fits, 1, "{line}: {found:#?}");
        }
    }
    assert_eq!(found.len(), expected, "{text}\n{found:#?}");
}

#[test]
fn what_gives_the_host_is_named() {
    let (_folder, view) = host();
    check(
        "allowed_mounts = [\n'/',  #~ every file of the host\n'/etc/',  #~ its users and services\n\
         '/srv/app',\n]\nallowed_sockets = [\n'/var/run/docker.sock', #~ control Docker as root\n\
         '/run/app/x.sock',\n'/run/*.sock', #~ control Docker as root\n\
         '/run/d*', #~ control Docker as root\n'/run/*.socket' #~ snapd\n]\n",
        &view,
    );
    check("fail = 'open' #~ start unconfined\nmode = 'audit' #~ only reported\n", &view);
    check(
        "ceiling = 'privileged' #~ annotations\n[engines.docker]\ndefault = 'privileged' #~ not \
         confined\n[namespaces.'team-*']\nceiling = 'privileged' #~ annotations\n\
         [namespaces.kube-system]\nceiling = 'privileged'\ndefault = 'privileged'\n",
        &view,
    );
}

#[test]
fn what_a_policy_gives_is_named() {
    let (_folder, view) = host();
    check(
        "default = 'p'\nceiling = 'p'\n[policies.p]\nextends = 'baseline'\n\
         admit = ['host-mounts', 'sysctls'] #~ any directory of the host\n\
         without_rules = ['files', 'io-uring'] #~ files of the host\n\
         capabilities = ['SYS_MODULE', 'cap_sys_admin', 'CHOWN'] #~ no effect #~ namespaces\n\
         reads = ['/sys/kernel', '/sys/class/drm'] #~ the kernel's state\n",
        &view,
    );
    check(
        "default = 'p'\nceiling = 'p'\n[policies.p]\nextends = 'baseline'\n\
         without_rules = ['kernel'] #~ change the kernel\ncapabilities = ['SYS_TIME']\n",
        &view,
    );
}

#[test]
fn devices_are_nodes() {
    let this = View::default();
    check(
        "default = 'gpu'\nceiling = 'gpu'\n[policies.gpu]\nextends = 'baseline'\ndevices = [\n\
         '/dev/null',\n'/dev/nvidia*', #~ wildcards stand for themselves\n\
         '/dev/lockc-none', #~ does not exist on this host\n'/dev/pts', #~ is a directory\n\
         '/etc/passwd', #~ is not a device node\n]\n",
        &this,
    );
    let (_folder, view) = host();
    check(
        "default = 'gpu'\nceiling = 'gpu'\n[policies.gpu]\nextends = 'baseline'\ndevices = [\n\
         '/dev/mem', #~ the memory of the host #~ does not exist\n'/dev/dri', #~ is a directory\n\
         '/dev/sda1', #~ a disk of the host #~ does not exist\n\
         '/dev/watchdog0', #~ a reset of the host #~ does not exist\n]\n",
        &view,
    );
}

#[test]
fn what_matches_nothing_is_named() {
    let (_folder, view) = host();
    check(
        "allowed_mounts = ['/srv/*', #~ wildcards stand for themselves\n'/srv/app',\n'/data'] #~ \
         does not exist\nengine_dirs = ['/data/docker*'] #~ wildcards\n\
         runtimes = ['/usr/bin/crun', '/usr/bin/runc'] #~ \"/usr/bin/crun\" does not exist\n",
        &view,
    );
    check("runtimes = ['/opt/runc'] #~ none of these runtimes #~ does not exist\n", &view);
    check(
        "allowed_sockets = ['/link/x.sock', #~ is a symbolic link\n'/run/none/x', #~ /run/none \
         does not exist\n'/run/app/*.sock',\n'/dev/file/x'] #~ is not a directory\n",
        &view,
    );
    check("offline_loopback = true #~ network = \"loopback\"\n", &view);
    check("", &view);
}

#[test]
fn a_policy_that_nothing_selects_is_named() {
    let (folder, view) = host();
    let loose = "[policies.loose] #~ nothing selects this policy\nextends = 'baseline'\n\
                 capabilities = ['CHOWN', 'NET_BROADCAST']\n";
    check(loose, &view);
    // One that is stricter may be asked for; a runtime has it; a setting names it.
    check("[policies.tight]\nextends = 'restricted'\n", &view);
    let quiet = loose.replace("#~ nothing selects this policy", "");
    check(&format!("[namespaces.a]\ndefault = 'loose'\nceiling = 'loose'\n{quiet}"), &view);
    fs::create_dir_all(folder.path().join("etc/lockc/runtimes")).unwrap();
    fs::write(folder.path().join("etc/lockc/runtimes/lockc-loose"), "").unwrap();
    check(&quiet, &view);
}

#[test]
fn a_namespace_that_the_cluster_lacks_is_named() {
    let text = "[namespaces.'team-*']\ndefault = 'restricted'\n[namespaces.gone]\ndefault = \
                'restricted'\n";
    let loaded = Loaded::parse(text, Path::new("lockc.toml")).unwrap();
    let mut set = PolicySet::new(&loaded, Path::new("lockc.toml")).unwrap();
    let labels = r#"{"version":1,"synced":"2026-01-02T03:04:05Z","namespaces":{"team-a":{}}}"#;
    set.labels = Some(lockc_policy::config::Labels::parse(labels, Path::new("x")).unwrap());
    let found = warnings(&loaded, &set, &View::default());
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!((found[0].line, found[0].key.as_str()), (3, "namespaces.gone"));
    assert_eq!(
        found[0].to_string(),
        "lockc.toml:3: namespaces.gone: the cluster has no such namespace (LOCKC-C021)"
    );
}
