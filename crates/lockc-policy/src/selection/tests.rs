//! Every means of asking, and every ceiling against each of them.

#[path = "label_tests.rs"]
mod labels;

use std::path::Path;

use proptest::prelude::*;

use lockc_core::rules::Level;

use super::*;
use crate::{
    config::{Follow, Labels, labels::Namespace},
    engine::Engine,
    policy::{Policy, PolicySet},
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

fn config() -> PolicySet {
    PolicySet::parse(CONFIG, Path::new("lockc.toml")).unwrap()
}

fn chosen(request: &PolicyRequest<'_>) -> Result<(String, String), String> {
    resolve(&config(), request)
        .map(|policy| (policy.name, policy.origin))
        .map_err(|error| error.to_string())
}

fn name(request: &PolicyRequest<'_>) -> Result<String, String> {
    chosen(request).map(|(name, _)| name)
}

#[test]
fn the_nearest_default_holds_and_says_where_it_stands() {
    let none = PolicyRequest::default();
    assert_eq!(chosen(&none).unwrap(), ("baseline".into(), "the default".into()));
    let docker = PolicyRequest { engine: Some(Engine::Docker), ..none.clone() };
    assert_eq!(chosen(&docker).unwrap(), ("restricted".into(), "engines.docker.default".into()));
    let system =
        PolicyRequest { engine: Some(Engine::Cri), namespace: Some("kube-system"), ..none.clone() };
    assert_eq!(
        chosen(&system).unwrap(),
        ("privileged".into(), "namespaces.\"kube-system\".default".into())
    );
    let other = PolicyRequest { namespace: Some("kube-public"), ..system.clone() };
    assert_eq!(name(&other).unwrap(), "baseline");
    let argument =
        PolicyRequest { argument: Some("offline"), annotation: Some("baseline"), ..system };
    assert_eq!(chosen(&argument).unwrap(), ("offline".into(), "--lockc-policy".into()));
}

#[test]
fn requests_hold_up_to_the_nearest_ceiling() {
    type Request = fn(&'static str) -> PolicyRequest<'static>;
    let means: [Request; 2] = [
        |name| PolicyRequest { annotation: Some(name), ..PolicyRequest::default() },
        |name| PolicyRequest {
            label: Some(name),
            engine: Some(Engine::Docker),
            ..PolicyRequest::default()
        },
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
        let team = |policy| PolicyRequest { namespace: Some("team-a"), ..ask(policy) };
        assert!(name(&team("restricted")).is_ok());
        let error = name(&team("baseline")).unwrap_err();
        for part in ["baseline", "restricted", "namespaces.\"team-*\".ceiling"] {
            assert!(error.contains(part), "{error}");
        }
        assert!(name(&PolicyRequest { engine: Some(Engine::Podman), ..ask("privileged") }).is_ok());
        let both = PolicyRequest {
            namespace: Some("team-a"),
            engine: Some(Engine::Podman),
            ..ask("privileged")
        };
        assert!(name(&both).is_err(), "the namespace is nearer than the engine");
        assert!(name(&ask("none-such")).unwrap_err().contains("unknown policy"));
    }
}

#[test]
fn an_annotation_stands_before_a_label_and_both_must_exist() {
    let request = PolicyRequest {
        annotation: Some("offline"),
        label: Some("restricted"),
        ..PolicyRequest::default()
    };
    assert_eq!(chosen(&request).unwrap().0, "offline");
    assert!(chosen(&PolicyRequest { label: Some("none-such"), ..request.clone() }).is_err());
    assert!(
        chosen(&PolicyRequest { argument: Some("baseline"), label: Some("none-such"), ..request })
            .is_err()
    );
}

#[test]
fn plugins_have_a_policy_of_their_own() {
    let plugin = PolicyRequest {
        engine: Some(Engine::Docker),
        is_plugin: true,
        argument: Some("offline"),
        ..PolicyRequest::default()
    };
    assert_eq!(name(&plugin).unwrap(), "offline");
    let config =
        PolicySet::parse("[engines.docker]\nplugins = 'privileged'", Path::new("lockc.toml"))
            .unwrap();
    let chosen = |request: &PolicyRequest<'_>| resolve(&config, request).unwrap();
    assert_eq!(
        (chosen(&plugin).name.as_str(), chosen(&plugin).origin.as_str()),
        ("privileged", "engines.docker.plugins")
    );
    assert_eq!(chosen(&PolicyRequest { is_plugin: false, ..plugin.clone() }).name, "offline");
    assert_eq!(
        chosen(&PolicyRequest { engine: None, ..PolicyRequest::default() }).name,
        "baseline"
    );
}

#[test]
fn a_pods_containers_take_its_policy_unless_they_ask_for_a_tighter_one() {
    let sandbox = |level| Some(Policy::for_level(level, "x"));
    let request = PolicyRequest { sandbox: sandbox(Level::Restricted), ..PolicyRequest::default() };
    assert_eq!(chosen(&request).unwrap(), ("restricted".into(), "its pod's sandbox".into()));
    let looser = PolicyRequest { annotation: Some("baseline"), ..request.clone() };
    assert!(name(&looser).unwrap_err().contains("pod's sandbox"));
    let tighter = PolicyRequest {
        annotation: Some("restricted"),
        sandbox: sandbox(Level::Baseline),
        ..PolicyRequest::default()
    };
    assert_eq!(name(&tighter).unwrap(), "restricted");
    // The sandbox's own policy is no way around the ceiling of what the container asks for.
    let above = PolicyRequest {
        annotation: Some("privileged"),
        sandbox: sandbox(Level::Privileged),
        ..PolicyRequest::default()
    };
    assert!(name(&above).is_err());
}

/// Of restricted and offline neither is the stricter one: where both bound a pod, both hold.
#[test]
fn every_ceiling_holds_where_none_is_the_stricter_one() {
    for (ceiling, request) in
        [("offline", "offline"), ("privileged", "offline"), ("offline", "restricted")]
    {
        let config = PolicySet::parse(
            &format!("ceiling = '{ceiling}'\n[namespaces.team-a]\nceiling = 'restricted'\n"),
            Path::new("lockc.toml"),
        )
        .unwrap();
        let claimed = PolicyRequest {
            label: Some(request),
            namespace: Some("team-a"),
            pod_is_claimed: true,
            ..PolicyRequest::default()
        };
        assert!(
            resolve(&config, &claimed).unwrap_err().to_string().contains("ceiling"),
            "{ceiling} {request}"
        );
    }
}

fn level() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "privileged",
        "monitoring",
        "audited",
        "reading",
        "baseline",
        "restricted",
        "offline",
    ])
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
        let set = config.clone();
        let named = |name: &str| set.request(name, "x").unwrap();
        if let Some(ceiling) = ceilings[0] {
            config.ceiling = named(ceiling);
        }
        config.engines.entry(Engine::Docker).or_default().ceiling = ceilings[1].map(named);
        config.namespaces.entry("team-*".into()).or_default().ceiling = ceilings[2].map(named);
        let sandbox = sandbox.map(|level| Policy::for_level(level, "x"));
        let request = PolicyRequest { annotation, label, engine, namespace, sandbox,
            ..PolicyRequest::default() };
        let ceiling = namespace.filter(|name| *name == "team-a").and(ceilings[2])
            .or(engine.filter(|engine| *engine == Engine::Docker).and(ceilings[1]))
            .map_or(config.ceiling.clone(), named);
        if annotation.or(label).is_some()
            && let Ok(policy) = resolve(&config, &request)
        {
            prop_assert!(policy.at_least_as_strict_as(&ceiling));
            let sandbox = request.sandbox.as_ref();
            prop_assert!(sandbox.is_none_or(|sandbox| policy.at_least_as_strict_as(sandbox)));
        }
    }
}

