//! The Pod Security Standards, control by control, as their own examples have them: what baseline
//! and restricted refuse of a pod, and what they do not.

use lockc_core::rules::Level;
use serde_json::{Value, json};

use super::*;

/// The answers of a cluster in which lockc is the default runtime.
fn explain(text: &str, config: &PolicySet, level: Option<&str>) -> Result<Vec<Answer>> {
    let default = Some(("lockc".to_owned(), "a test".to_owned()));
    let cluster = Cluster {
        config: config.clone(),
        runtimes: Runtimes { default, ..Runtimes::default() },
        level: level.map(str::to_owned),
        ..Cluster::default()
    };
    super::explain(text, &cluster)
}

/// A pod that restricted admits.
const POD: &str = "
kind: Pod
metadata: {name: web, namespace: team-a}
spec:
  securityContext:
    runAsNonRoot: true
    seccompProfile: {type: RuntimeDefault}
  containers:
  - name: c
    image: nginx
    securityContext:
      allowPrivilegeEscalation: false
      capabilities: {drop: [ALL]}
";

/// The pod with a value at a JSON pointer, and what refuses it.
fn refused(pointer: &str, value: Value, level: Level) -> Vec<&'static str> {
    let verdict = checked(pointer, value, Some(level.name()));
    let lines =
        verdict.explanation().unwrap().controls.iter().filter(|line| line.verdict == "refused");
    lines.map(|line| line.name).collect()
}

fn checked(pointer: &str, value: Value, level: Option<&str>) -> Answer {
    let mut pods: Vec<Value> = serde_saphyr::from_multiple(POD).unwrap();
    if let Some((parent, key)) = pointer.rsplit_once('/') {
        let parent = pods[0].pointer_mut(parent).unwrap();
        parent[key] = value;
    }
    explain(&pods[0].to_string(), &PolicySet::default(), level).unwrap().remove(0)
}

const CONTAINER: &str = "/spec/containers/0/securityContext";

/// Refused by baseline and by restricted, by these controls at least.
fn at_both(key: &str, value: Value, control: &str) {
    for level in [Level::Baseline, Level::Restricted] {
        let controls = refused(key, value.clone(), level);
        assert!(controls.contains(&control), "{key} {value} {level:?}: {controls:?}");
    }
    assert!(refused(key, value, Level::Privileged).is_empty());
}

fn at_none(key: &str, value: &Value) {
    for level in [Level::Baseline, Level::Restricted] {
        assert!(refused(key, value.clone(), level).is_empty(), "{key} {value} {level:?}");
    }
}

/// Refused by restricted only.
fn at_restricted(key: &str, value: Value, control: &str) {
    assert!(refused(key, value.clone(), Level::Baseline).is_empty(), "{key} {value}");
    assert_eq!(refused(key, value, Level::Restricted), [control], "{key}");
}

#[test]
fn a_pod_that_restricted_admits() {
    at_none("/metadata/labels", &json!({}));
}

#[test]
fn host_namespaces() {
    for key in ["hostNetwork", "hostPID", "hostIPC"] {
        at_both(&format!("/spec/{key}"), json!(true), "host-namespaces");
        at_none(&format!("/spec/{key}"), &json!(false));
    }
}

#[test]
fn privileged_containers() {
    for control in ["capabilities", "proc-mount", "devices"] {
        at_both(&format!("{CONTAINER}/privileged"), json!(true), control);
    }
}

#[test]
fn capabilities() {
    let key = format!("{CONTAINER}/capabilities");
    at_both(&key, json!({ "drop": ["ALL"], "add": ["NET_ADMIN"] }), "capabilities");
    at_both(&key, json!({ "add": ["ALL"] }), "capabilities");
    at_restricted(&key, json!({ "drop": ["ALL"], "add": ["CHOWN"] }), "capabilities");
    at_restricted(&key, json!({}), "capabilities");
    at_none(&key, &json!({ "drop": ["ALL"], "add": ["NET_BIND_SERVICE"] }));
}

#[test]
fn host_paths() {
    let volume = |path: &str, kind: &str| {
        let mut pods: Vec<Value> = serde_saphyr::from_multiple(POD).unwrap();
        pods[0]["spec"]["volumes"] =
            json!([{ "name": "v", "hostPath": { "path": path, "type": kind } }]);
        pods[0]["spec"]["containers"][0]["volumeMounts"] =
            json!([{ "name": "v", "mountPath": "/v" }]);
        ["baseline", "restricted"].map(|level| {
            let verdict = explain(&pods[0].to_string(), &PolicySet::default(), Some(level))
                .unwrap()
                .remove(0);
            let lines = verdict
                .explanation()
                .unwrap()
                .controls
                .iter()
                .filter(|line| line.verdict == "refused");
            lines.map(|line| line.name).collect::<Vec<_>>().join(" ")
        })
    };
    for path in ["/", "/etc", "/var/run", "/proc", "/var/lib/kubelet", "/data"] {
        assert_eq!(volume(path, ""), ["host-mounts", "host-mounts"], "{path}");
    }
    assert_eq!(volume("/var/run/docker.sock", ""), ["host-sockets", "host-sockets"]);
    assert_eq!(volume("/srv/agent", "Socket"), ["host-sockets", "host-sockets"]);
    assert_eq!(volume("/dev/kvm", ""), ["devices", "devices"]);
    assert_eq!(volume("/srv/data", ""), ["host-mounts", "host-mounts"], "the standards admit none");
}

