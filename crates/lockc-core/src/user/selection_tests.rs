//! Every means of asking, and every ceiling against each of them.

use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::{
    rules::Level,
    user::config::{Kubernetes, Labels, labels::Namespace},
};

const CONFIG: &str = "
default = 'baseline'
ceiling = 'baseline'
[engines.docker]
default = 'restricted'
[engines.podman]
ceiling = 'privileged'
[namespaces.kube-system]
default = 'privileged'
ceiling = 'privileged'
[namespaces.'team-*']
ceiling = 'restricted'
default = 'restricted'
[policies.monitoring]
extends = 'baseline'
admit = ['host-namespaces']
[policies.audited]
extends = 'restricted'
mode = 'audit'
[policies.reading]
extends = 'baseline'
reads = ['/proc/kallsyms']
";

fn config() -> Config {
    Config::parse(CONFIG, Path::new("lockc.toml")).unwrap()
}

fn chosen(asked: &Asked<'_>) -> Result<(String, String), String> {
    resolve(&config(), asked).map(|policy| (policy.name, policy.origin)).map_err(|error| error.to_string())
}

fn name(asked: &Asked<'_>) -> Result<String, String> {
    chosen(asked).map(|(name, _)| name)
}

#[test]
fn the_nearest_default_holds_and_says_where_it_stands() {
    let none = Asked::default();
    assert_eq!(chosen(&none).unwrap(), ("baseline".into(), "the default".into()));
    let docker = Asked { engine: Some(Engine::Docker), ..none.clone() };
    assert_eq!(chosen(&docker).unwrap(), ("restricted".into(), "engines.docker.default".into()));
    let system = Asked { engine: Some(Engine::Cri), namespace: Some("kube-system"), ..none.clone() };
    assert_eq!(chosen(&system).unwrap(), ("privileged".into(), "namespaces.\"kube-system\".default".into()));
    let other = Asked { namespace: Some("kube-public"), ..system.clone() };
    assert_eq!(name(&other).unwrap(), "baseline");
    let argument = Asked { argument: Some("offline"), annotation: Some("baseline"), ..system };
    assert_eq!(chosen(&argument).unwrap(), ("offline".into(), "--lockc-policy".into()));
}

#[test]
fn requests_hold_up_to_the_nearest_ceiling() {
    type Request = fn(&'static str) -> Asked<'static>;
    let means: [Request; 2] = [
        |name| Asked { annotation: Some(name), ..Asked::default() },
        |name| Asked { label: Some(name), engine: Some(Engine::Docker), ..Asked::default() },
    ];
    for ask in means {
        for (policy, granted) in [
            ("restricted", true),
            ("offline", true),
            ("baseline", true),
            ("monitoring", false),
            ("audited", false),
            ("reading", false),
            ("privileged", false),
        ] {
            assert_eq!(name(&ask(policy)).is_ok(), granted, "{policy}");
        }
        let team = |policy| Asked { namespace: Some("team-a"), ..ask(policy) };
        assert!(name(&team("restricted")).is_ok());
        let error = name(&team("baseline")).unwrap_err();
        for part in ["baseline", "restricted", "namespaces.\"team-*\".ceiling"] {
            assert!(error.contains(part), "{error}");
        }
        assert!(name(&Asked { engine: Some(Engine::Podman), ..ask("privileged") }).is_ok());
        let both = Asked { namespace: Some("team-a"), engine: Some(Engine::Podman), ..ask("privileged") };
        assert!(name(&both).is_err(), "the namespace is nearer than the engine");
        assert!(name(&ask("none-such")).unwrap_err().contains("unknown policy"));
    }
}

#[test]
fn an_annotation_stands_before_a_label_and_both_must_exist() {
    let asked = Asked { annotation: Some("offline"), label: Some("restricted"), ..Asked::default() };
    assert_eq!(chosen(&asked).unwrap().0, "offline");
    assert!(chosen(&Asked { label: Some("none-such"), ..asked.clone() }).is_err());
    assert!(chosen(&Asked { argument: Some("baseline"), label: Some("none-such"), ..asked }).is_err());
}

#[test]
fn a_pods_containers_take_its_policy_unless_they_ask_for_a_tighter_one() {
    let sandbox = |level| Some(Policy::of_level(level, "x"));
    let asked = Asked { sandbox: sandbox(Level::Restricted), ..Asked::default() };
    assert_eq!(chosen(&asked).unwrap(), ("restricted".into(), "its pod's sandbox".into()));
    let looser = Asked { annotation: Some("baseline"), ..asked.clone() };
    assert!(name(&looser).unwrap_err().contains("pod's sandbox"));
    let tighter = Asked { annotation: Some("restricted"), sandbox: sandbox(Level::Baseline), ..Asked::default() };
    assert_eq!(name(&tighter).unwrap(), "restricted");
    // The sandbox's own policy is no way around the ceiling of what the container asks for.
    let above = Asked { annotation: Some("privileged"), sandbox: sandbox(Level::Privileged), ..Asked::default() };
    assert!(name(&above).is_err());
}

/// Of restricted and offline neither is the stricter one: where both bound a pod, both hold.
#[test]
fn every_ceiling_holds_where_none_is_the_stricter_one() {
    for (ceiling, asked) in [("offline", "offline"), ("privileged", "offline"), ("offline", "restricted")] {
        let config = Config::parse(
            &format!("ceiling = '{ceiling}'\n[namespaces.team-a]\nceiling = 'restricted'\n"),
            Path::new("lockc.toml"),
        )
        .unwrap();
        let claimed = Asked { label: Some(asked), namespace: Some("team-a"), pod_is_claimed: true, ..Asked::default() };
        assert!(resolve(&config, &claimed).unwrap_err().to_string().contains("ceiling"), "{ceiling} {asked}");
    }
}

fn level() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["privileged", "monitoring", "audited", "reading", "baseline", "restricted", "offline"])
}