proptest! {
    /// Whoever asks by whatever means: what a lower ceiling grants, a higher one grants alike; and
    /// what tightens the choice of a container that asks for nothing is never answered with
    /// something looser.
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
        let set = config();
        let named = |name: &str| set.request(name, "x").unwrap();
        let with = |ceiling: &str| {
            let mut config = config();
            config.namespace_labels = follow;
            if said.is_some() {
                // With a default of its own no label is heard.
                config.namespaces.entry("team-*".into()).or_default().default = None;
            }
            config.labels = said.map(|level| {
                let labels = Namespace { enforce: Some(level.into()), ..Namespace::default() };
                let namespaces = [("team-a".into(), labels)];
                Labels { namespaces: namespaces.into(), ..Labels::default() }
            });
            let ceiling = named(ceiling);
            let (engines, namespaces) = (&mut config.engines, &mut config.namespaces);
            match place {
                0 => config.ceiling = ceiling,
                1 => engines.entry(Engine::Docker).or_default().ceiling = Some(ceiling),
                _ => namespaces.entry("team-*".into()).or_default().ceiling = Some(ceiling),
            }
            config
        };
        let sandbox = sandbox.map(|level| Policy::for_level(level, "x"));
        let request = PolicyRequest { annotation, label, engine, namespace, sandbox,
            pod_is_claimed, ..PolicyRequest::default() };
        let below = |a: &str, b: &str| named(a).at_least_as_strict_as(&named(b));
        let [one, other] = ceilings;
        prop_assume!(below(one, other) || below(other, one));
        let (lower, higher) = if below(one, other) { (with(one), with(other)) } else {
            (with(other), with(one)) };
        if let Ok(policy) = resolve(&lower, &request) {
            let other = resolve(&higher, &request);
            // A label that nobody asked above of is itself cut to its namespace's ceiling: another
            // policy, by intent.
            let cut = annotation.or(label).is_none() && said.is_some();
            prop_assert!(other.as_ref().is_ok_and(|other| cut || *other == policy), "{:?} {:?}",
                policy, other);
        }
    }
}

#[test]
fn what_a_pods_owner_may_have_written_tightens_only() {
    let claimed = |namespace| PolicyRequest {
        engine: Some(Engine::Crio),
        namespace: Some(namespace),
        pod_is_claimed: true,
        ..PolicyRequest::default()
    };
    assert_eq!(name(&claimed("kube-system")).unwrap(), "baseline");
    let wanting = PolicyRequest { annotation: Some("privileged"), ..claimed("kube-system") };
    assert!(name(&wanting).unwrap_err().contains("`ceiling`"));
    assert_eq!(name(&claimed("team-a")).unwrap(), "restricted");
    let wanting = PolicyRequest { annotation: Some("baseline"), ..claimed("team-a") };
    assert!(name(&wanting).unwrap_err().contains("namespaces.\"team-*\".ceiling"));
    for (sandbox, inherited) in
        [("privileged", "baseline"), ("offline", "offline"), ("restricted", "restricted")]
    {
        let sandbox = Some(config().request(sandbox, "x").unwrap());
        assert_eq!(name(&PolicyRequest { sandbox, ..claimed("other") }).unwrap(), inherited);
    }
}
