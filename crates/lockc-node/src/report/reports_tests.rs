//! What a report says, how long it is, and when it is written.

use jiff::Timestamp;

use super::{super::finding::Finding, *};

fn write(namespace: &str, n: u32, kind: Kind) -> Write {
    let last = Timestamp::from_second(1_000 + i64::from(n)).unwrap();
    let pod = PodKey { namespace: namespace.into(), name: "web".into(), uid: "1".into() };
    Write {
        finding: Finding {
            pod,
            kind,
            container: Some("main".into()),
            source: "abc".into(),
            rule: "sysfs".into(),
            policy: "baseline".into(),
            message: "m".repeat(1000),
            count: 1,
            first: last,
            last,
            key: format!("{n:06}"),
        },
        count: 7,
        first: last,
    }
}

fn pod(key: &PodKey) -> Option<ObjectReference> {
    (key.namespace != "gone").then(|| ObjectReference {
        kind: Some("Pod".into()),
        name: Some(key.name.clone()),
        ..ObjectReference::default()
    })
}

fn gathered(writes: Vec<Write>) -> BTreeMap<String, Report> {
    gather(writes.into_iter(), pod)
}

#[test]
fn a_report_has_the_newest_results_of_its_namespace() {
    let mut writes: Vec<Write> = (0..1000).map(|n| write("shop", n, Kind::Denied)).collect();
    writes.push(write("other", 1, Kind::Audited));
    writes.push(write("gone", 1, Kind::Denied));
    let reports = gathered(writes);
    assert_eq!(reports.keys().collect::<Vec<_>>(), ["other", "shop"]);
    let shop = &reports["shop"].content;
    let results = shop["results"].as_array().unwrap();
    assert_eq!(results.len(), RESULTS);
    assert_eq!(results[0]["timestamp"], json!({ "seconds": 1999, "nanos": 0 }));
    assert_eq!(results[0]["properties"]["count"], "7");
    assert_eq!(results[0]["resources"][0]["name"], "web");
    assert_eq!(shop["summary"]["fail"], RESULTS);
    assert!(shop.to_string().len() < 128 << 10, "{}", shop.to_string().len());
    let other = &reports["other"].content;
    assert_eq!((&other["summary"]["fail"], &other["summary"]["warn"]), (&json!(0), &json!(1)));
    assert_eq!(other["results"][0]["result"], "warn");
}

#[test]
fn nodes_do_not_share_a_name() {
    assert_eq!(name("worker-1"), "lockc-worker-1");
    let long = |end: &str| name(&format!("{}{end}", "a".repeat(252)));
    assert_ne!(long("b"), long("c"));
    assert!(long("b").len() <= NAME);
}

#[test]
fn both_kinds_get_what_they_know() {
    let report = &gathered(vec![write("shop", 1, Kind::Refused)])["shop"];
    let of = |(group, version, kind, plural): (&str, &str, &str, &str)| {
        let resource = ApiResource {
            group: group.into(),
            version: version.into(),
            api_version: format!("{group}/{version}"),
            kind: kind.into(),
            plural: plural.into(),
        };
        object(&resource, "shop", "worker-1", "uid", report)
    };
    let [open, policy] = KINDS.map(of);
    assert_eq!(open["apiVersion"], "openreports.io/v1alpha1");
    assert_eq!(open["source"], "lockc");
    assert_eq!((&policy["kind"], &policy["source"]), (&"PolicyReport".into(), &Value::Null));
    for object in [open, policy] {
        assert_eq!(object["metadata"]["name"], "lockc-worker-1");
        assert_eq!(object["metadata"]["ownerReferences"][0]["kind"], "Node");
    }
}

#[test]
fn counts_are_written_less_often_than_what_is_new() {
    let start = Instant::now();
    let of = |count: u64, n: u32| {
        let mut write = write("shop", n, Kind::Denied);
        write.count = count;
        gathered(vec![write]).remove("shop").unwrap()
    };
    let before = of(1, 1);
    let there = There { keys: before.keys, content: before.content, at: start };
    assert!(!there.is_due(&of(1, 1), start + COUNTS), "nothing changed");
    assert!(!there.is_due(&of(2, 1), start + NEW));
    assert!(there.is_due(&of(2, 1), start + COUNTS));
    assert!(!there.is_due(&of(1, 2), start));
    assert!(there.is_due(&of(1, 2), start + NEW));
}
