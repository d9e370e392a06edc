//! The cases, as tables by topic; and what a case is.

mod admission;
mod audit;
mod cgroups;
mod cri;
mod cri_manifests;
mod cri_select;
mod cri_standards;
mod cri_work;
mod crio;
mod ctr;
mod demo;
mod docker_bypass;
mod docker_daemon;
mod docker_plugins;
mod docker_rollout;
mod docker_select;
mod docker_standards;
mod docker_work;
mod engine_errors;
mod explain;
mod failclosed;
mod files;
mod first_program;
mod growth;
mod guard;
mod host_side;
mod interpreters;
mod ipc;
mod kernel_log;
mod keys;
mod launch;
mod lifecycle;
mod live;
mod mounts;
mod named_sockets;
mod neighbours;
mod network;
mod ordinary;
mod overlays;
mod own;
mod own_mounts;
mod paths;
mod podman_pods;
mod podman_rootless;
mod podman_select;
mod podman_standards;
mod podman_work;
mod pseudo;
mod races;
mod reads;
mod record;
pub mod sandbox;
mod sockets;
mod sources;
mod standards;
mod storage;
mod surface;
mod table;
mod tasks;
mod transparent;

use std::fmt;

use anyhow::Result;

use crate::btrfs;
use crate::bundle::Bundle;
use crate::check::{self, Probe, Works};
use crate::config;
use crate::escapes::{self, Technique};
use crate::lab::Lab;
use crate::launch::{By, Runtime};
use crate::select::{Part, Tier};
use crate::system;
use crate::workloads::{self, Workload};

pub use table::{Row, both, one_kernel, row};

/// A case that this machine can't run, with the reason: an error that is shown as a skip.
#[derive(Debug)]
pub struct Skip(pub String);

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Skip {}

/// What a case does.
#[derive(Clone, Copy)]
pub enum Test {
    /// Allowed, denied, allowed.
    Denied(Probe),
    /// Works as without lockc.
    Works(Works),
    /// Not started, with a reason that contains the text.
    Refused { give: fn(Bundle) -> Bundle, policy: &'static str, reason: &'static str },
    /// A control of the Pod Security Standards, by Docker's options.
    Docker(docker_standards::Control),
    /// One technique, without lockc and under every level.
    Escape(&'static Technique),
    /// Anything else.
    Code(fn(&mut Lab, Runtime) -> Result<String>),
    /// A workload that works alike without lockc and under its levels.
    Work(Workload),
    /// On a system of its own, where the lab is not.
    Step(fn() -> Result<String>),
}

impl Test {
    pub fn run(&self, lab: &mut Lab, runtime: Runtime) -> Result<String> {
        match self {
            Self::Denied(probe) => check::allowed_then_denied(lab, runtime, probe),
            Self::Works(works) => check::works_alike(lab, runtime, works),
            Self::Refused { give, policy, reason } => {
                check::refused(lab, runtime, &give(Bundle::new(&["true"])), policy, reason)
            }
            Self::Docker(control) => {
                config::write(runtime)?;
                docker_standards::prove(lab, control)
            }
            Self::Escape(technique) => escapes::run(lab, technique),
            Self::Code(code) => {
                config::write(runtime)?;
                code(lab, runtime)
            }
            Self::Work(workload) => {
                config::write(runtime)?;
                workloads::prove(lab, workload)
            }
            Self::Step(code) => code(),
        }
    }
}

/// An attempt that `policy` denies by `rule`.
pub const fn denied(
    args: &'static [&'static str],
    give: fn(Bundle) -> Bundle,
    policy: &'static str,
    errno: i32,
    rule: &'static str,
) -> Test {
    Test::Denied(Probe { args, give, policy, errno, rule })
}

/// A program that works under baseline.
pub const fn works(args: &'static [&'static str], give: fn(Bundle) -> Bundle) -> Test {
    Test::Works(Works { args, give, policy: "baseline" })
}

/// By whom a case starts its container: by the runtime alone where lockc is not there.
pub fn by_of(lab: &Lab, runtime: Runtime, policy: &'static str) -> By {
    if lab.plain { By::Plain(runtime) } else { By::Lockc(policy) }
}

/// A container as it is.
pub fn same(bundle: Bundle) -> Bundle {
    bundle
}

/// A case to run.
pub struct Case {
    pub name: String,
    pub part: Part,
    pub tier: Tier,
    /// Its tier on btrfs, if it runs there too.
    pub btrfs: Option<Tier>,
    pub runtime: Runtime,
    /// A path of the machine without which it is skipped.
    pub needs: Option<&'static str>,
    pub test: Test,
}

