//! Changing what holds for containers that run: quarantine, release, another policy.

use std::io;

use anyhow::{Context as _, Result, bail};
use lockc_core::{
    abi::MODE_ENFORCE,
    maps::{Applied, Registry, RegistryError, container_file},
    rules::{Level, Network, Rule, RuleMask},
};
use lockc_policy::{
    config::Mode,
    decision::{self, Case},
    enforcement::{Circumstances, KernelSide},
    host::{Host, bundle},
    policy::{ANNOTATION, Policy, PolicySet},
};

use crate::{
    journal,
    status::{self, Container},
};

/// The policy's name of a container under quarantine. No administrator's policy can have it.
const QUARANTINE: &str = "(quarantine)";

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
enum Unchanged {
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error(
        "{wanted} allows something that {current}, which holds now, forbids; nothing was changed: \
         give --loosen if that is meant"
    )]
    Looser { wanted: String, current: String },
    #[error("the container is under quarantine; release it first")]
    Quarantined,
    #[error("what holds for the container now cannot be told: {0}")]
    Unknown(anyhow::Error),
    #[error("what holds for the container now cannot be written down, so nothing was changed: {0}")]
    Unwritten(io::Error),
}

/// Puts a container under quarantine: restricted, enforced, no new program, no socket. False: it is
/// already.
///
/// # Errors
///
/// Where the maps cannot be written, or no rule reaches the container.
pub fn quarantine(container: &Container) -> Result<bool> {
    let mut is_new = true;
    Registry::open()?.apply(container.key, |now| {
        is_new = !now.quarantined;
        if !is_new {
            return Ok(now.clone());
        }
        let text =
            serde_json::to_string(now).map_err(|error| Unchanged::Unwritten(error.into()))?;
        container_file::write_applied(container.key, &text).map_err(Unchanged::Unwritten)?;
        Ok::<_, Unchanged>(under_quarantine(now))
    })?;
    if is_new {
        note(container, QUARANTINE, "under quarantine: no new program, no socket");
    }
    Ok(is_new)
}

/// What holds under quarantine: nothing that was forbidden becomes allowed.
fn under_quarantine(now: &Applied) -> Applied {
    let restricted = Policy::for_level(Level::Restricted, "").with_network(Network::None);
    Applied {
        level: Level::Restricted,
        rules: now.rules.minus(now.audited).union(restricted.rules),
        audited: RuleMask::NONE,
        mode: MODE_ENFORCE,
        capabilities: now.capabilities & restricted.capabilities(),
        families: 0,
        loopback: false,
        hook_mounts: false,
        quarantined: true,
        policy: QUARANTINE.into(),
        origin: "lockc quarantine".into(),
    }
}

/// Restores what held before the quarantine. False: there is none.
///
/// # Errors
///
/// Where the maps cannot be written, or what held before is not on record.
pub fn release(container: &Container) -> Result<bool> {
    let mut was = true;
    let now = Registry::open()?.apply(container.key, |now| {
        was = now.quarantined;
        if !was {
            return Ok(now.clone());
        }
        let text = container_file::read_applied(container.key)
            .map_err(|error| Unchanged::Unknown(error.into()))?;
        serde_json::from_str(&text).map_err(|error| Unchanged::Unknown(error.into()))
    })?;
    if was {
        container_file::remove_applied(container.key);
        note(container, &now.policy, "released from quarantine");
    }
    Ok(was)
}

/// Applies another policy. Without `may_loosen` only one that allows nothing that is forbidden now.
///
/// # Errors
///
/// Where the policy is unknown, looser, or above a ceiling.
pub fn set(container: &Container, name: &str, may_loosen: bool) -> Result<Policy> {
    let config = PolicySet::of_host()?;
    let policy = config.request(name, "lockc policy set")?;
    let mut is_looser = false;
    let check = |now: &Applied| -> Result<(), Unchanged> {
        if now.quarantined {
            return Err(Unchanged::Quarantined);
        }
        let current = current(&config, now);
        is_looser = !policy.at_least_as_strict_as(&current);
        match is_looser && !may_loosen {
            true => {
                Err(Unchanged::Looser { wanted: policy.to_string(), current: current.to_string() })
            }
            false => Ok(()),
        }
    };
    // A ceiling is only known with the container's description, which may be on a disk that does
    // not answer: not under the lock.
    if may_loosen {
        within_ceilings(container, name, &config)
            .with_context(|| format!("{name} cannot be applied"))?;
    }
    let mut check = check;
    Registry::open()?.apply(container.key, |now| {
        check(now)?;
        let next = applied(&policy);
        Ok::<_, Unchanged>(if may_loosen { next } else { tightened(now, next) })
    })?;
    note(container, &policy.name, &format!("now under {policy}"));
    Ok(policy)
}

