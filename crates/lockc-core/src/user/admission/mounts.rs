//! What of the host's file systems a container is given: its root file system, bind mounts, sockets.

use std::path::{Path, PathBuf};

use super::{
    Engines, Findings, Given, Request, devices,
    facts::{Facts, Kind},
    own::{Own, brings_submounts},
    process::short_name,
    trees::{Place, Reach, Trees},
};
use crate::{
    rules::Rule,
    user::{
        config::{CONFIG_PATH, Config, Mode},
        policy::{Control, Strength},
        sockets::NamedSockets,
        spec::Mount,
    },
};

/// File systems that show a container its own things only. (A bind mount is judged by its source.)
const TYPES: [&str; 7] = ["proc", "sysfs", "tmpfs", "devpts", "mqueue", "cgroup", "cgroup2"];

/// Judges `root` and `mounts`, and resolves them.
pub(super) fn judge(
    request: &Request<'_>,
    config: &Config,
    engines: &Engines,
    facts: &dyn Facts,
    findings: &mut Findings<'_>,
) -> Given {
    let engines = engines.clone().resolved(facts);
    let trees = match Trees::new(&engines.dirs(), facts) {
        Ok(trees) => trees,
        Err(error) => {
            // Unreadable only where /proc is missing; nothing can be judged then, not even for the level privileged.
            findings.add(
                Control::HostMounts,
                format!("/proc/self/mountinfo cannot be read: {error}"),
                "mount procfs on /proc",
            );
            return Given::default();
        }
    };
    // In the mode audit nothing but the lack of the capability keeps a container from a remount.
    let process = request.spec.process.as_ref();
    let may_mount =
        process.is_none_or(|process| process.capabilities.all().any(|name| short_name(name) == "SYS_ADMIN"));
    let sealed = if findings.policy.mode == Mode::Audit { !may_mount } else { findings.policy.rules.has(Rule::Mount) };
    let own = Own::new(&trees, facts, sealed);
    let judge = Judge { request, config, engines: &engines, trees: &trees, own: &own, facts };
    let mut given = Given::default();
    judge.rootfs(&mut given, findings);
    for mount in &request.spec.mounts {
        if mount.is_bind() {
            judge.bind(mount, &mut given, findings);
        } else if !TYPES.contains(&mount.kind.as_str()) {
            findings.add(
                Control::MountTypes,
                format!("a mount of type {:?} at {}", mount.kind, mount.destination.display()),
                format!("use one of {}, bind", TYPES.join(", ")),
            );
        }
    }
    judge.sockets_below(&mut given, findings);
    given
}

struct Judge<'a> {
    request: &'a Request<'a>,
    config: &'a Config,
    engines: &'a Engines,
    trees: &'a Trees,
    own: &'a Own,
    facts: &'a dyn Facts,
}