/// Every case, in the order in which they run.
pub fn all() -> Vec<Case> {
    let bare = [
        ordinary::ROWS,
        mounts::ROWS,
        pseudo::ROWS,
        reads::ROWS,
        kernel_log::ROWS,
        sockets::ROWS,
        named_sockets::ROWS,
        neighbours::ROWS,
        own_mounts::ROWS,
        interpreters::ROWS,
        network::ROWS,
        files::ROWS,
        paths::ROWS,
        standards::BARE,
        explain::BARE,
        storage::ROWS,
        tasks::ROWS,
        surface::ROWS,
        keys::ROWS,
        ipc::ROWS,
        cgroups::ROWS,
        guard::ROWS,
        own::ROWS,
        admission::ROWS,
        overlays::ROWS,
        host_side::ROWS,
        races::ROWS,
        lifecycle::ROWS,
        live::ROWS,
        transparent::ROWS,
        growth::ROWS,
        launch::ROWS,
        first_program::ROWS,
        audit::ROWS,
        record::ROWS,
    ];
    let docker = [
        demo::ROWS,
        docker_work::ROWS,
        docker_bypass::ROWS,
        sources::docker::ROWS,
        overlays::DOCKER,
        docker_plugins::ROWS,
        docker_daemon::ROWS,
        docker_select::ROWS,
        docker_rollout::ROWS,
        races::DOCKER,
        docker_standards::ROWS,
        explain::DOCKER,
        engine_errors::ROWS,
        sandbox::DOCKER,
    ];
    let containerd = [
        cri_select::ROWS,
        cri_standards::ROWS,
        cri_manifests::ROWS,
        cri_work::ROWS,
        ctr::ROWS,
        sources::containerd::ROWS,
        sandbox::CONTAINERD,
    ];
    let podman = [
        podman_select::ROWS,
        podman_work::ROWS,
        podman_standards::ROWS,
        sources::podman::ROWS,
        overlays::PODMAN,
        podman_pods::ROWS,
        crio::ROWS,
        sandbox::PODMAN,
        podman_rootless::ROWS,
    ];
    let mut cases = Vec::new();
    cases.extend(bare.into_iter().flatten().flat_map(bare_cases));
    cases.extend(escapes::all().map(|technique| Case {
        name: format!("escape/{}", technique.name),
        part: Part::Escape,
        tier: technique.standing.of(Part::Escape),
        btrfs: technique.standing.btrfs,
        runtime: Runtime::Crun,
        needs: None,
        test: Test::Escape(technique),
    }));
    // Last: they take lockc away.
    cases.extend(failclosed::ROWS.iter().flat_map(bare_cases));
    cases.extend(podman.into_iter().flatten().flat_map(|row| cases_of(row, Part::Podman)));
    for (part, topics) in [(Part::Docker, &docker[..]), (Part::Containerd, &containerd)] {
        let rows = topics.iter().copied().flatten();
        cases.extend(rows.map(|row| Case { runtime: Runtime::Runc, ..case_of(row, part) }));
    }
    cases.extend(workloads::ALL.iter().map(|workload| Case {
        name: format!("work/{}", workload.name),
        part: Part::Work,
        tier: workload.standing.of(Part::Work),
        btrfs: None,
        runtime: Runtime::Runc,
        needs: None,
        test: Test::Work(*workload),
    }));
    cases.extend(btrfs::cases(&cases));
    cases.push(Case { runtime: Runtime::Runc, ..case_of(&docker_rollout::HOUR, Part::Hour) });
    for (part, step) in system::steps() {
        cases.push(case_of(&row(step.name, Test::Step(step.code)), part));
    }
    cases
}

fn bare_cases(row: &Row) -> Vec<Case> {
    cases_of(row, Part::Bare)
}

/// The row's case, or both.
fn cases_of(row: &Row, part: Part) -> Vec<Case> {
    let mut cases = vec![case_of(row, part)];
    if row.both {
        cases.push(Case {
            name: format!("{}@runc", row.name),
            tier: row.standing.of_runc(part),
            btrfs: None,
            runtime: Runtime::Runc,
            ..case_of(row, part)
        });
    }
    cases
}

/// The row's case with crun.
pub fn case_of(row: &Row, part: Part) -> Case {
    Case {
        name: row.name.to_owned(),
        part,
        tier: row.standing.of(part),
        btrfs: row.standing.btrfs,
        runtime: Runtime::Crun,
        needs: row.needs,
        test: row.test,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_without_spaces() {
        let mut names: Vec<String> = all().into_iter().map(|case| case.name).collect();
        assert!(names.iter().all(|name| name.contains('/') && !name.contains(char::is_whitespace)));
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
