//! Every pod of a manifest has an answer: by its RuntimeClass, with its line, and whatever else is
//! in the file.

use super::*;
use crate::explain::answer::Verdict;

const OK: &str = "kind: Pod
metadata: {name: ok}
spec:
  runtimeClassName: lockc
  containers: [{name: c}]
";

fn answers(text: &str) -> Vec<Answer> {
    explain(text, &Cluster::default()).unwrap()
}

/// Object, container, verdict and line of each.
fn summary(answers: &[Answer]) -> Vec<(String, Verdict, u64)> {
    let of = |answer: &Answer| {
        let line = answer.place.as_ref().and_then(|place| place.line).unwrap();
        (answer.subject.clone(), answer.verdict, line)
    };
    answers.iter().map(of).collect()
}

fn ids(answer: &Answer) -> Vec<&str> {
    answer.findings.iter().map(|finding| finding.id).collect()
}

#[test]
fn a_forgotten_runtime_class_is_found() {
    let forgotten = OK.replace("  runtimeClassName: lockc\n", "");
    let other = OK.replace("runtimeClassName: lockc", "runtimeClassName: gvisor");
    for (text, part) in [(&forgotten, "names no RuntimeClass"), (&other, "RuntimeClass gvisor")] {
        let answer = answers(text).remove(0);
        assert_eq!(answer.verdict, Verdict::NotConfined);
        assert_eq!(ids(&answer), ["LOCKC-W001"]);
        assert!(answer.findings[0].what.contains(part), "{:?}", answer.findings);
        assert_eq!(
            answer.headline,
            "not confined; lockc would start it under baseline, from the default"
        );
        let json = serde_json::to_value(&answer).unwrap();
        assert_eq!((&json["verdict"], &json["starts"]), (&"not-confined".into(), &true.into()));
    }
    let default = Some(("lockc".into(), "--default-runtime".into()));
    let runtimes = Runtimes { default, ..Runtimes::default() };
    let cluster = Cluster { runtimes, ..Cluster::default() };
    assert!(explain(&forgotten, &cluster).unwrap()[0].is_good());
    assert!(!explain(&other, &cluster).unwrap()[0].is_good());
}

/// What lockc would refuse is told as well, but it is not why the pod is not in order.
#[test]
fn a_pod_of_another_runtime_is_told_what_lockc_would_refuse() {
    let text = "kind: Pod\nspec: {hostPID: true, containers: [{name: c}]}\n";
    let answer = answers(text).remove(0);
    assert_eq!(answer.verdict, Verdict::NotConfined);
    assert!(answer.headline.contains("lockc would refuse it by baseline"), "{}", answer.headline);
    assert_eq!(ids(&answer), ["LOCKC-W001", "LOCKC-A005"]);
}

#[test]
fn a_runtime_class_of_the_manifest_names_the_handler() {
    let class = "---\nkind: RuntimeClass\nmetadata: {name: NAME}\nhandler: HANDLER\n";
    for (name, handler, policy) in
        [("secure", "lockc-restricted", Some("restricted")), ("lockc", "runc", None)]
    {
        let class = class.replace("NAME", name).replace("HANDLER", handler);
        let pod = OK.replace("runtimeClassName: lockc", &format!("runtimeClassName: {name}"));
        let answer = answers(&(pod + &class)).remove(0);
        assert_eq!(answer.verdict == Verdict::NotConfined, policy.is_none(), "{name}");
        let explanation = answer.explanation().unwrap();
        assert_eq!(explanation.policy, policy.unwrap_or("baseline"));
        if policy.is_some() {
            assert_eq!(explanation.origin, "RuntimeClass secure");
            assert_eq!(explanation.runtime.as_deref(), Some("RuntimeClass secure"));
        }
    }
}

#[test]
fn a_handler_of_an_unknown_level_refuses() {
    let text = OK.replace("runtimeClassName: lockc", "runtimeClassName: lockc-typo");
    let answer = answers(&text).remove(0);
    assert_eq!((answer.verdict, ids(&answer)), (Verdict::Refused, vec!["LOCKC-P001"]));
}

