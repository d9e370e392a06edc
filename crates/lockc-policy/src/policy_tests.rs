//! Who may choose which policy.

use std::path::Path;

use proptest::prelude::*;

use super::{*, super::selection::{PolicyRequest, self}};

fn config(text: &str) -> Config {
    Config::parse(text, Path::new("lockc.toml")).unwrap()
}

fn broken(text: &str) -> String {
    Config::parse(text, Path::new("lockc.toml")).unwrap_err().to_string()
}

#[test]
fn the_default_holds_where_nothing_else_chooses() {
    let policy = resolved(&Config::default(), None, None).unwrap();
    assert_eq!((policy.level, policy.origin.as_str()), (Level::Baseline, "the default"));
    assert_eq!(resolved(&config("default = 'offline'"), None, None).unwrap().level, Level::Offline);
}

#[test]
fn the_runtime_argument_is_final() {
    let policy = resolved(&Config::default(), Some("privileged"), Some("restricted")).unwrap();
    assert_eq!((policy.level, policy.origin.as_str()), (Level::Privileged, "--lockc-policy"));
}

#[test]
fn an_annotation_is_granted_up_to_the_ceiling() {
    let default = Config::default();
    for tighter in ["baseline", "restricted", "offline"] {
        assert_eq!(resolved(&default, None, Some(tighter)).unwrap().name, tighter);
    }
    let error = resolved(&default, None, Some("privileged")).unwrap_err().to_string();
    assert!(error.contains("privileged") && error.contains("baseline"), "{error}");
    let ceiling = config("ceiling = 'restricted'");
    assert!(resolved(&ceiling, None, Some("offline")).is_err(), "offline admits what restricted refuses");
    let ceiling = config("ceiling = 'privileged'");
    assert!(resolved(&ceiling, None, Some("privileged")).is_ok());
}

#[test]
fn an_unknown_name_is_refused_wherever_it_stands() {
    let default = Config::default();
    assert!(resolved(&default, Some("basline"), None).unwrap_err().to_string().contains("did you mean"));
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
    assert!(broken("[policies.a]\nextends = 'b'\n[policies.b]\nextends = 'a'").contains("extends itself"));
    let long = "a".repeat(32);
    for name in ["\"\"", "\"a b\"", "\"ä\"", long.as_str()] {
        assert!(broken(&format!("[policies.{name}]\nextends = 'baseline'")).contains("at most 31"), "{name}");
    }
    assert!(broken("[policies.baseline]\nextends = 'privileged'").contains("name of a level"));
    assert!(broken("[policies.a]\nextends = 'baseline'\nadmit = ['mounts']").contains("host-mounts"));
    assert!(broken("[policies.a]\nextends = 'baseline'\nadmit = ['mount-namespace']").contains("privileged"));
    assert!(broken("[policies.a]\nextends = 'baseline'\nwithout_rules = ['x']").contains("kernel-log"));
}

#[test]
fn a_registered_container_keeps_its_level_when_its_policy_is_gone() {
    let config = config("[policies.a]\nextends = 'baseline'\nadmit = ['capabilities']");
    assert_eq!(registered(&config, "a", Level::Baseline, "x").name, "a");
    assert_eq!(registered(&config, "gone", Level::Restricted, "x").name, "restricted");
    // The name was given to another level since.
    assert_eq!(registered(&config, "a", Level::Restricted, "x").name, "restricted");
}

fn any_policy() -> impl Strategy<Value = Policy> {
    (0..4usize, any::<u32>(), any::<u64>(), any::<bool>(), 0..16u8).prop_map(|(level, admitted, rules, audit, more)| {
        let mut policy = Policy::for_level(Level::ALL[level], "test");
        policy.mode = if audit { Mode::Audit } else { Mode::Enforce };
        for (bit, path) in ["/proc/kallsyms", "/sys/class/hwmon"].into_iter().enumerate() {
            if more >> bit & 1 != 0 {
                policy.more.reads.push(path.into());
            }
        }
        policy.more.families = u64::from(more >> 2) << 38;
        for control in Control::ALL.into_iter().filter(|control| admitted & 1 << *control as u32 != 0) {
            policy = policy.admitting(control);
        }
        for rule in Rule::ALL.into_iter().filter(|rule| rules & 1 << *rule as u32 != 0) {
            policy.rules = policy.rules.without(rule);
        }
        policy
    })
}

