//! What of the host's file systems a container is granted: its root file system, bind mounts,
//! sockets.

use std::{
    cell::RefCell,
    io,
    path::{Path, PathBuf},
};

use crate::{
    admission::grants::Tree,
    config::{CONFIG_PATH, Mode, Settings},
    host::mount_table::Part,
    policy::{Control, Key, Setting, Strength, sockets::NamedSockets},
    spec::Mount,
};
use crate::{
    admission::{
        devices,
        findings::Findings,
        grants::Grants,
        protected_paths::ProtectedPaths,
        self_protection::Own,
        sources::{Allowed, Sources},
    },
    engines::{self, Engines, Query, Request},
    host::{HostView, Kind, Opened},
    policy::capabilities::short_name,
};
use lockc_core::rules::Rule;

/// File systems that show a container its own things only. (A bind mount is checked by its source.)
const TYPES: [&str; 7] = ["proc", "sysfs", "tmpfs", "devpts", "mqueue", "cgroup", "cgroup2"];

/// Checks `root` and `mounts`. Each source is opened once, before the mount table is read: what is
/// checked by the table is what the descriptor holds.
pub(super) fn check(
    request: &Request<'_>,
    settings: &Settings,
    engines: &Engines,
    view: &dyn HostView,
    findings: &mut Findings<'_>,
) -> Grants {
    let open = |path: &Path| view.open(&request.bundle.join(path));
    let root = request.spec.root.as_ref().map(|root| open(&root.path));
    let sources: Vec<_> = request
        .spec
        .mounts
        .iter()
        .map(|mount| mount.is_bind().then(|| open(&mount.source)))
        .collect();
    let engines = engines.clone().resolved(view);
    let trees = match ProtectedPaths::new(&engines.dirs(), view) {
        Ok(trees) => trees,
        Err(error) => {
            // Unreadable only where /proc is missing; nothing can be checked then, not even for the
            // level privileged.
            findings.add(
                Control::HostMounts,
                format!("/proc/self/mountinfo cannot be read: {error}"),
                "mount procfs on /proc",
            );
            return Grants::default();
        }
    };
    // In audit mode nothing but the lack of the capability keeps a container from a remount.
    let process = request.spec.process.as_ref();
    let may_mount = process.is_none_or(|process| {
        process.capabilities.all().any(|name| short_name(name) == "SYS_ADMIN")
    });
    let sealed = if findings.policy.mode == Mode::Audit {
        !may_mount
    } else {
        findings.policy.rules.has(Rule::Mount)
    };
    let own = Own::new(&trees, settings, view, sealed);
    let devices = devices::Named::of(&findings.policy.more.devices, view);
    let sources_of =
        Sources { engines: &engines, trees: &trees, devices, layers: RefCell::default() };
    let check = MountCheck { request, settings, sources: &sources_of, own: &own, view };
    let mut grants = Grants::default();
    check.rootfs(root, &mut grants, findings);
    for (mount, source) in request.spec.mounts.iter().zip(sources) {
        if let Some(source) = source {
            check.bind(mount, source, &mut grants, findings);
        } else if mount.kind == "overlay" {
            check.overlay(mount, findings);
        } else if !TYPES.contains(&mount.kind.as_str()) {
            findings.add(
                Control::MountTypes,
                format!("a mount of type {:?} at {}", mount.kind, mount.destination.display()),
                format!("use one of {}, bind", TYPES.join(", ")),
            );
        }
    }
    check.sockets_below(&mut grants, findings);
    check.changed_layers(findings);
    grants.layers = sources_of.layers.take();
    grants
}

struct MountCheck<'a> {
    request: &'a Request<'a>,
    settings: &'a Settings,
    sources: &'a Sources<'a>,
    own: &'a Own,
    view: &'a dyn HostView,
}

