//! What the chart has for `lockc-node report`: rights, the admission policy that narrows them, and
//! where pods of lockc's go.

use serde_json::{Value, json};

use crate::{
    admission::{Admission, ask_about},
    chart,
};

const USER: &str = "system:serviceaccount:lockc-system:lockc";
const NODE_NAME: &str = "authentication.kubernetes.io/node-name";

fn object<'a>(objects: &'a [Value], kind: &str, name: &str) -> &'a Value {
    let is_it = |it: &&Value| it["kind"] == kind && it["metadata"]["name"] == name;
    objects.iter().find(is_it).unwrap_or_else(|| panic!("no {kind} {name}"))
}

fn refusals(resource: &str, node: &str, old: Option<&Value>, object: &Value) -> Vec<String> {
    let user = json!({ "username": USER, "extra": { NODE_NAME: [node] } });
    refusals_of(&user, resource, old, object)
}

/// By the evaluator of these tests, and by Kubernetes' own plugin where there is one.
fn refusals_of(user: &Value, resource: &str, old: Option<&Value>, object: &Value) -> Vec<String> {
    let policy = Admission::named(&chart(), "lockc-report");
    let request = json!({ "operation": if old.is_some() { "UPDATE" } else { "CREATE" },
        "resource": { "resource": resource }, "name": object["metadata"]["name"],
        "userInfo": user });
    let namespace = json!({ "metadata": { "name": "shop" } });
    let said = policy.refusals_of(&request, &namespace, old, object);
    if let Some(check) = std::env::var_os("LOCKC_ADMISSION_JUDGE") {
        for subresource in ["", "status"] {
            let about = json!({ "resource": resource, "subresource": subresource, "user": user });
            let asked = resource == "nodes" || subresource.is_empty();
            let answer = ask_about(&check, &about, &namespace, old, object).filter(|_| asked);
            assert_eq!(answer.is_some(), asked && !said.is_empty(), "{object}: {answer:?}");
            let same = |answer: &String| said.iter().any(|text| answer.ends_with(text));
            assert!(answer.is_none_or(|answer| same(&answer)), "{object}: other words");
        }
    }
    said
}

fn node() -> Value {
    json!({
        "metadata": { "name": "worker", "labels": { "zone": "a", "lockc.org/ready": "false" },
            "annotations": { "x": "y" } },
        "spec": { "podCIDR": "10.0.0.0/24", "taints": [{ "key": "k", "effect": "NoSchedule" }] },
        "status": { "capacity": { "cpu": "4" }, "images": [{ "names": ["a"] }],
            "conditions": [{ "type": "Ready", "status": "True" }] },
    })
}

/// The node, changed; whether lockc's pod may do that.
fn may(change: impl FnOnce(&mut Value)) -> bool {
    let mut new = node();
    change(&mut new);
    refusals("nodes", "worker", Some(&node()), &new).is_empty()
}

#[test]
fn a_token_changes_the_label_and_the_condition_of_its_own_node() {
    assert!(may(|node| node["metadata"]["labels"]["lockc.org/ready"] = "true".into()));
    assert!(may(|node| {
        let conditions = node["status"]["conditions"].as_array_mut().unwrap();
        conditions.push(json!({ "type": "LockcReady", "status": "True" }));
    }));
    let said = refusals("nodes", "another", Some(&node()), &node());
    assert!(said.len() == 1 && said[0].contains("its own node only"), "{said:?}");
}

#[test]
fn a_token_changes_nothing_else_of_a_node() {
    let refused: [fn(&mut Value); 11] = [
        |node| node["metadata"]["labels"]["zone"] = "b".into(),
        |node| node["metadata"]["labels"]["node-restriction.kubernetes.io/x"] = "".into(),
        |node| drop(node["metadata"]["labels"].as_object_mut().unwrap().remove("zone")),
        |node| drop(node["metadata"].as_object_mut().unwrap().remove("labels")),
        |node| node["metadata"]["annotations"]["x"] = "z".into(),
        |node| drop(node["metadata"].as_object_mut().unwrap().remove("annotations")),
        |node| node["metadata"]["finalizers"] = json!(["f"]),
        |node| drop(node["spec"].as_object_mut().unwrap().remove("taints")),
        |node| node["spec"]["unschedulable"] = true.into(),
        |node| node["status"]["capacity"]["cpu"] = "64".into(),
        |node| node["status"]["conditions"][0]["status"] = "False".into(),
    ];
    for (index, change) in refused.into_iter().enumerate() {
        assert!(!may(change), "{index}");
    }
    assert!(!may(|node| drop(node.as_object_mut().unwrap().remove("status"))));
    assert!(!may(|node| node["status"]["runtimeHandlers"] = json!([{ "name": "lockc" }])));
}