impl Judge<'_> {
    fn rootfs(&self, given: &mut Given, findings: &mut Findings<'_>) {
        let Some(root) = &self.request.spec.root else {
            return findings.add(Control::Rootfs, "no root file system is configured".into(), "set root.path");
        };
        let path = self.request.bundle.join(&root.path);
        let resolved = match self.facts.canonicalize(&path) {
            Ok(resolved) => resolved,
            Err(error) => {
                return findings.add(
                    Control::Rootfs,
                    format!("the root file system {} cannot be resolved: {error}", path.display()),
                    "create it",
                );
            }
        };
        let bundle = self.facts.canonicalize(self.request.bundle).unwrap_or_else(|_| self.request.bundle.into());
        let place = self.trees.place(&resolved);
        let reach = if self.engines.is_infra_rootfs(&resolved, &bundle, self.facts) {
            None
        } else if !self.engines.is_rootfs(&resolved, &bundle) {
            self.trees.reach(&place, false, true)
        } else if self.trees.as_named(&place) {
            None
        } else {
            // containerd's native snapshotter mounts a directory of its own there.
            let mut aliases = self.trees.aliases(&place).into_iter();
            let own = |alias: &Place| self.engines.is_rootfs(alias.path(), &bundle) && self.trees.as_named(alias);
            aliases.find_map(|alias| if own(&alias) { None } else { self.trees.reach(&alias, false, true) })
        };
        if let Some(reach) = reach {
            findings.add(
                Control::Rootfs,
                format!("the root file system {} {}", resolved.display(), describe(&reach)),
                "use a directory of its own",
            );
        }
        given.rootfs = resolved;
    }

    fn bind(&self, mount: &Mount, given: &mut Given, findings: &mut Findings<'_>) {
        let path = self.request.bundle.join(&mount.source);
        let label = format!("bind mount of {} at {}", path.display(), mount.destination.display());
        let resolved = self.facts.canonicalize(&path).and_then(|path| Ok((self.facts.kind(&path)?, path)));
        let (kind, source) = match resolved {
            Ok(resolved) => resolved,
            Err(error) => {
                return findings.add(
                    Control::HostMounts,
                    format!("{label}: the source cannot be resolved: {error}"),
                    "create it",
                );
            }
        };
        let label = if source == path { label } else { format!("{label} (which is {})", source.display()) };
        match kind {
            Kind::Socket => return self.socket(source, &label, given, findings),
            Kind::Char(major, minor) if devices::is_default(i64::from(major), i64::from(minor)) => {}
            Kind::Char(..) | Kind::Block(..)
                if devices::Named::of(&findings.policy.more.devices, self.facts).is(kind) => {}
            Kind::Char(..) | Kind::Block(..) => {
                let what = if matches!(kind, Kind::Block(..)) { "block device" } else { "device" };
                findings.add(Control::Devices, format!("{label} gives a {what}"), "leave the device out");
            }
            Kind::Directory | Kind::File => {
                let refusal = self.refusal(&source, mount, findings);
                // A mount that the mode audit lets pass must not be lockc's own.
                let judge_own = refusal.is_none() || findings.policy.mode == Mode::Audit;
                if let Some((what, remedy)) = refusal {
                    findings.add(Control::HostMounts, format!("{label} {what}"), remedy);
                }
                if let Some(own) = self.own.changed_by(mount, &self.trees.place(&source)).filter(|_| judge_own) {
                    findings.add(
                        Control::OwnFiles,
                        format!("{label} lets the container change {}", own.display()),
                        "mount it read-only (rro where file systems are mounted below it)",
                    );
                }
            }
        }
        given.sockets.extend(self.notify_socket(&source, mount));
        if mount.propagates() {
            given.propagating.push(source.clone());
        }
        given.mounts.push(source);
    }

    fn socket(&self, source: PathBuf, label: &str, given: &mut Given, findings: &mut Findings<'_>) {
        let named = self.engines.is_build_agent(&source, self.request.bundle)
            || self.named_sockets(findings).any(|(_, named)| named.has(&source));
        if named || !findings.applies(Control::HostSockets) {
            given.sockets.push(source.clone());
            given.mounts.push(source);
        } else {
            findings.add(
                Control::HostSockets,
                format!("{label} gives a unix socket of the host"),
                format!("add it to allowed_sockets in {CONFIG_PATH}"),
            );
            // In the mode audit it is there, and connecting to it is reported.
            given.mounts.push(source);
        }
    }

    /// What the configuration and the policy name, as it is written and as it is meant.
    fn named_sockets<'b>(&self, findings: &'b Findings<'_>) -> impl Iterator<Item = (&'b PathBuf, NamedSockets)>
    where
        Self: 'b,
    {
        let written = self.config.allowed_sockets.iter().chain(&findings.policy.more.sockets);
        // Invalid patterns were refused when the configuration was read.
        written.filter_map(|path| NamedSockets::new(path).ok().map(|named| (path, named)))
    }

    /// What the settings name in directories that the container is given, under whichever path.
    fn sockets_below(&self, given: &mut Given, findings: &Findings<'_>) {
        let mut roots = given.mounts.clone();
        for source in &given.mounts {
            roots.extend(self.trees.aliases(&self.trees.place(source)).iter().map(|alias| alias.path().to_owned()));
        }
        for (written, named) in self.named_sockets(findings) {
            let is_below = roots.iter().any(|root| named.directory.starts_with(root));
            if is_below && !given.named_sockets.contains(written) {
                given.named_sockets.push(written.clone());
            }
        }
    }

    /// conmon's socket for the container's notifications, in a directory of the container's bundle (`--sdnotify=container`);
    /// conmon passes nothing on but that it is ready. conmon makes the socket anew before each start, and a link that the
    /// container may have put there is no socket.
    fn notify_socket(&self, source: &Path, mount: &Mount) -> Option<PathBuf> {
        let own = Path::new(self.request.id).join("userdata/notify");
        let is_notify = mount.destination == Path::new("/run/notify")
            && source.ends_with(own)
            && self.engines.owns(source, mount, self.request);
        let socket = source.join("notify.sock");
        let is_socket = || {
            self.facts.canonicalize(&socket).is_ok_and(|resolved| resolved == socket)
                && self.facts.kind(&socket).is_ok_and(|kind| kind == Kind::Socket)
        };
        (is_notify && is_socket()).then_some(socket)
    }

    /// Why a directory or file of the host is not given, and what would change that.
    fn refusal(&self, source: &Path, mount: &Mount, findings: &Findings<'_>) -> Option<(String, String)> {
        let strength = findings.strength(Control::HostMounts);
        // Beyond the engine's own; what the configuration allows is for baseline.
        let of_level: &[PathBuf] = match strength {
            Strength::Off => return None,
            Strength::Baseline => &self.config.allowed_mounts,
            Strength::Restricted => &[],
        };
        let allowed: Vec<&Path> = of_level.iter().chain(&findings.policy.more.mounts).map(PathBuf::as_path).collect();
        let place = self.trees.place(source);
        if Engines::is_init(source, mount) && self.trees.reach(&place, false, true).is_none() {
            return None;
        }
        let owns = |path: &Path| self.engines.owns(path, mount, self.request);
        if owns(source) {
            if self.trees.as_named(&place) {
                return None;
            }
            // An engine's volume can itself be a bind mount (docker's local driver, local volumes of Kubernetes): what
            // it leads to is judged as if it had been named.
            return self.trees.aliases(&place).iter().find_map(|alias| {
                if owns(alias.path()) && self.trees.as_named(alias) {
                    return None;
                }
                let (what, remedy) = self.host_refusal(alias, false, strength, &allowed)?;
                Some((format!("leads to {}, which {what}", alias.path().display()), remedy))
            });
        }
        self.host_refusal(&place, brings_submounts(mount), strength, &allowed)
    }

    fn host_refusal(
        &self,
        place: &Place,
        submounts: bool,
        strength: Strength,
        allowed: &[&Path],
    ) -> Option<(String, String)> {
        if self.explicitly_allowed(place, allowed) {
            return None;
        }
        if let Some(reach) = self.trees.reach(place, submounts, true) {
            let remedy = if matches!(reach, Reach::Below(..)) || !self.trees.is_named(place.path()) {
                "mount a directory without it".into()
            } else {
                format!("add exactly that path to allowed_mounts in {CONFIG_PATH}")
            };
            return Some((describe(&reach), remedy));
        }
        if self.allowed(place, allowed) {
            return None;
        }
        if strength == Strength::Restricted {
            return Some(("is not one of the engine's own".into(), "use a named volume".into()));
        }
        let listed: Vec<_> = allowed.iter().map(|path| path.display().to_string()).collect();
        Some((
            format!("is in none of the allowed directories ({})", listed.join(", ")),
            format!("add it to allowed_mounts in {CONFIG_PATH}"),
        ))
    }

    fn allowed(&self, place: &Place, allowed: &[&Path]) -> bool {
        allowed.iter().flat_map(|allowed| self.trees.both(allowed, self.facts)).any(|allowed| place.is_within(&allowed))
    }

    /// The administrator named exactly this path, or a directory around it that is itself in a forbidden tree, and the
    /// path says which. What is compared is the path as the administrator wrote it: where a link leads, or what is
    /// mounted there, may be somebody else's choice.
    fn explicitly_allowed(&self, place: &Place, allowed: &[&Path]) -> bool {
        allowed.iter().any(|&written| {
            let inside = matches!(self.trees.reach(&self.trees.place(written), false, true), Some(Reach::Inside(_)));
            self.trees.is_named(written)
                && (written == place.path()
                    || inside
                        && self
                            .trees
                            .both(written, self.facts)
                            .iter()
                            .any(|allowed| place.path().starts_with(allowed.path())))
        })
    }
}

fn describe(reach: &Reach) -> String {
    match reach {
        Reach::Inside(tree) => format!("is in {}, which belongs to the host", tree.display()),
        Reach::Contains(tree) if tree == Path::new("/") => "gives the host's root directory".into(),
        Reach::Contains(tree) => format!("contains {}, which belongs to the host", tree.display()),
        Reach::Below(tree, point) => {
            format!("contains {}, where {} of the host is mounted", point.display(), tree.display())
        }
    }
}