impl MountCheck<'_> {
    fn query<'b>(&'b self, mount: Option<&'b Mount>) -> Query<'b> {
        Query { request: self.request, mount, view: self.view }
    }

    /// What a control admits of the host's directories.
    fn allowed<'b>(&'b self, control: Control, findings: &'b Findings<'_>) -> Allowed<'b> {
        let strength = findings.strength(control);
        // Beyond the engine's own; what the configuration allows is for baseline.
        let (for_level, are_defaults) = match strength {
            Strength::Baseline => self.settings.allowed_mounts_of(self.request.engine),
            Strength::Off | Strength::Restricted => (&[][..], false),
        };
        let paths =
            for_level.iter().chain(&findings.policy.more.mounts).map(PathBuf::as_path).collect();
        Allowed { strength, paths, are_defaults }
    }

    /// An object with what is mounted below it, as far as that can be opened: what cannot be is not
    /// granted.
    fn tree(&self, opened: Opened, propagates: bool) -> Tree {
        let place = self.sources.trees.place_of(&opened);
        let open = |point: super::protected_paths::ResolvedPath| {
            let below = self.view.open(point.path()).ok()?;
            // Somebody may have mounted something else there meanwhile.
            let mount = self.sources.trees.mount(&point).map(|mount| mount.id);
            (below.mount.is_none() || below.mount == mount).then_some(below)
        };
        let below = self.sources.trees.below(&place).filter_map(open).collect();
        Tree { top: opened, below, propagates }
    }

    fn rootfs(
        &self,
        root: Option<io::Result<Opened>>,
        grants: &mut Grants,
        findings: &mut Findings<'_>,
    ) {
        let opened = match root {
            Some(Ok(opened)) => opened,
            None => {
                return findings.add(
                    Control::Rootfs,
                    "no root file system is configured".into(),
                    "set root.path",
                );
            }
            Some(Err(error)) => {
                let path = self
                    .request
                    .spec
                    .root
                    .as_ref()
                    .map(|root| self.request.bundle.join(&root.path));
                let path = path.unwrap_or_default();
                return findings.add(
                    Control::Rootfs,
                    format!("the root file system {} cannot be resolved: {error}", path.display()),
                    "create it",
                );
            }
        };
        let bundle = self
            .view
            .canonicalize(self.request.bundle)
            .unwrap_or_else(|_| self.request.bundle.into());
        let place = self.sources.trees.place_of(&opened);
        // Like a bind mount of that directory, unless an engine keeps it.
        let allowed = self.allowed(Control::HostMounts, findings);
        let checked = findings.strength(Control::Rootfs) != Strength::Off;
        let refusal = || self.sources.root_refusal(&place, &bundle, &allowed, &self.query(None));
        let label = format!("the root file system {}", opened.path.display());
        let refusal = checked.then(refusal).flatten();
        let is_audit = findings.policy.mode == Mode::Audit;
        let changed = (refusal.is_none() || is_audit)
            .then(|| self.own.changed_in(&place, is_audit))
            .flatten();
        if let Some((what, remedy)) = refusal {
            findings.add(Control::Rootfs, format!("{label} {what}"), remedy);
        }
        if let Some(own) = changed {
            findings.add(
                Control::OwnFiles,
                format!(
                    "{label} lets the container change {}, which root on the host executes or \
                     reads",
                    own.display()
                ),
                "use a separate directory",
            );
        }
        grants.rootfs = self.tree(opened, false);
    }

    fn bind(
        &self,
        mount: &Mount,
        source: io::Result<Opened>,
        grants: &mut Grants,
        findings: &mut Findings<'_>,
    ) {
        let path = self.request.bundle.join(&mount.source);
        let label = format!("bind mount of {} at {}", path.display(), mount.destination.display());
        let source = match source {
            Ok(source) => source,
            Err(error) => {
                return findings.add(
                    Control::HostMounts,
                    format!("{label}: the source cannot be resolved: {error}"),
                    "create it",
                );
            }
        };
        let label = if source.path == path {
            label
        } else {
            format!("{label} (which is {})", source.path.display())
        };
        match source.kind {
            Kind::Socket => return self.socket(source, &label, grants, findings),
            Kind::Char(major, minor) if devices::is_default(i64::from(major), i64::from(minor)) => {
            }
            Kind::Char(..) | Kind::Block(..) if self.sources.devices.is(source.kind) => {}
            Kind::Char(..) | Kind::Block(..) => {
                let what =
                    if matches!(source.kind, Kind::Block(..)) { "block device" } else { "device" };
                findings.add_unless_set(
                    Control::Devices,
                    format!("{label} is a {what}"),
                    "remove the device",
                    [Setting::new(Key::Devices, source.path.to_string_lossy())],
                );
            }
            Kind::Directory | Kind::File => self.files(mount, &source, &label, findings),
        }
        grants.sockets.extend(self.notify_socket(&source.path, mount));
        grants.mounts.push(self.tree(source, mount.propagates()));
    }

    /// An overlay that the runtime mounts: of volumes, images, and the container's own directory.
    fn overlay(&self, mount: &Mount, findings: &mut Findings<'_>) {
        let refusal = {
            let allowed = self.allowed(Control::HostMounts, findings);
            let checked = findings.strength(Control::MountTypes) != Strength::Off;
            // The kernel side asks for its layers in any case.
            let refusal = self.sources.overlay_refusal(mount, &allowed, &self.query(Some(mount)));
            refusal.filter(|_| checked)
        };
        if let Some((what, remedy)) = refusal {
            let at = mount.destination.display();
            findings.add(
                Control::MountTypes,
                format!("a mount of type \"overlay\" at {at} {what}"),
                remedy,
            );
        }
    }

    /// What overlays let the container change of what the host's root relies on.
    fn changed_layers(&self, findings: &mut Findings<'_>) {
        let is_audit = findings.policy.mode == Mode::Audit;
        for layer in self
            .sources
            .layers
            .borrow()
            .iter()
            .filter(|layer| layer.part == Part::Upper && layer.may_move)
        {
            let place = self.sources.trees.place_of(&layer.opened);
            if let Some(own) = self.own.changed_in(&place, is_audit) {
                let layer = layer.opened.path.display();
                findings.add(
                    Control::OwnFiles,
                    format!(
                        "an overlay with {layer} lets the container change {}, which root on the \
                         host executes or reads",
                        own.display()
                    ),
                    "use another directory",
                );
            }
        }
    }

    fn files(&self, mount: &Mount, source: &Opened, label: &str, findings: &mut Findings<'_>) {
        let place = self.sources.trees.place_of(source);
        let is_init =
            engines::is_init(&source.path, mount) && self.sources.trees.overlap(&place).is_none();
        let refusal = {
            let allowed = self.allowed(Control::HostMounts, findings);
            let checked =
                allowed.strength != Strength::Off && !(is_init && self.own.is_read_only(mount));
            let refusal = || self.sources.refusal(&place, &allowed, &self.query(Some(mount)));
            checked.then(refusal).flatten()
        };
        // A mount that audit mode lets pass must not contain lockc's own files.
        let is_audit = findings.policy.mode == Mode::Audit;
        let changed = (refusal.is_none() || is_audit)
            .then(|| self.own.changed_by(mount, &place, is_audit))
            .flatten();
        if let Some(own) = changed {
            findings.add(
                Control::OwnFiles,
                format!(
                    "{label} lets the container change {}, which root on the host executes or \
                     reads",
                    own.display()
                ),
                "mount it read-only (with rro, if file systems are mounted below it)",
            );
        }
        if let Some((what, remedy)) = refusal {
            let setting = Setting::new(Key::AllowedMounts, source.path.to_string_lossy());
            let what = format!("{label} {what}");
            findings.add_unless_set(Control::HostMounts, what, remedy, [setting]);
        }
    }

    fn socket(
        &self,
        source: Opened,
        label: &str,
        grants: &mut Grants,
        findings: &mut Findings<'_>,
    ) {
        let named = self.sources.engines.is_build_agent(&source.path, self.request.bundle)
            || self.named_sockets(findings).any(|(_, named)| named.has(&source.path));
        if named || !findings.applies(Control::HostSockets) {
            grants.sockets.push(source.clone());
            grants.mounts.push(self.tree(source, false));
        } else {
            findings.add_unless_set(
                Control::HostSockets,
                format!("{label} is a unix socket of the host"),
                format!("add it to allowed_sockets in {CONFIG_PATH}"),
                [Setting::new(Key::AllowedSockets, source.path.to_string_lossy())],
            );
            // In audit mode it is there, and connecting to it is reported.
            grants.mounts.push(self.tree(source, false));
        }
    }

    /// What the configuration and the policy name, as it is written and as it is meant.
    fn named_sockets<'b>(
        &self,
        findings: &'b Findings<'_>,
    ) -> impl Iterator<Item = (&'b PathBuf, NamedSockets)>
    where
        Self: 'b,
    {
        let written = self.settings.allowed_sockets.iter().chain(&findings.policy.more.sockets);
        // Invalid patterns were refused when the configuration was read.
        written.filter_map(|path| NamedSockets::new(path).ok().map(|named| (path, named)))
    }

    /// What `allowed_sockets` names in directories that the container is granted, under whichever
    /// path.
    fn sockets_below(&self, grants: &mut Grants, findings: &Findings<'_>) {
        let mut roots: Vec<PathBuf> = Vec::new();
        for source in &grants.mounts {
            let names = self.sources.trees.names(&self.sources.trees.place_of(&source.top));
            roots.push(source.top.path.clone());
            roots.extend(names.host.iter().map(|name| name.path().to_owned()));
        }
        for (written, named) in self.named_sockets(findings) {
            let is_below = roots.iter().any(|root| named.directory.starts_with(root));
            if is_below && !grants.named_sockets.contains(written) {
                grants.named_sockets.push(written.clone());
            }
        }
    }

    /// conmon's socket for the container's notifications, in a directory of the container's bundle
    /// (`--sdnotify=container`); conmon passes nothing on but that it is ready. conmon makes
    /// the socket again before each start, and a link that the container may have put there is
    /// no socket.
    fn notify_socket(&self, source: &Path, mount: &Mount) -> Option<Opened> {
        let own = Path::new(self.request.id).join("userdata/notify");
        let is_notify = mount.destination == Path::new("/run/notify")
            && source.ends_with(own)
            && self.sources.engines.belongs(source, &self.query(Some(mount))).is_some();
        let path = source.join("notify.sock");
        let opened = is_notify.then(|| self.view.open(&path).ok()).flatten();
        opened.filter(|opened| opened.path == path && opened.kind == Kind::Socket)
    }
}