#[test]
fn a_token_without_a_node_changes_none() {
    for user in [json!({ "username": USER }), json!({ "username": USER, "extra": {} })] {
        let said = refusals_of(&user, "nodes", Some(&node()), &node());
        assert!(said.iter().any(|text| text.contains("its own node only")), "{said:?}");
    }
}

#[test]
fn a_token_writes_events_of_its_own_only() {
    let event = |controller: &str, kind: &str| {
        json!({ "metadata": { "name": "e" }, "reportingController": controller,
            "regarding": { "kind": kind } })
    };
    let own = event("lockc.org/node", "Pod");
    let write =
        |old: Option<&Value>, new: &Value| refusals("events", "worker", old, new).is_empty();
    assert!(write(None, &own) && write(Some(&own), &own));
    assert!(!write(None, &event("lockc.org/node", "Node")));
    assert!(!write(None, &event("kubelet", "Pod")));
    assert!(!write(Some(&event("kubelet", "Pod")), &own));
}

#[test]
fn nobody_else_is_asked() {
    let policy = Admission::named(&chart(), "lockc-report");
    assert!(policy.is_about(USER));
    for other in ["system:node:worker", "system:serviceaccount:lockc-system:default", "admin"] {
        assert!(!policy.is_about(other), "{other}");
    }
}

#[test]
fn pods_of_lockcs_wait_for_a_node_that_is_ready() {
    for name in ["lockc", "lockc-baseline", "lockc-restricted", "lockc-offline"] {
        let chart = chart();
        let class = object(&chart, "RuntimeClass", name);
        assert_eq!(class["scheduling"]["nodeSelector"], json!({ "lockc.org/ready": "true" }));
    }
}

/// On the loopback device: only a setting lets others reach them.
#[test]
fn probes_and_metrics_are_the_nodes_own() {
    let chart = chart();
    let pod = &object(&chart, "DaemonSet", "lockc")["spec"]["template"]["spec"];
    let report = pod["containers"].as_array().unwrap().iter().find(|it| it["name"] == "report");
    let report = report.unwrap();
    let args = report["args"].to_string();
    assert_eq!(args.matches("--address=").count(), 1, "{args}");
    assert!(args.contains("--address=127.0.0.1\""), "{args}");
    for (probe, path) in [("readinessProbe", "/readyz"), ("livenessProbe", "/healthz")] {
        let get = &report[probe]["httpGet"];
        assert_eq!((&get["host"], &get["path"]), (&"127.0.0.1".into(), &path.into()));
        assert!(args.contains(&format!("--port={}\"", get["port"])), "{args}");
    }
    assert!(report["ports"].is_null() && !chart.iter().any(|it| it["kind"] == "PodMonitor"));
}

/// The only container of the chart's pod with a capability, and it has one.
#[test]
fn the_reporter_has_no_more_than_it_needs() {
    let chart = chart();
    let pod = &object(&chart, "DaemonSet", "lockc")["spec"]["template"]["spec"];
    let containers = pod["containers"].as_array().unwrap();
    let report = containers.iter().find(|it| it["name"] == "report").unwrap();
    let context = &report["securityContext"];
    assert_eq!(context["capabilities"], json!({ "drop": ["ALL"], "add": ["BPF"] }));
    assert_eq!((&context["privileged"], &context["runAsUser"]), (&false.into(), &0.into()));
    let mounts = report["volumeMounts"].as_array().unwrap();
    assert!(mounts.iter().all(|mount| mount["readOnly"] == true), "{mounts:?}");
    let rules = object(&chart, "ClusterRole", "lockc-report")["rules"].to_string();
    assert!(!rules.contains('*') && !rules.contains("secrets"), "{rules}");
}