#[test]
fn policies_inherit_the_mode_and_audit_is_looser() {
    let config = config(
        "mode = 'audit'\n[policies.strict]\nextends = 'baseline'\nmode = 'enforce'\n[policies.more]\nextends = 'strict'\n\
         [policies.watched]\nextends = 'more'\nmode = 'audit'\n",
    );
    let named = |name| named(&config, name, "a test").unwrap();
    for (name, mode) in [("baseline", Mode::Audit), ("strict", Mode::Enforce), ("more", Mode::Enforce), ("watched", Mode::Audit)] {
        assert_eq!(named(name).mode, mode, "{name}");
    }
    assert!(named("more").at_least_as_strict_as(&named("watched")));
    assert!(!named("watched").at_least_as_strict_as(&named("more")));
    assert!(!named("restricted").at_least_as_strict_as(&named("strict")), "nothing of it is enforced");
    assert!(!named("privileged").at_least_as_strict_as(&named("watched")), "it does not even report");
}

#[test]
fn reads_are_additions() {
    let config = config(
        "[policies.a]\nextends = 'baseline'\nreads = ['/sys/class/hwmon']\n\
         [policies.b]\nextends = 'a'\nreads = ['/proc/kallsyms']\n\
         [policies.below]\nextends = 'baseline'\nreads = ['/sys/class/hwmon/hwmon0']\n\
         [policies.open]\nextends = 'baseline'\nwithout_rules = ['sysfs']\n",
    );
    let named = |name| named(&config, name, "a test").unwrap();
    for (stricter, looser) in [("baseline", "a"), ("a", "b"), ("a", "open"), ("b", "privileged")] {
        assert!(named(stricter).at_least_as_strict_as(&named(looser)), "{stricter} {looser}");
        assert!(!named(looser).at_least_as_strict_as(&named(stricter)), "{looser} {stricter}");
    }
    // What stands there may be a link to more than its directory.
    assert!(!named("below").at_least_as_strict_as(&named("a")) && !named("b").at_least_as_strict_as(&named("open")));
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
    let named = |name| named(&config, name, "a test").unwrap();
    assert_eq!(named("b").more.families, 1 << 38 | 1 << 40);
    for (stricter, looser) in
        [("baseline", "a"), ("a", "b"), ("b", "open"), ("b", "privileged"), ("offline", "alone"), ("alone", "a")]
    {
        assert!(named(stricter).at_least_as_strict_as(&named(looser)), "{stricter} {looser}");
        assert!(!named(looser).at_least_as_strict_as(&named(stricter)), "{looser} {stricter}");
    }
    assert!(!named("alone").at_least_as_strict_as(&named("baseline")), "baseline has no AF_ALG");
}

proptest! {
    #[test]
    fn taking_away_never_tightens(policy in any_policy(), control in 0..Control::ALL.len(), rule in 0..Rule::ALL.len()) {
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
        ceiling in 0..4usize, extends in 0..4usize, admit in 0..Control::ALL.len(), rule in 0..Rule::ALL.len(),
        wanted in prop::sample::select(vec!["privileged", "baseline", "restricted", "offline", "own", "no", ""]),
    ) {
        let mut text = format!("ceiling = '{}'\n[policies.own]\nextends = '{}'\n", Level::ALL[ceiling].name(), Level::ALL[extends].name());
        let own = extends != 0;
        if own && Control::ALL[admit].optional() {
            text += &format!("admit = ['{}']\n", Control::ALL[admit].name());
        }
        if own {
            text += &format!("without_rules = ['{}']\n", Rule::ALL[rule].name());
        }
        let config = config(&text);
        if let Ok(policy) = resolved(&config, None, Some(wanted)) {
            prop_assert!(policy.at_least_as_strict_as(&Policy::for_level(Level::ALL[ceiling], "")));
        }
    }
}

fn resolved(config: &Config, argument: Option<&str>, annotation: Option<&str>) -> Result<Policy, PolicyError> {
    selection::resolve(config, &PolicyRequest { argument, annotation, ..PolicyRequest::default() })
}