fn current(config: &PolicySet, now: &Applied) -> Policy {
    let mut policy = config
        .registered(&now.policy, now.level, &now.origin)
        .enforcing(now.rules.minus(now.audited));
    policy.mode = Mode::from_raw(now.mode);
    policy.network = Network::for_rules(now.rules.minus(now.audited), now.loopback);
    policy
}

fn applied(policy: &Policy) -> Applied {
    Applied {
        level: policy.level,
        rules: policy.rules,
        audited: RuleMask::NONE,
        mode: policy.mode.raw(),
        capabilities: policy.capabilities(),
        families: policy.more.families,
        loopback: policy.network == Network::Loopback,
        hook_mounts: policy.more.hook_mounts,
        quarantined: false,
        policy: policy.name.clone(),
        origin: policy.origin.clone(),
    }
}

/// What the kernel side forbids now stays forbidden, whatever a policy's name stood for when the
/// container was created.
fn tightened(now: &Applied, next: Applied) -> Applied {
    let enforced = now.rules.minus(now.audited).union(next.rules);
    Applied {
        rules: enforced.union(now.audited),
        audited: now.audited.minus(enforced),
        capabilities: now.capabilities & next.capabilities,
        families: now.families & next.families,
        loopback: next.loopback && (now.loopback || !now.rules.has(Rule::Network)),
        hook_mounts: now.hook_mounts && next.hook_mounts,
        ..next
    }
}

/// As if the container's owner had asked for the policy.
fn within_ceilings(container: &Container, name: &str, config: &PolicySet) -> Result<()> {
    let mut spec = bundle::spec(&container.bundle.join("config.json"))
        .context("its ceiling is not known without its config.json")?;
    spec.annotations.insert(ANNOTATION.into(), name.into());
    let case = Case {
        id: &container.id,
        bundle: &container.bundle,
        spec: &spec,
        argument: None,
        restore: false,
        registered: None,
        circumstances: Circumstances {
            runtime: None,
            kernel_side: KernelSide::Confines,
            lives: true,
        },
    };
    let registered = status::gather()?.containers;
    decision::policy_of(&case, config, &Host::default(), |id| {
        let sandbox = registered.iter().find(|it| it.id == id);
        sandbox
            .map(|it| match Level::from_name(it.level) {
                Some(level) => Ok(config.registered(&it.policy, level, &it.origin)),
                None => bail!("the policy of its pod's sandbox is not known"),
            })
            .transpose()
    })
    .map(drop)
}

fn note(container: &Container, policy: &str, message: &str) {
    let name = container.names.full_name().unwrap_or_default();
    let called = if name.is_empty() { &container.id } else { &name };
    journal::changed(&container.id, &name, policy, &format!("{called} is {message}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn baseline() -> Applied {
        applied(&Policy::for_level(Level::Baseline, "the default"))
    }

    #[test]
    fn a_quarantine_takes_away_and_gives_nothing() {
        for level in Level::ALL {
            let now = applied(&Policy::for_level(level, ""));
            let next = under_quarantine(&now);
            assert!(next.rules.covers(now.rules) && next.rules.has(Rule::Network), "{level:?}");
            assert_eq!(next.capabilities & !now.capabilities, 0);
            assert!(next.quarantined && next.mode == MODE_ENFORCE && !next.loopback);
        }
    }

    #[test]
    fn tightening_keeps_what_is_forbidden() {
        let offline = RuleMask(7).with(Rule::Network);
        let now = Applied { rules: offline, families: 1, ..baseline() };
        let next = tightened(&now, Applied { families: 3, loopback: true, ..baseline() });
        assert!(next.rules.covers(offline) && next.rules.covers(baseline().rules));
        assert_eq!((next.families, next.loopback), (1, false));
        let full = Applied { rules: baseline().rules.without(Rule::Network), ..baseline() };
        assert!(tightened(&full, Applied { loopback: true, ..baseline() }).loopback);
    }

    #[test]
    fn what_holds_now_is_compared_as_it_is_enforced() {
        let config =
            PolicySet::parse("[policies.web]\nextends = 'baseline'", "x".as_ref()).unwrap();
        let web = config.request("web", "").unwrap();
        let mut now = applied(&web);
        assert!(web.at_least_as_strict_as(&current(&config, &now)));
        now.rules = now.rules.with(Rule::Network);
        assert!(!web.at_least_as_strict_as(&current(&config, &now)));
        now = Applied { mode: Mode::Audit.raw(), ..applied(&web) };
        assert!(web.at_least_as_strict_as(&current(&config, &now)));
    }
}