#[test]
fn a_request_above_the_ceiling_is_one_answer_of_several() {
    let above = "---
kind: Pod
metadata: {name: above, annotations: {org.lockc.policy: privileged}}
spec: {runtimeClassName: lockc, containers: [{name: c}]}
---
";
    let without_class = above.replace("runtimeClassName: lockc, ", "");
    let found = answers(&(OK.to_owned() + above + OK + &without_class));
    let verdicts: Vec<Verdict> = found.iter().map(|answer| answer.verdict).collect();
    use Verdict::{NotConfined, Refused, Starts};
    assert_eq!(verdicts, [Starts, Refused, Starts, NotConfined]);
    assert_eq!(ids(&found[1]), ["LOCKC-P002"]);
    assert_eq!(ids(&found[3]), ["LOCKC-W001", "LOCKC-P002"]);
}

#[test]
fn what_cannot_be_understood_is_an_answer_of_its_own() {
    let text = [
        OK,
        "kind: [\n",
        "services: {web: {image: x}}\n",
        OK,
        "kind: List\nitems:\n- kind: Pod\n  spec: {containers: 5}\n- {}\n- kind: Pod\n  metadata: \
         {name: last}\n  spec: {runtimeClassName: lockc, containers: [{name: c}]}\n",
        "just text\n",
        "kind: Pod\nmetadata: {name: empty}\nspec: {containers: []}\n",
    ]
    .join("---\n");
    let found = answers(&text);
    let verdicts: Vec<Verdict> = found.iter().map(|answer| answer.verdict).collect();
    use Verdict::{Error, Starts};
    assert_eq!(
        verdicts,
        [Starts, Error, Error, Starts, Error, Error, Starts, Error, Error],
        "{:?}",
        summary(&found)
    );
    for (number, reason) in [
        (1, "not a Kubernetes manifest"),
        (2, "it has no kind"),
        (4, "Pod: not a pod"),
        (5, "it has no kind"),
        (7, "not a mapping"),
        (8, "Pod empty: it has no containers"),
    ] {
        let answer = &found[number];
        assert_eq!(ids(answer), ["LOCKC-W009"]);
        assert!(answer.findings[0].what.contains(reason), "{number}: {:?}", answer.findings);
    }
    assert_eq!(
        found[1].findings[0].what,
        "not a Kubernetes manifest in YAML or JSON: unclosed bracket '['"
    );
    let line = |number: usize| found[number].place.as_ref().unwrap().line.unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert!((7..=8).contains(&line(1)), "{}", line(1));
    assert!(lines[line(2) as usize - 1].starts_with("services"));
    assert!(lines[line(5) as usize - 1].starts_with("- {}"));
    assert!(lines[line(8) as usize - 1].starts_with("spec: {containers: []}"), "{}", line(8));
}

#[test]
fn a_file_without_a_pod_is_an_error() {
    for text in ["", "# nothing\n", "---\n---\n", "kind: ConfigMap\n", "kind: PodList\nitems: []\n"]
    {
        assert!(explain(text, &Cluster::default()).is_err(), "{text:?}");
    }
    let windows = "kind: Pod\nspec: {os: {name: windows}, containers: [{name: c}]}\n";
    assert!(explain(windows, &Cluster::default()).is_err());
    assert_eq!(answers(&format!("{windows}---\n{OK}")).len(), 1);
}

#[test]
fn every_container_has_its_line() {
    let text = "# a comment
%YAML 1.2
---
# another
kind: Deployment
metadata: {name: web}
spec:
  template:
    spec:
      runtimeClassName: lockc
      initContainers:
      - name: first
        image: x
      containers:
      - image: y
        name: second
      -
        name: third
---   # the next
kind: List
items:
- kind: Pod
  metadata:
    name: a
  spec:
    runtimeClassName: lockc
    containers:
      - name: fourth
    ephemeralContainers:
      - name: debug
";
    // A directive has to be first.
    let text = text.replacen("# a comment\n", "", 1);
    let found: Vec<(String, u64)> =
        summary(&answers(&text)).into_iter().map(|(subject, _, line)| (subject, line)).collect();
    let expected = [
        ("Deployment web, container first", "      - name: first"),
        ("Deployment web, container second", "      - image: y"),
        ("Deployment web, container third", "        name: third"),
        ("Pod a, container fourth", "      - name: fourth"),
        ("Pod a, container debug", "      - name: debug"),
    ];
    let lines: Vec<&str> = text.lines().collect();
    let told: Vec<(&str, &str)> = found
        .iter()
        .map(|(subject, line)| (subject.as_str(), lines[usize::try_from(*line).unwrap() - 1]))
        .collect();
    assert_eq!(told, expected);
}