#[test]
fn profiles() {
    let seccomp = "/spec/securityContext/seccompProfile";
    at_restricted(seccomp, json!(null), "seccomp");
    at_restricted(seccomp, json!({ "type": "Unconfined" }), "seccomp");
    at_none(seccomp, &json!({ "type": "Localhost", "localhostProfile": "x.json" }));
    let apparmor = "/spec/securityContext/appArmorProfile";
    at_both(apparmor, json!({ "type": "Unconfined" }), "apparmor");
    at_none(apparmor, &json!({ "type": "RuntimeDefault" }));
    at_none(apparmor, &json!({ "type": "Localhost", "localhostProfile": "x" }));
    let selinux = "/spec/securityContext/seLinuxOptions";
    for value in
        [json!({ "type": "spc_t" }), json!({ "user": "sysadm_u" }), json!({ "role": "sysadm_r" })]
    {
        at_both(selinux, value, "selinux");
    }
    at_none(selinux, &json!({ "type": "container_init_t", "level": "s0:c1,c2" }));
    at_both(&format!("{CONTAINER}/procMount"), json!("Unmasked"), "proc-mount");
    at_none(&format!("{CONTAINER}/procMount"), &json!("Default"));
}

#[test]
fn sysctls() {
    let key = "/spec/securityContext/sysctls";
    at_both(key, json!([{ "name": "kernel.msgmax", "value": "1" }]), "sysctls");
    at_none(key, &json!([{ "name": "net.ipv4.tcp_syncookies", "value": "1" }]));
}

#[test]
fn users() {
    let key = "/spec/securityContext/runAsNonRoot";
    at_restricted(key, json!(null), "run-as-root");
    at_restricted("/spec/securityContext/runAsUser", json!(0), "run-as-root");
    at_none("/spec/securityContext/runAsUser", &json!(1000));
}

#[test]
fn what_no_runtime_learns_of_is_noted() {
    let notes = |pointer: &str, value: Value| {
        checked(pointer, value, None).explanation().unwrap().notes.join("\n")
    };
    assert!(
        notes("/spec/containers/0/ports", json!([{ "containerPort": 80, "hostPort": 80 }]))
            .contains("hostPort 80")
    );
    assert!(
        notes("/spec/volumes", json!([{ "name": "v", "nfs": { "server": "x" } }]))
            .contains("kind nfs")
    );
    assert!(
        notes("/spec/securityContext/appArmorProfile", json!({ "type": "Unconfined" }))
            .contains("without AppArmor")
    );
    let probe = |host: &str| json!({ "httpGet": { "port": 80, "host": host } });
    assert!(notes("/spec/containers/0/livenessProbe", probe("10.0.0.1")).contains("host 10.0.0.1"));
    assert_eq!(notes("/spec/containers/0/livenessProbe", probe("")), "");
    let handler = json!({ "preStop": { "tcpSocket": { "port": 80, "host": "localhost" } } });
    assert!(notes("/spec/containers/0/lifecycle", handler).contains("host localhost"));
    assert_eq!(notes("/spec/volumes", json!([{ "name": "v", "emptyDir": {} }])), "");
}

