//! What a label of a namespace does to the selection.

use std::path::Path;

use proptest::prelude::*;

use lockc_core::rules::Level;

use super::{super::reported, CONFIG, *};
use crate::{
    config::{Mode, labels::NamespaceLabel},
    policy::{Bounds, RequestError},
};

/// Namespaces with every label there is, in a cluster that is synced to this node.
fn labelled(text: &str) -> PolicySet {
    let mut config = PolicySet::parse(text, Path::new("lockc.toml")).unwrap();
    let namespaces = [
        ("privileged", Some("privileged")),
        ("baseline", Some("baseline")),
        ("restricted", Some("restricted")),
        ("mistyped", Some("Restricted")),
        ("none", None),
    ];
    let namespaces = namespaces.map(|(name, enforce)| {
        (name.into(), Namespace { enforce: enforce.map(str::to_owned), ..Namespace::default() })
    });
    config.labels = Some(Labels { namespaces: namespaces.into(), ..Labels::default() });
    config
}

fn in_namespace<'a>(name: &'a str, annotation: Option<&'a str>) -> PolicyRequest<'a> {
    PolicyRequest {
        engine: Some(Engine::Cri),
        namespace: Some(name),
        annotation,
        ..PolicyRequest::default()
    }
}

fn text_of(result: Result<Policy, RequestError>) -> String {
    result.map_or_else(|error| error.to_string(), |policy| policy.name)
}

#[test]
fn a_label_is_default_and_ceiling_of_its_namespace() {
    let config = labelled("");
    for (namespace, annotation, says) in [
        ("privileged", None, "privileged"),
        ("privileged", Some("privileged"), "privileged"),
        ("privileged", Some("offline"), "offline"),
        ("baseline", None, "baseline"),
        ("baseline", Some("restricted"), "restricted"),
        (
            "baseline",
            Some("privileged"),
            "raise the label pod-security.kubernetes.io/enforce of namespace baseline",
        ),
        ("restricted", None, "restricted"),
        ("restricted", Some("baseline"), "looser than the ceiling restricted"),
        ("restricted", Some("offline"), "looser than the ceiling restricted"),
        ("mistyped", None, "restricted"),
        ("none", None, "baseline"),
        ("none", Some("privileged"), "raise `ceiling` in /etc/lockc/lockc.toml"),
        ("gone", None, "baseline"),
    ] {
        let text = text_of(resolve(&config, &in_namespace(namespace, annotation)));
        assert!(text.contains(says), "{namespace} {annotation:?}: {text}");
    }
    let origin = resolve(&config, &in_namespace("restricted", None)).unwrap().origin;
    assert_eq!(origin, "label pod-security.kubernetes.io/enforce");
    assert!(origin.len() < lockc_core::abi::ORIGIN_LEN);
}

#[test]
fn an_entry_goes_before_a_label_and_a_ceiling_bounds_it() {
    let chooses = labelled("[namespaces.'*']\ndefault = 'baseline'\n");
    for namespace in ["privileged", "restricted", "none", "gone"] {
        assert_eq!(
            text_of(resolve(&chooses, &in_namespace(namespace, None))),
            "baseline",
            "{namespace}"
        );
        assert!(
            resolve(&chooses, &in_namespace(namespace, Some("privileged"))).is_err(),
            "{namespace}"
        );
    }
    let bounds = labelled("[namespaces.'*']\nceiling = 'baseline'\n");
    for (namespace, chosen) in
        [("privileged", "baseline"), ("restricted", "restricted"), ("none", "baseline")]
    {
        let policy = resolve(&bounds, &in_namespace(namespace, None)).unwrap();
        assert_eq!(policy.name, chosen, "{namespace}");
        assert!(
            resolve(&bounds, &in_namespace(namespace, Some("privileged"))).is_err(),
            "{namespace}"
        );
    }
    assert!(resolve(&bounds, &in_namespace("restricted", Some("baseline"))).is_err());
}

