//! Who may choose which policy.

use std::path::Path;

use proptest::prelude::*;

use lockc_core::rules::{Level, Network, Rule};

use super::{definitions::BUILTIN, *};
use crate::{
    config::Mode,
    selection::{self, PolicyRequest},
};

fn config(text: &str) -> PolicySet {
    PolicySet::parse(text, Path::new("lockc.toml")).unwrap()
}

fn broken(text: &str) -> String {
    PolicySet::parse(text, Path::new("lockc.toml")).unwrap_err().to_string()
}

fn resolved(
    set: &PolicySet,
    argument: Option<&str>,
    annotation: Option<&str>,
) -> Result<Policy, RequestError> {
    selection::resolve(set, &PolicyRequest { argument, annotation, ..PolicyRequest::default() })
}

#[test]
fn the_default_holds_where_nothing_else_chooses() {
    let policy = resolved(&PolicySet::default(), None, None).unwrap();
    assert_eq!((policy.level, policy.origin.as_str()), (Level::Baseline, "the default"));
    let offline = resolved(&config("default = 'offline'"), None, None).unwrap();
    assert_eq!((offline.level, offline.network), (Level::Baseline, Network::None));
}

#[test]
fn the_runtime_argument_is_final() {
    let policy = resolved(&PolicySet::default(), Some("privileged"), Some("restricted")).unwrap();
    assert_eq!((policy.level, policy.origin.as_str()), (Level::Privileged, "--lockc-policy"));
}

#[test]
fn an_annotation_is_granted_up_to_the_ceiling() {
    let default = PolicySet::default();
    for tighter in ["baseline", "restricted", "offline"] {
        assert_eq!(resolved(&default, None, Some(tighter)).unwrap().name, tighter);
    }
    let error = resolved(&default, None, Some("privileged")).unwrap_err().to_string();
    assert!(error.contains("privileged") && error.contains("baseline"), "{error}");
    let ceiling = config("ceiling = 'restricted'");
    assert!(
        resolved(&ceiling, None, Some("offline")).is_err(),
        "offline admits what restricted refuses"
    );
    let ceiling = config("ceiling = 'privileged'");
    assert!(resolved(&ceiling, None, Some("privileged")).is_ok());
}

#[test]
fn an_unknown_name_is_refused_wherever_it_stands() {
    let default = PolicySet::default();
    assert!(
        resolved(&default, Some("basline"), None).unwrap_err().to_string().contains("did you mean")
    );
    assert!(resolved(&default, None, Some("Baseline")).is_err());
    assert!(resolved(&default, None, Some("")).is_err());
    assert!(resolved(&default, Some("baseline"), Some("nonsense")).is_err());
    assert!(broken("default = 'none'").contains("unknown policy"));
    assert!(broken("ceiling = 'none'").contains("unknown policy"));
    assert!(broken("[policies.a]\nextends = 'none'").contains("policies.a.extends"));
}

#[test]
fn custom_policies_take_away_what_they_name_and_inherit() {
    let config = config(
        "[policies.a]\nextends = 'baseline'\nadmit = ['capabilities']\n\
         [policies.b]\nextends = 'a'\nadmit = ['devices']\nwithout_rules = ['mount']\n",
    );
    let policy = resolved(&config, Some("b"), None).unwrap();
    assert_eq!(policy.level, Level::Baseline);
    assert_eq!(policy.rules, Level::Baseline.rules().without(Rule::Mount));
    assert_eq!(policy.strength(Control::Capabilities), Strength::Off);
    assert_eq!(policy.strength(Control::Devices), Strength::Off);
    assert_eq!(policy.strength(Control::HostMounts), Strength::Baseline);
    assert!(resolved(&config, None, Some("a")).is_err(), "looser than the ceiling baseline");
}

