//! How many Events become of how many findings.

use jiff::Timestamp;

use super::{super::finding::Kind, *};

fn finding(pod: &str, what: &str, source: &str, count: u64) -> Finding {
    Finding {
        pod: PodKey { namespace: "shop".into(), name: pod.into(), uid: pod.into() },
        kind: Kind::Denied,
        container: None,
        source: source.into(),
        rule: "sysfs".into(),
        policy: "baseline".into(),
        message: what.into(),
        count,
        first: Timestamp::UNIX_EPOCH,
        last: Timestamp::UNIX_EPOCH,
        key: what.into(),
    }
}

fn counts(writes: &[Write]) -> Vec<(&str, u64)> {
    writes.iter().map(|write| (write.finding.key.as_str(), write.count)).collect()
}

const HERE: fn(&PodKey) -> bool = |_| true;
const NOWHERE: fn(&PodKey) -> bool = |_| false;

#[test]
fn a_distinct_finding_is_one_event_with_a_count() {
    let start = Instant::now();
    let mut all = Aggregate::new(start);
    all.add(finding("web", "x", "one", 5), false, start);
    assert_eq!(counts(&all.due(HERE, start)), [("x", 5)]);
    assert!(all.due(HERE, start + AGAIN).is_empty(), "nothing happened since");
    // The container that has its place, and the first one again as the record still has it.
    all.add(finding("web", "x", "two", 2), false, start);
    all.add(finding("web", "x", "one", 5), false, start);
    assert!(all.due(HERE, start).is_empty(), "not so soon again");
    assert_eq!(counts(&all.due(HERE, start + AGAIN)), [("x", 7)]);
}

#[test]
fn what_is_old_is_told_when_it_happens_again() {
    let start = Instant::now();
    let mut all = Aggregate::new(start);
    all.add(finding("web", "x", "one", 5), true, start);
    all.add(finding("web", "x", "two", 1), true, start);
    all.add(finding("web", "y", "one", 1), false, start);
    assert_eq!(counts(&all.due(HERE, start)), [("y", 1)]);
    all.add(finding("web", "x", "one", 6), false, start + AGAIN);
    assert_eq!(counts(&all.due(HERE, start + AGAIN)), [("x", 7)]);
}

#[test]
fn many_containers_of_a_name_are_counted_once_each() {
    let start = Instant::now();
    let mut all = Aggregate::new(start);
    for n in 0..1000 {
        all.add(finding("web", "x", &format!("{n:04}"), 2), false, start);
    }
    assert_eq!(counts(&all.due(HERE, start)), [("x", 2000)]);
    let pod = all.pods.values().next().unwrap();
    assert!(pod.entries["x"].counts.len() <= SOURCES);
}

#[test]
fn a_pod_has_so_many_events_and_the_rest_is_counted() {
    let start = Instant::now();
    let mut all = Aggregate::new(start);
    for n in 0..10_000 {
        all.add(finding("noisy", &format!("{n:05}"), "one", 1), false, start);
    }
    all.add(finding("quiet", "x", "one", 1), false, start);
    let first = all.due(HERE, start);
    assert_eq!(first.len(), POD.burst as usize + 1, "the other pod has its own");
    assert!(counts(&first).contains(&("x", 1)));
    let mut written = first.len();
    for minute in 1..200 {
        written += all.due(HERE, start + minute * POD.every).len();
    }
    assert_eq!(written, DISTINCT + 1);
    assert_eq!(all.dropped(), Dropped { too_many: DISTINCT as u64, without_pod: 0 });
    let later = start + 300 * POD.every;
    let noisy = finding("noisy", "", "", 0).pod;
    assert_eq!(all.beyond(HERE, later), [(noisy, DISTINCT as u64)]);
    assert!(all.beyond(HERE, later + AGAIN).is_empty(), "that was told");
}

#[test]
fn the_node_writes_so_much_for_all_pods() {
    let start = Instant::now();
    let mut all = Aggregate::new(start);
    for n in 0..1000 {
        all.add(finding(&format!("{n}"), "x", "one", 1), false, start);
    }
    assert_eq!(all.due(HERE, start).len(), NODE.burst as usize);
    assert!(all.due(HERE, start).is_empty());
    assert_eq!(all.due(HERE, start + 10 * NODE.every).len(), 10);
}

#[test]
fn what_failed_is_tried_again_within_the_rate() {
    let start = Instant::now();
    let mut all = Aggregate::new(start);
    all.add(finding("web", "x", "one", 1), false, start);
    let mut tried = 0;
    for _ in 0..1000 {
        for write in all.due(HERE, start) {
            all.failed(&write);
            tried += 1;
        }
    }
    assert_eq!(tried, POD.burst);
}

#[test]
fn a_pod_that_is_not_here_is_forgotten() {
    let start = Instant::now();
    let mut all = Aggregate::new(start);
    all.add(finding("web", "x", "one", 1), false, start);
    assert!(all.due(NOWHERE, start).is_empty(), "of this node's pods only");
    all.retain(NOWHERE, start);
    assert_eq!(all.pods.len(), 1, "the watch may be late");
    all.retain(NOWHERE, start + UNKNOWN);
    assert!(all.pods.is_empty());
    assert_eq!(all.dropped(), Dropped { too_many: 0, without_pod: 1 });
}