#[test]
fn the_administrator_says_what_labels_do() {
    for (setting, namespace, chosen, may_ask) in [
        ("ignore", "privileged", "baseline", "baseline"),
        ("ignore", "restricted", "baseline", "baseline"),
        ("tighten", "privileged", "baseline", "baseline"),
        ("tighten", "restricted", "restricted", "restricted"),
        ("follow", "privileged", "privileged", "privileged"),
    ] {
        let config = labelled(&format!("[kubernetes]\nnamespace_labels = '{setting}'\n"));
        assert_eq!(
            text_of(resolve(&config, &in_namespace(namespace, None))),
            chosen,
            "{setting} {namespace}"
        );
        for level in Level::ALL {
            let granted = resolve(&config, &in_namespace(namespace, Some(level.name()))).is_ok();
            let ceiling = Policy::for_level(Level::from_name(may_ask).unwrap(), "x");
            assert_eq!(
                granted,
                Policy::for_level(level, "x").at_least_as_strict_as(&ceiling),
                "{setting} {level:?}"
            );
        }
    }
}

#[test]
fn a_namespace_of_which_nobody_heard_has_a_policy_of_its_own() {
    let config = labelled("[kubernetes]\nunknown_namespaces = 'restricted'\n");
    let chosen = |namespace| {
        resolve(&config, &in_namespace(namespace, None)).map(|policy| (policy.name, policy.origin))
    };
    assert_eq!(
        chosen("new").unwrap(),
        ("restricted".into(), "kubernetes.unknown_namespaces".into())
    );
    assert_eq!(chosen("none").unwrap().0, "baseline");
    assert!(resolve(&config, &in_namespace("new", Some("baseline"))).is_err());
    let unsynced = PolicySet { labels: None, ..config };
    assert_eq!(text_of(resolve(&unsynced, &in_namespace("new", None))), "baseline");
    let error = PolicySet::parse("[kubernetes]\nunknown_namespaces = 'lax'\n", Path::new("a.toml"))
        .unwrap_err();
    assert!(error.to_string().contains("line 2"), "{error}");
}

#[test]
fn a_changed_label_is_for_the_next_pod() {
    // The sandbox was created under another label.
    for (sandbox, now) in [
        (Level::Privileged, "restricted"),
        (Level::Restricted, "privileged"),
        (Level::Baseline, "none"),
    ] {
        let request = |annotation| PolicyRequest {
            sandbox: Some(Policy::for_level(sandbox, "x")),
            ..in_namespace(now, annotation)
        };
        assert_eq!(text_of(resolve(&labelled(""), &request(None))), sandbox.name(), "{now}");
        assert_eq!(
            text_of(resolve(&labelled(""), &request(Some(sandbox.name())))),
            sandbox.name(),
            "{now}"
        );
    }
    let looser = PolicyRequest {
        sandbox: Some(Policy::for_level(Level::Restricted, "x")),
        ..in_namespace("privileged", Some("baseline"))
    };
    assert!(text_of(resolve(&labelled(""), &looser)).contains("pod's sandbox"));
    // Where the pod's owner may have written which sandbox it is, the label is heard as well.
    let claimed = PolicyRequest {
        sandbox: Some(Policy::for_level(Level::Baseline, "x")),
        pod_is_claimed: true,
        ..in_namespace("restricted", None)
    };
    assert_eq!(text_of(resolve(&labelled(""), &claimed)), "restricted");
    let claimed = PolicyRequest { sandbox: None, ..claimed };
    assert_eq!(
        text_of(resolve(
            &labelled(""),
            &PolicyRequest { namespace: Some("privileged"), ..claimed }
        )),
        "baseline"
    );
}