#[test]
fn broken_policies_are_refused_with_the_configuration() {
    assert!(
        broken("[policies.a]\nextends = 'b'\n[policies.b]\nextends = 'a'")
            .contains("extends itself")
    );
    let long = "a".repeat(32);
    for name in ["\"\"", "\"a b\"", "\"ä\"", long.as_str()] {
        assert!(
            broken(&format!("[policies.{name}]\nextends = 'baseline'")).contains("at most 31"),
            "{name}"
        );
    }
    assert!(broken("[policies.baseline]\nextends = 'privileged'").contains("name of a level"));
    assert!(
        broken("[policies.a]\nextends = 'baseline'\nadmit = ['mounts']").contains("host-mounts")
    );
    assert!(
        broken("[policies.a]\nextends = 'baseline'\nadmit = ['mount-namespace']")
            .contains("privileged")
    );
    assert!(
        broken("[policies.a]\nextends = 'baseline'\nwithout_rules = ['x']").contains("kernel-log")
    );
}

#[test]
fn a_registered_container_keeps_its_level_when_its_policy_is_gone() {
    let config = config("[policies.a]\nextends = 'baseline'\nadmit = ['capabilities']");
    assert_eq!(config.registered("a", Level::Baseline, "x").name, "a");
    assert_eq!(config.registered("gone", Level::Restricted, "x").name, "restricted");
    // The name was given to another level since.
    assert_eq!(config.registered("a", Level::Restricted, "x").name, "restricted");
}

fn any_policy() -> impl Strategy<Value = Policy> {
    (0..Level::ALL.len(), any::<u32>(), any::<u64>(), any::<bool>(), 0..16u8, 0..3usize).prop_map(
        |(level, admitted, rules, audit, more, network)| {
            let mut policy = Policy::for_level(Level::ALL[level], "test");
            policy.mode = if audit { Mode::Audit } else { Mode::Enforce };
            for (bit, path) in ["/proc/kallsyms", "/sys/class/hwmon"].into_iter().enumerate() {
                if more >> bit & 1 != 0 {
                    policy.more.reads.push(path.into());
                }
            }
            policy.more.families = u64::from(more >> 2) << 38;
            for control in
                Control::ALL.into_iter().filter(|control| admitted & 1 << *control as u32 != 0)
            {
                policy = policy.admitting(control);
            }
            for rule in Rule::ALL.into_iter().filter(|rule| rules & 1 << *rule as u32 != 0) {
                policy.rules = policy.rules.without(rule);
            }
            policy.with_network(Network::ALL[network])
        },
    )
}

#[test]
fn policies_inherit_the_mode_and_audit_is_looser() {
    let config = config(
        "mode = 'audit'\n[policies.strict]\nextends = 'baseline'\nmode = 'enforce'\n\
         [policies.more]\nextends = 'strict'\n\
         [policies.watched]\nextends = 'more'\nmode = 'audit'\n",
    );
    let named = |name| config.request(name, "a test").unwrap();
    for (name, mode) in [
        ("baseline", Mode::Audit),
        ("strict", Mode::Enforce),
        ("more", Mode::Enforce),
        ("watched", Mode::Audit),
    ] {
        assert_eq!(named(name).mode, mode, "{name}");
    }
    assert!(named("more").at_least_as_strict_as(&named("watched")));
    assert!(!named("watched").at_least_as_strict_as(&named("more")));
    assert!(
        !named("restricted").at_least_as_strict_as(&named("strict")),
        "nothing of it is enforced"
    );
    assert!(
        !named("privileged").at_least_as_strict_as(&named("watched")),
        "it does not even report"
    );
}