fn maybe<T: Clone + std::fmt::Debug + 'static>(values: Vec<T>) -> impl Strategy<Value = Option<T>> {
    prop::option::of(prop::sample::select(values))
}

proptest! {
    #[test]
    fn no_request_gets_above_the_ceiling(
        annotation in prop::option::of(level()),
        label in prop::option::of(level()),
        ceilings in prop::array::uniform3(prop::option::of(level())),
        sandbox in maybe(Level::ALL.to_vec()),
        engine in maybe(vec![Engine::Docker, Engine::Cri]),
        namespace in maybe(vec!["team-a", "other"]),
    ) {
        let mut config = config();
        if let Some(ceiling) = ceilings[0] {
            config.ceiling = ceiling.into();
        }
        config.engines.entry(Engine::Docker).or_default().ceiling = ceilings[1].map(str::to_owned);
        config.namespaces.entry("team-*".into()).or_default().ceiling = ceilings[2].map(str::to_owned);
        let sandbox = sandbox.map(|level| Policy::of_level(level, "x"));
        let asked = Asked { annotation, label, engine, namespace, sandbox, ..Asked::default() };
        let ceiling = namespace.filter(|name| *name == "team-a").and(ceilings[2])
            .or(engine.filter(|engine| *engine == Engine::Docker).and(ceilings[1]))
            .unwrap_or(&config.ceiling);
        let ceiling = named(&config, ceiling, "x").unwrap();
        if annotation.or(label).is_some()
            && let Ok(policy) = resolve(&config, &asked)
        {
            prop_assert!(policy.at_least_as_strict_as(&ceiling));
            prop_assert!(asked.sandbox.is_none_or(|sandbox| policy.at_least_as_strict_as(&sandbox)));
        }
    }
}

proptest! {
    /// Whoever asks by whatever means: what a lower ceiling grants, a higher one grants alike; and what tightens the choice of
    /// a container that asks for nothing is never answered with something looser.
    #[test]
    fn a_lower_ceiling_grants_nothing_more(
        annotation in prop::option::of(level()),
        label in prop::option::of(level()),
        ceilings in prop::array::uniform2(level()),
        place in 0..3usize,
        sandbox in maybe(Level::ALL.to_vec()),
        engine in maybe(vec![Engine::Docker, Engine::Crio]),
        namespace in maybe(vec!["team-a", "other"]),
        pod_is_claimed in any::<bool>(),
        said in maybe(vec!["privileged", "baseline", "restricted"]),
        follow in prop::sample::select(vec![Follow::Follow, Follow::Tighten, Follow::Ignore]),
    ) {
        let with = |ceiling: &str| {
            let mut config = config();
            config.kubernetes.namespace_labels = follow;
            if said.is_some() {
                // With a default of its own no label is heard.
                config.namespaces.entry("team-*".into()).or_default().default = None;
            }
            config.labels = said.map(|level| {
                let namespaces = [("team-a".into(), Namespace { enforce: Some(level.into()) })];
                Labels { namespaces: namespaces.into(), ..Labels::default() }
            });
            match place {
                0 => config.ceiling = ceiling.into(),
                1 => config.engines.entry(Engine::Docker).or_default().ceiling = Some(ceiling.into()),
                _ => config.namespaces.entry("team-*".into()).or_default().ceiling = Some(ceiling.into()),
            }
            config
        };
        let sandbox = sandbox.map(|level| Policy::of_level(level, "x"));
        let asked = Asked { annotation, label, engine, namespace, sandbox, pod_is_claimed, ..Asked::default() };
        let named = |name: &str| named(&config(), name, "x").unwrap();
        let below = |a: &str, b: &str| named(a).at_least_as_strict_as(&named(b));
        let [one, other] = ceilings;
        prop_assume!(below(one, other) || below(other, one));
        let (lower, higher) = if below(one, other) { (with(one), with(other)) } else { (with(other), with(one)) };
        if let Ok(policy) = resolve(&lower, &asked) {
            let other = resolve(&higher, &asked);
            // A label that nobody asked above of is itself cut to its namespace's ceiling: another policy, by intent.
            let cut = annotation.or(label).is_none() && said.is_some();
            prop_assert!(other.as_ref().is_ok_and(|other| cut || *other == policy), "{:?} {:?}", policy, other);
        }
    }
}