proptest! {
    /// Whatever is labelled how: no request gets above what the configuration bounds the namespace
    /// to, nor above the label; and a pod that asks for nothing gets above neither.
    #[test]
    fn no_label_gets_above_the_administrators_ceiling(
        annotation in prop::option::of(level()),
        ceiling in prop::option::of(level()),
        default in prop::option::of(level()),
        setting in prop::sample::select(vec![Follow::Ignore, Follow::Tighten, Follow::Follow]),
        namespace in prop::sample::select(vec!["privileged", "baseline", "restricted", "none",
            "gone"]),
        unknown in prop::option::of(level()),
        pod_is_claimed in any::<bool>(),
    ) {
        let mut config = labelled(CONFIG);
        let set = config.clone();
        let named = |name: &str| set.request(name, "x").unwrap();
        config.namespace_labels = setting;
        config.unknown_namespaces = unknown.map(named);
        let entry = Bounds { default: default.map(named), ceiling: ceiling.map(named), mode: None };
        config.namespaces.insert("*".into(), entry);
        let request = PolicyRequest { pod_is_claimed, ..in_namespace(namespace, annotation) };
        let without = resolve(&PolicySet { labels: None, ..config.clone() }, &request);
        let label = match config.labels.as_ref().unwrap().of(namespace) {
            NamespaceLabel::Level(level) => Some(named(level.name())),
            NamespaceLabel::Unknown => unknown.map(named),
            NamespaceLabel::Nothing => None,
        };
        let chosen = resolve(&config, &request);
        if let Ok(chosen) = &chosen {
            // The configuration's own ceiling is baseline; by a claimed namespace it is not raised.
            let label = label.filter(|_| default.is_none() && setting == Follow::Follow);
            let bound = match (pod_is_claimed, ceiling, &label, annotation) {
                (true, .., Some(_)) | (false, None, None, Some(_)) => Some(named("baseline")),
                (false, Some(ceiling), _, Some(_)) | (false, Some(ceiling), Some(_), None) =>
                    Some(named(ceiling)),
                (false, None, Some(label), _) => Some(label.clone()),
                _ => None,
            };
            prop_assert!(bound.is_none_or(|bound| chosen.at_least_as_strict_as(&bound)),
                "{chosen:?}");
        }
        // What may only tighten refuses more, and loosens nothing.
        if setting != Follow::Follow || pod_is_claimed {
            match (&chosen, &without) {
                (Ok(chosen), Ok(without)) => prop_assert!(chosen.at_least_as_strict_as(without),
                    "{chosen:?} {without:?}"),
                (Ok(chosen), Err(error)) => prop_assert!(false,
                    "{chosen:?}, without the label {error}"),
                (Err(_), _) => {}
            }
        }
        if default.is_some() || setting == Follow::Ignore {
            prop_assert_eq!(chosen, without);
        }
    }
}

/// A pod's owner who could have written the namespace gets no audit mode by it; and a request in
/// audit mode needs a sandbox in audit mode.
#[test]
fn a_mode_is_not_for_those_who_claim_a_namespace() {
    let set = PolicySet::parse(
        "[namespaces.a]\nmode = 'audit'\nceiling = 'privileged'",
        Path::new("lockc.toml"),
    )
    .unwrap();
    let mode = |request: &PolicyRequest<'_>| resolve(&set, request).unwrap().mode;
    let claimed = PolicyRequest { pod_is_claimed: true, ..in_namespace("a", None) };
    assert_eq!(mode(&claimed), Mode::Enforce);
    assert_eq!(mode(&in_namespace("a", None)), Mode::Audit);
    assert_eq!(mode(&in_namespace("a", Some("privileged"))), Mode::Audit);
    // The sandbox was created before the namespace was in audit mode.
    let sandbox = Some(Policy::for_level(Level::Baseline, "x"));
    let request = PolicyRequest { sandbox, ..in_namespace("a", Some("restricted")) };
    assert_eq!(mode(&request), Mode::Enforce);
    let looser = PolicyRequest { annotation: Some("privileged"), ..request };
    assert!(resolve(&set, &looser).is_err());
}

proptest! {
    /// What the labels `audit` and `warn` name never changes what is enforced.
    #[test]
    fn what_is_reported_forbids_more_than_the_policy(
        audit in "privileged|baseline|restricted|x", warn in "privileged|baseline|restricted|x",
        level in 0_usize..3,
    ) {
        let mut set = PolicySet::default();
        let namespace = Namespace { audit: Some(audit), warn: Some(warn), ..Namespace::default() };
        let namespaces = [("a".into(), namespace)].into();
        set.labels = Some(Labels { namespaces, ..Labels::default() });
        let chosen = Policy::for_level(Level::ALL[level], "x");
        let reported = reported(&set, Some("a"), &chosen);
        for policy in reported.audit.iter().chain(&reported.warn) {
            prop_assert_eq!(policy.mode, Mode::Audit);
            prop_assert!(policy.level > chosen.level);
        }
        let levels = [reported.audit, reported.warn].map(|policy| Some(policy?.level));
        prop_assert!(levels[0].is_none() || levels[0] != levels[1]);
    }
}