#[test]
fn json_has_lines_too() {
    let text = "{\n\t\"kind\": \"Pod\",\n\t\"metadata\": {\"name\": \"a\"},\n\t\"spec\": {\n\t\t\
                \"runtimeClassName\": \"lockc\",\n\t\t\"containers\": [\n\t\t\t{\"name\": \
                \"c\"}\n\t\t]\n\t}\n}\n";
    assert_eq!(summary(&answers(text)), [("Pod a, container c".to_owned(), Verdict::Starts, 7)]);
}

#[test]
fn windows_line_ends_and_document_ends_are_read() {
    let text = format!("\u{feff}{OK}...\n---\n{OK}").replace('\n', "\r\n");
    let lines: Vec<u64> = summary(&answers(&text)).into_iter().map(|(_, _, line)| line).collect();
    assert_eq!(lines, [5, 12]);
}

/// A script in a ConfigMap may have such lines, but not at the beginning of a line.
#[test]
fn markers_within_a_text_do_not_divide() {
    let text = format!("kind: ConfigMap\ndata:\n  x: |\n    a\n    ---\n    b: [\n---\n{OK}");
    assert_eq!(summary(&answers(&text)).len(), 1);
}

#[test]
fn pod_templates_are_found_wherever_they_are() {
    let pod = "{metadata: {annotations: {org.lockc.policy: restricted}}, spec: {runtimeClassName: \
               lockc, containers: [{name: c}]}}";
    for (kind, rest) in [
        ("Deployment", format!("spec: {{template: {pod}}}")),
        ("CronJob", format!("spec: {{jobTemplate: {{spec: {{template: {pod}}}}}}}")),
        ("PodTemplate", format!("template: {pod}")),
        (
            "JobSet",
            format!("spec: {{replicatedJobs: [{{template: {{spec: {{template: {pod}}}}}}}]}}"),
        ),
    ] {
        let found = answers(&format!("kind: {kind}\nmetadata: {{name: x}}\n{rest}\n"));
        assert_eq!(found.len(), 1, "{kind}");
        assert_eq!(found[0].verdict, Verdict::Refused);
        assert_eq!(found[0].explanation().unwrap().policy, "restricted", "{kind}");
        assert_eq!(found[0].object.as_deref(), Some(format!("{kind} x").as_str()));
    }
    for rest in ["spec: {}", "spec: {template: {spec: {containers: {}}}}", ""] {
        let found = answers(&format!("kind: Deployment\nmetadata: {{name: x}}\n{rest}\n"));
        assert_eq!(ids(&found[0]), ["LOCKC-W009"], "{rest}");
        assert!(found[0].findings[0].what.contains("Deployment x: it has no pod template"));
    }
    let patched = "kind: Prometheus\nspec: {containers: [{name: patch}]}\n";
    assert_eq!(answers(&format!("{patched}---\n{OK}")).len(), 1);
    let list =
        "kind: PodList\nitems: [{spec: {runtimeClassName: lockc, containers: [{name: c}]}}]\n";
    assert_eq!(answers(list)[0].verdict, Verdict::Starts);
}

#[test]
fn the_namespace_of_objects_that_name_none_can_be_stated() {
    let config = PolicySet::parse(
        "[namespaces.strict]\ndefault = 'restricted'\nceiling = 'restricted'\n",
        Path::new("x"),
    )
    .unwrap();
    let named = OK.replace("{name: ok}", "{name: ok, namespace: default}");
    for (namespace, text, policy) in [
        (None, OK, "baseline"),
        (Some("strict"), OK, "restricted"),
        (Some("strict"), &named, "baseline"),
    ] {
        let namespace = namespace.map(str::to_owned);
        let cluster = Cluster { config: config.clone(), namespace, ..Cluster::default() };
        let found = explain(text, &cluster).unwrap();
        assert_eq!(found[0].explanation().unwrap().policy, policy);
    }
}