#[test]
fn reads_are_additions() {
    let config = config(
        "[policies.a]\nextends = 'baseline'\nreads = ['/sys/class/hwmon']\n\
         [policies.b]\nextends = 'a'\nreads = ['/proc/kallsyms']\n\
         [policies.below]\nextends = 'baseline'\nreads = ['/sys/class/hwmon/hwmon0']\n\
         [policies.open]\nextends = 'baseline'\nwithout_rules = ['sysfs']\n",
    );
    let named = |name| config.request(name, "a test").unwrap();
    for (stricter, looser) in [("baseline", "a"), ("a", "b"), ("a", "open"), ("b", "privileged")] {
        assert!(named(stricter).at_least_as_strict_as(&named(looser)), "{stricter} {looser}");
        assert!(!named(looser).at_least_as_strict_as(&named(stricter)), "{looser} {stricter}");
    }
    // What stands there may be a link to more than its directory.
    assert!(
        !named("below").at_least_as_strict_as(&named("a"))
            && !named("b").at_least_as_strict_as(&named("open"))
    );
    assert!(resolved(&config, None, Some("a")).is_err(), "looser than the ceiling baseline");
}

#[test]
fn socket_families_are_additions() {
    let config = config(
        "[policies.a]\nextends = 'baseline'\nsocket_families = ['alg']\n\
         [policies.b]\nextends = 'a'\nsocket_families = ['vsock']\n\
         [policies.open]\nextends = 'baseline'\nwithout_rules = ['socket-family']\n\
         [policies.alone]\nextends = 'offline'\nsocket_families = ['alg']\n",
    );
    let named = |name| config.request(name, "a test").unwrap();
    assert_eq!(named("b").more.families, 1 << 38 | 1 << 40);
    for (stricter, looser) in [
        ("baseline", "a"),
        ("a", "b"),
        ("b", "open"),
        ("b", "privileged"),
        ("offline", "alone"),
        ("alone", "a"),
    ] {
        assert!(named(stricter).at_least_as_strict_as(&named(looser)), "{stricter} {looser}");
        assert!(!named(looser).at_least_as_strict_as(&named(stricter)), "{looser} {stricter}");
    }
    assert!(!named("alone").at_least_as_strict_as(&named("baseline")), "baseline has no AF_ALG");
}

#[test]
fn network_is_a_dimension_beside_the_level() {
    let set = config(
        "[policies.jobs]\nextends = 'restricted'\nnetwork = 'none'\n\
         [policies.local]\nextends = 'baseline'\nnetwork = 'loopback'\n\
         [policies.online]\nextends = 'offline'\nnetwork = 'full'\n\
         [policies.older]\nextends = 'offline'\nwithout_rules = ['network']\n\
         [policies.inner]\nextends = 'older'\nnetwork = 'none'\n",
    );
    let named = |name| set.request(name, "a test").unwrap();
    for (name, level, network) in [
        ("offline", Level::Baseline, Network::None),
        ("jobs", Level::Restricted, Network::None),
        ("local", Level::Baseline, Network::Loopback),
        ("online", Level::Baseline, Network::Full),
        ("older", Level::Baseline, Network::Full),
        ("inner", Level::Baseline, Network::None),
    ] {
        let policy = named(name);
        assert_eq!((policy.level, policy.network), (level, network), "{name}");
        assert_eq!(policy.rules.has(Rule::Network), network != Network::Full, "{name}");
    }
    let stricter = |a, b| named(a).at_least_as_strict_as(&named(b));
    assert!(stricter("jobs", "restricted") && stricter("jobs", "offline"));
    assert!(stricter("offline", "local") && !stricter("local", "offline"));
    assert!(!stricter("restricted", "offline") && !stricter("offline", "restricted"));
    assert_eq!(
        named("jobs").to_string(),
        "policy jobs of level restricted, network none (from a test)"
    );
    assert_eq!(named("offline").to_string(), "level offline (from a test)");
}

#[test]
fn the_older_form_of_the_loopback_still_holds() {
    let set = config("offline_loopback = true\n[policies.own]\nextends = 'offline'\n");
    for name in ["offline", "own"] {
        assert_eq!(set.request(name, "x").unwrap().network, Network::Loopback, "{name}");
    }
    assert_eq!(set.request("baseline", "x").unwrap().network, Network::Full);
}

