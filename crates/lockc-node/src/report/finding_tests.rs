//! What is told of denials and refusals.

use std::path::PathBuf;

use lockc_policy::refused::Reason;

use super::*;

pub fn names(pod: &str) -> ContainerNames {
    ContainerNames {
        name: Some("main".into()),
        pod: Some(pod.into()),
        namespace: Some("shop".into()),
        pod_uid: Some(format!("uid-of-{pod}")),
        ..ContainerNames::default()
    }
}

fn denial(detail: &str) -> Denial {
    Denial {
        last: Timestamp::UNIX_EPOCH,
        first: Timestamp::UNIX_EPOCH,
        count: 3,
        container: "abc".into(),
        names: names("web"),
        level: "baseline",
        policy: "baseline".into(),
        origin: "default".into(),
        id: "LOCKC-D002",
        rule: "sysfs",
        denies: "host information in sysfs",
        hook: "file_open".into(),
        pid: 1,
        comm: "ls".into(),
        detail: detail.into(),
        mode: "enforce",
        errno: 13,
        remedy: "x".into(),
        setting: Some(Setting::new(Key::Reads, "/sys/fs/ext4")),
    }
}

fn refused(whats: &[&str]) -> Refused {
    let reason = |what: &&str| Reason {
        control: "host-mounts".into(),
        what: (*what).into(),
        remedy: "mount another directory".into(),
        settings: Vec::new(),
    };
    Refused {
        id: "abc".into(),
        time: "2026-11-26T20:00:00Z".into(),
        names: names("web"),
        bundle: PathBuf::new(),
        policy: "level restricted (from a label)".into(),
        audited: false,
        reasons: whats.iter().map(reason).collect(),
    }
}

#[test]
fn a_denial_names_rule_object_and_narrowest_setting() {
    let found = Finding::from_denial(&denial("/fs/ext4")).unwrap();
    assert_eq!(
        found.message,
        "container main: denied host information in sysfs to ls: /fs/ext4 [rule sysfs, policy \
         baseline]; a policy with reads = [\"/sys/fs/ext4\"] allows it (LOCKC-D002)"
    );
    assert_eq!((found.kind, found.count), (Kind::Denied, 3));
    let audited = Denial { mode: "audit", ..denial("/fs/ext4") };
    let audited = Finding::from_denial(&audited).unwrap();
    assert_eq!(audited.kind.reason(), "LockcAudited");
    assert!(audited.message.contains(": would be denied host"), "{}", audited.message);
    assert_ne!(audited.key, found.key);
}

#[test]
fn a_container_outside_of_pods_is_left_out() {
    for leave_out in [
        |names: &mut ContainerNames| names.namespace = None,
        |names: &mut ContainerNames| names.pod = None,
        |names: &mut ContainerNames| names.pod_uid = None,
    ] {
        let (mut denial, mut refused) = (denial("x"), refused(&["x"]));
        leave_out(&mut denial.names);
        leave_out(&mut refused.names);
        assert_eq!(Finding::from_denial(&denial), None);
        assert_eq!(Finding::from_refusal(&refused), None);
    }
}

#[test]
fn a_container_that_starts_again_is_denied_the_same() {
    let key = |denial: &Denial| Finding::from_denial(denial).unwrap().key;
    let first = denial("/x (mount root 0:51 inode 7)");
    let again =
        Denial { container: "def".into(), pid: 99, ..denial("/x (mount root 0:60 inode 9)") };
    assert_eq!(key(&first), key(&again));
    let other_pod = Denial { names: names("db"), ..first.clone() };
    for other in [
        denial("/y"),
        Denial { rule: "procfs", ..first.clone() },
        Denial { hook: "inode_getattr".into(), ..first.clone() },
        other_pod,
    ] {
        assert_ne!(key(&first), key(&other), "{other:?}");
    }
}

#[test]
fn no_message_is_longer_than_an_event_takes() {
    let long = "ö".repeat(5000);
    let mut named = denial(&long);
    named.setting = Some(Setting::new(Key::AllowedSockets, &long));
    let found = Finding::from_denial(&named).unwrap();
    assert!(found.message.len() <= NOTE, "{}", found.message.len());
    assert!(found.message.ends_with("allows it (LOCKC-D002)"), "{}", found.message);
    let found = Finding::from_refusal(&refused(&[&long, "two"])).unwrap();
    assert!(found.message.len() <= NOTE && found.message.contains("reasons in all: 2"));
    named.policy = long.clone();
    named.names.name = Some(long);
    assert!(Finding::from_denial(&named).unwrap().message.len() <= NOTE);
}

#[test]
fn a_refusal_says_by_what() {
    let found = Finding::from_refusal(&refused(&["/etc is the host's"])).unwrap();
    assert_eq!(
        found.message,
        "container main: refused by level restricted (from a label): host-mounts: /etc is the \
         host's [mount another directory]"
    );
    let again = Refused { id: "def".into(), ..refused(&["/etc is the host's"]) };
    assert_eq!(Finding::from_refusal(&again).unwrap().key, found.key);
    let sandbox = Refused {
        names: ContainerNames { name: None, ..names("web") },
        audited: true,
        ..refused(&["x"])
    };
    let sandbox = Finding::from_refusal(&sandbox).unwrap();
    assert!(sandbox.message.starts_with("sandbox: would be refused by"), "{}", sandbox.message);
    assert_eq!(Finding::from_refusal(&refused(&[])), None);
}

#[test]
fn no_name_is_a_command_to_the_terminal() {
    let mut refused = refused(&["\x1b[2J"]);
    refused.names.name = Some("\x1b[1m".into());
    let found = Finding::from_refusal(&refused).unwrap();
    assert!(!found.message.contains('\x1b'), "{}", found.message);
}