#[test]
fn templates_lists_and_namespaces() {
    let text = "
apiVersion: v1
kind: List
items:
- kind: Deployment
  metadata: {name: web, namespace: kube-system}
  spec: {template: {metadata: {annotations: {org.lockc.policy: restricted}}, spec: {hostNetwork: \
                true, containers: [{name: a}], initContainers: [{name: b}]}}}
---
kind: CronJob
metadata: {name: night, namespace: other}
spec: {jobTemplate: {spec: {template: {spec: {hostNetwork: true, containers: [{name: c, \
                securityContext: null}]}}}}}
---
kind: ConfigMap
metadata: {name: x}
";
    let config = PolicySet::parse(
        "[namespaces.other]\ndefault = 'privileged'\nceiling = 'privileged'\n",
        Path::new("x"),
    )
    .unwrap();
    let verdicts = explain(text, &config, None).unwrap();
    let found: Vec<_> = verdicts
        .iter()
        .map(|verdict| {
            let explanation = verdict.explanation().unwrap();
            (
                verdict.object.as_deref().unwrap(),
                verdict.container.as_deref().unwrap(),
                explanation.policy.as_str(),
                explanation.starts,
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            ("Deployment web", "b", "restricted", false),
            ("Deployment web", "a", "restricted", false),
            ("CronJob night", "c", "privileged", true),
        ]
    );
    assert!(explain("kind: ConfigMap\n", &config, None).is_err());
    assert!(!explain("a: [", &config, None).unwrap()[0].is_good());
}

#[test]
fn namespaces_of_the_manifest_decide_by_their_labels() {
    let text = "
kind: Namespace
metadata: {name: strict, labels: {pod-security.kubernetes.io/enforce: restricted}}
---
kind: List
items:
- kind: Pod
  metadata: {name: a, namespace: strict}
  spec: {containers: [{name: c}]}
- kind: Pod
  metadata: {name: a, namespace: lax}
  spec: {hostNetwork: true, containers: [{name: c}]}
- kind: Namespace
  metadata: {name: lax, labels: {pod-security.kubernetes.io/enforce: privileged}}
";
    let policies = |config: &PolicySet| -> Vec<_> {
        let verdicts = explain(text, config, None).unwrap();
        verdicts
            .iter()
            .map(|verdict| (verdict.explanation().unwrap().policy.clone(), verdict.is_good()))
            .collect()
    };
    assert_eq!(
        policies(&PolicySet::default()),
        [("restricted".into(), false), ("privileged".into(), true)]
    );
    let ignoring =
        PolicySet::parse("[kubernetes]\nnamespace_labels = 'ignore'\n", Path::new("x")).unwrap();
    assert_eq!(policies(&ignoring), [("baseline".into(), true), ("baseline".into(), false)]);
}

/// The other containers of the manifest are explained all the same.
#[test]
fn a_container_without_a_policy_does_not_start() {
    let text = r#"
kind: Pod
metadata: {name: a, annotations: {org.lockc.policy: privileged}}
spec: {containers: [{name: c}]}
---
kind: Pod
metadata: {name: b, annotations: {org.lockc.policy: no-such}}
spec: {containers: [{name: c}]}
---
kind: Pod
metadata: {name: d}
spec: {containers: [{name: c}]}
"#;
    let verdicts = explain(text, &PolicySet::default(), None).unwrap();
    assert_eq!(verdicts.iter().map(Answer::is_good).collect::<Vec<_>>(), [false, false, true]);
    let json = serde_json::to_value(&verdicts).unwrap();
    for (at, reason) in [(0, "ceiling"), (1, "no-such")] {
        assert_eq!(json[at]["starts"], false);
        assert!(json[at]["reason"].as_str().unwrap().contains(reason), "{}", json[at]);
    }
    assert_eq!(json[2]["starts"], true);
}

#[test]
fn a_pods_network_is_tightened_only_as_by_the_wrapper() {
    let pod = |network: &str| {
        format!(
            "kind: Pod\nmetadata: {{name: a, annotations: {{org.lockc.policy: offline, \
             org.lockc.network: \"{network}\"}}}}\nspec: {{containers: [{{name: c}}]}}\n"
        )
    };
    let starts =
        |network| explain(&pod(network), &PolicySet::default(), None).unwrap()[0].is_good();
    assert!(starts("none"));
    assert!(!starts("full") && !starts("loopback") && !starts("off"));
}

#[test]
fn an_explanation_has_the_network_of_the_policy() {
    for (annotation, network) in [
        ("org.lockc.policy: baseline", "full"),
        ("org.lockc.policy: offline", "none"),
        ("org.lockc.network: loopback", "loopback"),
    ] {
        let pod = format!(
            "kind: Pod\nmetadata: {{name: a, annotations: {{{annotation}}}}}\nspec: {{containers: \
             [{{name: c}}]}}\n"
        );
        let verdicts = explain(&pod, &PolicySet::default(), None).unwrap();
        let json = serde_json::to_value(verdicts[0].explanation().unwrap()).unwrap();
        assert_eq!(json["network"], network, "{annotation}");
    }
}

/// The wrapper admits both, as the Pod Security Standards do: kubelet maps the device for the pod,
/// and the image is its own.
#[test]
fn raw_block_volumes_and_image_volumes_are_checked_as_the_wrapper_checks_them() {
    let block = checked(
        "/spec/containers/0/volumeDevices",
        json!([{ "name": "d", "devicePath": "/dev/xvda" }]),
        None,
    );
    let lines = |verdict: &Answer, name: &str| {
        let mut lines =
            verdict.explanation().unwrap().controls.iter().filter(|line| line.name == name);
        lines.next().map(|line| line.verdict)
    };
    assert_eq!((block.explanation().unwrap().starts, lines(&block, "devices")), (true, Some("ok")));
    let mut pod: Value = serde_saphyr::from_str(POD).unwrap();
    pod["spec"]["containers"][0]["volumeMounts"] = json!([{ "name": "i", "mountPath": "/img" }]);
    pod["spec"]["volumes"] = json!([{ "name": "i", "image": { "reference": "quay.io/x/y" } }]);
    let image = explain(&pod.to_string(), &PolicySet::default(), None).unwrap().remove(0);
    assert!(image.is_good(), "{:?}", image.explanation().unwrap().controls);
    assert!(
        image.explanation().unwrap().notes.is_empty(),
        "{:?}",
        image.explanation().unwrap().notes
    );
    pod["spec"]["volumes"] = json!([{ "name": "i", "emptyDir": {} }]);
    assert!(
        explain(&pod.to_string(), &PolicySet::default(), None)
            .unwrap()
            .remove(0)
            .explanation()
            .unwrap()
            .starts
    );
}