#[test]
fn what_a_pods_owner_may_have_written_tightens_only() {
    let claimed = |namespace| Asked {
        engine: Some(Engine::Crio),
        namespace: Some(namespace),
        pod_is_claimed: true,
        ..Asked::default()
    };
    assert_eq!(name(&claimed("kube-system")).unwrap(), "baseline");
    let wanting = Asked { annotation: Some("privileged"), ..claimed("kube-system") };
    assert!(name(&wanting).unwrap_err().contains("`ceiling`"));
    assert_eq!(name(&claimed("team-a")).unwrap(), "restricted");
    let wanting = Asked { annotation: Some("baseline"), ..claimed("team-a") };
    assert!(name(&wanting).unwrap_err().contains("namespaces.\"team-*\".ceiling"));
    for (sandbox, inherited) in
        [(Level::Privileged, "baseline"), (Level::Offline, "offline"), (Level::Restricted, "restricted")]
    {
        let sandbox = Some(Policy::of_level(sandbox, "x"));
        assert_eq!(name(&Asked { sandbox, ..claimed("other") }).unwrap(), inherited);
    }
}

/// Namespaces with every label there is, in a cluster that is synced to this node.
fn labelled(text: &str) -> Config {
    let mut config = Config::parse(text, Path::new("lockc.toml")).unwrap();
    let namespaces = [
        ("privileged", Some("privileged")),
        ("baseline", Some("baseline")),
        ("restricted", Some("restricted")),
        ("mistyped", Some("Restricted")),
        ("none", None),
    ];
    let namespaces = namespaces.map(|(name, enforce)| (name.into(), Namespace { enforce: enforce.map(str::to_owned) }));
    config.labels = Some(Labels { namespaces: namespaces.into(), ..Labels::default() });
    config
}

fn in_namespace<'a>(name: &'a str, annotation: Option<&'a str>) -> Asked<'a> {
    Asked { engine: Some(Engine::Cri), namespace: Some(name), annotation, ..Asked::default() }
}

fn text_of(result: Result<Policy, PolicyError>) -> String {
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
        ("baseline", Some("privileged"), "raise the label pod-security.kubernetes.io/enforce of namespace baseline"),
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
    assert!(origin.len() < crate::abi::ORIGIN_LEN);
}

#[test]
fn an_entry_goes_before_a_label_and_a_ceiling_bounds_it() {
    let chooses = labelled("[namespaces.'*']\ndefault = 'baseline'\n");
    for namespace in ["privileged", "restricted", "none", "gone"] {
        assert_eq!(text_of(resolve(&chooses, &in_namespace(namespace, None))), "baseline", "{namespace}");
        assert!(resolve(&chooses, &in_namespace(namespace, Some("privileged"))).is_err(), "{namespace}");
    }
    let bounds = labelled("[namespaces.'*']\nceiling = 'baseline'\n");
    for (namespace, chosen) in [("privileged", "baseline"), ("restricted", "restricted"), ("none", "baseline")] {
        let policy = resolve(&bounds, &in_namespace(namespace, None)).unwrap();
        assert_eq!(policy.name, chosen, "{namespace}");
        assert!(resolve(&bounds, &in_namespace(namespace, Some("privileged"))).is_err(), "{namespace}");
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
        assert_eq!(text_of(resolve(&config, &in_namespace(namespace, None))), chosen, "{setting} {namespace}");
        for level in Level::ALL {
            let granted = resolve(&config, &in_namespace(namespace, Some(level.name()))).is_ok();
            let ceiling = Policy::of_level(Level::from_name(may_ask).unwrap(), "x");
            assert_eq!(granted, Policy::of_level(level, "x").at_least_as_strict_as(&ceiling), "{setting} {level:?}");
        }
    }
}