#[test]
fn a_network_that_makes_no_sense_is_refused() {
    for (text, says) in [
        ("[policies.a]\nextends = 'baseline'\nnetwork = 'off'\n", "line 3"),
        ("[policies.a]\nextends = 'privileged'\nnetwork = 'none'\n", "forbids nothing"),
        (
            "[policies.a]\nextends = 'baseline'\nnetwork = 'none'\nwithout_rules = ['network']\n",
            "remove one of the two settings",
        ),
    ] {
        assert!(broken(text).contains(says), "{text}: {}", broken(text));
    }
}

#[test]
fn a_request_gives_network_away_and_never_gets_any() {
    let set = config(
        "ceiling = 'privileged'\n[policies.local]\nextends = 'baseline'\nnetwork = 'loopback'\n",
    );
    let chosen = |annotation, network| {
        let network = [network, None];
        let request = PolicyRequest { annotation, network, ..PolicyRequest::default() };
        selection::resolve(&set, &request)
    };
    let none = chosen(Some("restricted"), Some("none")).unwrap();
    assert_eq!((none.level, none.network), (Level::Restricted, Network::None));
    assert!(none.to_string().contains("level restricted, network none"), "{none}");
    assert_eq!(chosen(None, Some("full")).unwrap().network, Network::Full);
    assert_eq!(chosen(Some("local"), Some("none")).unwrap().network, Network::None);
    for (annotation, network, says) in [
        (Some("offline"), "full", "looser than network none"),
        (Some("offline"), "loopback", "looser than network none"),
        (Some("local"), "full", "looser than network loopback"),
        (Some("privileged"), "none", "denies nothing"),
        (None, "off", "use full, loopback or none"),
    ] {
        let error = chosen(annotation, Some(network)).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
    let both =
        PolicyRequest { network: [Some("loopback"), Some("none")], ..PolicyRequest::default() };
    assert_eq!(selection::resolve(&set, &both).unwrap().network, Network::None);
}

proptest! {
    #[test]
    fn taking_away_never_tightens(policy in any_policy(), control in 0..Control::ALL.len(),
        rule in 0..Rule::ALL.len()) {
        let mut looser = policy.clone().admitting(Control::ALL[control]);
        looser.rules = looser.rules.without(Rule::ALL[rule]);
        prop_assert!(policy.at_least_as_strict_as(&looser));
    }

    #[test]
    fn strictness_is_an_order(a in any_policy(), b in any_policy(), c in any_policy()) {
        prop_assert!(a.at_least_as_strict_as(&a));
        if a.at_least_as_strict_as(&b) && b.at_least_as_strict_as(&c) {
            prop_assert!(a.at_least_as_strict_as(&c));
        }
    }

    #[test]
    fn no_annotation_gets_above_the_ceiling(
        ceiling in 0..BUILTIN.len(), extends in 0..BUILTIN.len(),
            network in prop::option::of(0..Network::ALL.len()), admit in 0..Control::ALL.len(),
                rule in 0..Rule::ALL.len(),
        wanted in prop::sample::select(vec!["privileged", "baseline", "restricted", "offline",
            "own", "no", ""]),
    ) {
        let mut text = format!("ceiling = '{}'\n[policies.own]\nextends = '{}'\n",
            BUILTIN[ceiling], BUILTIN[extends]);
        let own = extends != 0;
        if own && Control::ALL[admit].optional() {
            text += &format!("admit = ['{}']\n", Control::ALL[admit].name());
        }
        if own {
            text += &format!("without_rules = ['{}']\n", Rule::ALL[rule].name());
        }
        let config = config(&text);
        let network = network.map(|network| Network::ALL[network]);
        let request = PolicyRequest {
            annotation: Some(wanted),
            network: [network.map(Network::name), None],
            ..PolicyRequest::default()
        };
        let without = resolved(&config, None, Some(wanted));
        if let Ok(policy) = selection::resolve(&config, &request) {
            let without = without.unwrap();
            prop_assert!(policy.at_least_as_strict_as(&without), "{policy} {without}");
            prop_assert!(network.is_none_or(|network| policy.network == network));
            prop_assert!(policy.at_least_as_strict_as(config.ceiling()));
        }
    }
}