#[test]
fn a_namespace_of_which_nobody_heard_has_a_policy_of_its_own() {
    let config = labelled("[kubernetes]\nunknown_namespaces = 'restricted'\n");
    let chosen =
        |namespace| resolve(&config, &in_namespace(namespace, None)).map(|policy| (policy.name, policy.origin));
    assert_eq!(chosen("new").unwrap(), ("restricted".into(), "kubernetes.unknown_namespaces".into()));
    assert_eq!(chosen("none").unwrap().0, "baseline");
    assert!(resolve(&config, &in_namespace("new", Some("baseline"))).is_err());
    let unsynced = Config { labels: None, ..config };
    assert_eq!(text_of(resolve(&unsynced, &in_namespace("new", None))), "baseline");
    let error = Config::parse("[kubernetes]\nunknown_namespaces = 'lax'\n", Path::new("a.toml")).unwrap_err();
    assert!(error.to_string().contains("line 2"), "{error}");
}

#[test]
fn a_changed_label_is_for_the_next_pod() {
    // The sandbox was created under another label.
    for (sandbox, now) in
        [(Level::Privileged, "restricted"), (Level::Restricted, "privileged"), (Level::Baseline, "none")]
    {
        let asked =
            |annotation| Asked { sandbox: Some(Policy::of_level(sandbox, "x")), ..in_namespace(now, annotation) };
        assert_eq!(text_of(resolve(&labelled(""), &asked(None))), sandbox.name(), "{now}");
        assert_eq!(text_of(resolve(&labelled(""), &asked(Some(sandbox.name())))), sandbox.name(), "{now}");
    }
    let looser = Asked {
        sandbox: Some(Policy::of_level(Level::Restricted, "x")),
        ..in_namespace("privileged", Some("baseline"))
    };
    assert!(text_of(resolve(&labelled(""), &looser)).contains("pod's sandbox"));
    // Where the pod's owner may have written which sandbox it is, the label is heard as well.
    let claimed = Asked {
        sandbox: Some(Policy::of_level(Level::Baseline, "x")),
        pod_is_claimed: true,
        ..in_namespace("restricted", None)
    };
    assert_eq!(text_of(resolve(&labelled(""), &claimed)), "restricted");
    let claimed = Asked { sandbox: None, ..claimed };
    assert_eq!(text_of(resolve(&labelled(""), &Asked { namespace: Some("privileged"), ..claimed })), "baseline");
}

proptest! {
    /// Whatever is labelled how: no request gets above what the configuration bounds the namespace to, nor above the label; and
    /// a pod that asks for nothing gets above neither.
    #[test]
    fn no_label_gets_above_the_administrators_ceiling(
        annotation in prop::option::of(level()),
        ceiling in prop::option::of(level()),
        default in prop::option::of(level()),
        setting in prop::sample::select(vec![Follow::Ignore, Follow::Tighten, Follow::Follow]),
        namespace in prop::sample::select(vec!["privileged", "baseline", "restricted", "none", "gone"]),
        unknown in prop::option::of(level()),
        pod_is_claimed in any::<bool>(),
    ) {
        let mut config = labelled(CONFIG);
        config.kubernetes = Kubernetes { namespace_labels: setting, unknown_namespaces: unknown.map(str::to_owned) };
        let entry = Choice { default: default.map(str::to_owned), ceiling: ceiling.map(str::to_owned) };
        config.namespaces.insert("*".into(), entry);
        let asked = Asked { pod_is_claimed, ..in_namespace(namespace, annotation) };
        let without = resolve(&Config { labels: None, ..config.clone() }, &asked);
        let named = |name: &str| named(&config, name, "x").unwrap();
        let label = match config.labels.as_ref().unwrap().of(namespace) {
            Said::Level(level) => Some(named(level.name())),
            Said::Unknown => unknown.map(named),
            Said::Nothing => None,
        };
        let chosen = resolve(&config, &asked);
        if let Ok(chosen) = &chosen {
            // The configuration's own ceiling is baseline; by a claimed namespace it is not raised.
            let label = label.filter(|_| default.is_none() && setting == Follow::Follow);
            let bound = match (pod_is_claimed, ceiling, &label, annotation) {
                (true, .., Some(_)) | (false, None, None, Some(_)) => Some(named("baseline")),
                (false, Some(ceiling), _, Some(_)) | (false, Some(ceiling), Some(_), None) => Some(named(ceiling)),
                (false, None, Some(label), _) => Some(label.clone()),
                _ => None,
            };
            prop_assert!(bound.is_none_or(|bound| chosen.at_least_as_strict_as(&bound)), "{chosen:?}");
        }
        // What may only tighten refuses more, and loosens nothing.
        if setting != Follow::Follow || pod_is_claimed {
            match (&chosen, &without) {
                (Ok(chosen), Ok(without)) => prop_assert!(chosen.at_least_as_strict_as(without), "{chosen:?} {without:?}"),
                (Ok(chosen), Err(error)) => prop_assert!(false, "{chosen:?}, without the label {error}"),
                (Err(_), _) => {}
            }
        }
        if default.is_some() || setting == Follow::Ignore {
            prop_assert_eq!(chosen, without);
        }
    }
}
