//! Loads, attaches and pins the programs; removes all of it.
//!
//! Only `load` needs a process of lockc: programs, links and maps are pinned and remain when it
//! exits. An upgrade attaches each new program before it detaches the old one, so enforcement has
//! no gap. Maps, and with them labels and containers, are kept.

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use aya::{
    Btf, Ebpf, EbpfLoader, include_bytes_aligned,
    maps::{Array, HashMap, MapInfo},
    programs::{Lsm, links::FdLink},
};
use lockc_core::{
    abi::{ABI_VERSION, Meta, NameKey, NameRule, padded},
    hooks::{self, PROGRAMS, Program},
    maps::{self, names, registry},
    paths,
};
use lockc_policy::policy::PolicySet;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::{
    btf,
    pinned::{attached_version, missing_links},
    preconditions,
};

/// The LSM programs, as the build script made them.
pub static OBJECT: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/lockc.bpf.o"));

/// What `load` did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Programs were attached.
    Loaded,
    /// They replaced attached ones.
    Replaced,
    /// The same programs were attached already.
    AlreadyLoaded,
}

/// Release of lockc and a short hash of the programs: what `meta` and `lockc status` show.
pub fn version() -> String {
    // FNV-1a: tells builds apart, guards nothing.
    let hash = OBJECT.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{}+{:08x}", env!("CARGO_PKG_VERSION"), hash as u32)
}

/// Attaches and pins everything. Idempotent.
///
/// # Errors
///
/// Where a precondition is not met or the kernel refuses a program. What was attached before stays
/// attached; nothing half-loaded stays behind.
pub fn load(force: bool) -> Result<Outcome> {
    preconditions::require()?;
    ask_for_overlay();
    let _lock = registry::lock()?;
    let before = attached_version();
    if let Some(meta) = before {
        if meta.abi != ABI_VERSION {
            bail!(
                "programs of ABI version {} are loaded and this release has {ABI_VERSION}; nothing \
                 was changed; stop the lockc containers, then run `lockc unload` and `lockc load`",
                meta.abi
            );
        }
        // overlayfs may have been loaded since.
        let tells_more = || {
            meta.layers_told == 0
                && btf::kernel().is_ok_and(|kernel| kernel.untold_layers.is_none())
        };
        if !force
            && maps::text(&meta.version) == version()
            && missing_links().is_empty()
            && !tells_more()
        {
            return Ok(Outcome::AlreadyLoaded);
        }
    }
    for directory in [paths::PINS, paths::MAPS, paths::LINKS, paths::PROGS] {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).with_context(|| {
            format!(
                "{directory} could not be created; nothing was loaded; mount bpffs on /sys/fs/bpf"
            )
        })?;
    }
    // Of maps that are gone; their keys begin again.
    if before.is_none() {
        let _ = fs::remove_dir_all(paths::CONTAINERS);
    }
    // Of a load that was killed.
    remove_new();
    let result = attach_all();
    if result.is_err() {
        remove_new();
        if before.is_none() {
            remove_pins().context("removing the incomplete load")?;
        }
    }
    result?;
    Ok(if before.is_some() { Outcome::Replaced } else { Outcome::Loaded })
}

/// Makes the kernel load overlayfs, as every engine does later: its layout is known from then on.
/// The unit of lockc, which has not the capability, has systemd load it.
fn ask_for_overlay() {
    let _ = rustix::mount::fsopen("overlay", rustix::mount::FsOpenFlags::FSOPEN_CLOEXEC);
}

/// Whether SELinux or Smack is active: the kernel registers their file systems only then
/// (security/selinux/selinuxfs.c, security/smack/smackfs.c). A kernel that does not say has none.
fn has_labels() -> bool {
    fs::read_to_string("/proc/filesystems").is_ok_and(|names| {
        names.split_whitespace().any(|name| matches!(name, "selinuxfs" | "smackfs"))
    })
}

fn attach_all() -> Result<()> {
    raise_limits();
    let running = btf::kernel()?;
    check_hooks(&running.lacks)?;
    let kernel = Btf::from_sys_fs().context("reading the kernel's BTF")?;
    let release = release()?;
    // Before 6.2 the helper gives up on contention (kernel/bpf/bpf_local_storage.c and its users,
    // 6.1 and 6.2). Of an unknown release that is assumed: it costs a look-up and loses
    // nothing.
    let storage_may_fail = u64::from(release.is_none_or(|release| release < (6, 2)));
    let follows_loops = u64::from(release.is_none_or(|release| release >= (6, 7)));
    let map_pins: Vec<(&str, PathBuf)> =
        paths::MAP_NAMES.iter().map(|name| (*name, Path::new(paths::MAPS).join(name))).collect();

    let mut loader = EbpfLoader::new();
    loader.btf(Some(&kernel)).allow_unsupported_maps();
    for (name, pin) in &map_pins {
        loader.map_pin_path(name, pin.as_path());
    }
    for (global, value) in &running.globals {
        loader.override_global(global, value, true);
    }
    loader.override_global("STORAGE_MAY_FAIL", &storage_may_fail, true);
    loader.override_global("FOLLOWS_LOOPS", &follows_loops, true);
    let has_labels = u64::from(has_labels());
    loader.override_global("HAS_LABELS", &has_labels, true);
    let mut key = [0; 8];
    rustix::rand::getrandom(&mut key, rustix::rand::GetRandomFlags::empty())
        .context("reading random numbers")?;
    let key = u64::from_ne_bytes(key);
    loader.override_global("RECORD_KEY", &key, true);
    let (dev, ino) = pins()?;
    loader.override_global("PINS_DEV", &dev, true).override_global("PINS_INO", &ino, true);
    let mut object =
        loader.load(OBJECT).context("creating the maps failed; nothing was attached")?;

    fill_names(&mut object)?;
    fill_own_maps(&mut object)?;
    let programs = || PROGRAMS.iter().filter(|program| !running.lacks.contains(program));
    for program in programs() {
        attach(&mut object, program.name, &kernel).with_context(|| {
            format!("the LSM program {} ({}) was not attached", program.name, program.guards)
        })?;
    }
    // All new programs run beside the old ones by now: take the old ones' places.
    for program in programs() {
        for directory in [paths::LINKS, paths::PROGS] {
            let pin = Path::new(directory).join(program.name);
            fs::rename(new_pin(&pin), &pin)
                .with_context(|| format!("{} could not be replaced", pin.display()))?;
        }
    }
    remove_foreign_pins()?;
    write_meta(&mut object, programs(), running.untold_layers.is_none())
}

/// Refuses a kernel that lacks a hook which lockc, or the configuration, cannot do without.
fn check_hooks(lacks: &[&Program]) -> Result<()> {
    if let Some(program) = lacks.iter().find(|program| !program.is_optional()) {
        bail!(
            "this kernel has no LSM hook {} ({}); nothing was attached; boot a kernel of {} or \
             later",
            program.name,
            program.guards,
            program.since
        );
    }
    // A configuration that cannot be read keeps every container from starting, but must not take
    // the confinement of the running ones away.
    let wanted = match PolicySet::of_host() {
        Ok(config) => config.settings.require,
        Err(error) => {
            tracing::warn!("{error}; its `require` is ignored");
            Vec::new()
        }
    };
    if let Some(program) =
        lacks.iter().find(|program| wanted.iter().any(|name| name == program.name))
    {
        bail!(
            "{} requires the LSM hook {} ({}), which this kernel lacks; nothing was attached; \
             boot a kernel of {} or later",
            paths::CONFIG,
            program.name,
            program.guards,
            program.since
        );
    }
    Ok(())
}

fn attach(object: &mut Ebpf, name: &str, kernel: &Btf) -> Result<()> {
    let program: &mut Lsm =
        object.program_mut(name).context("it is not in this build")?.try_into()?;
    program.load(name, kernel)?;
    let link = program.attach()?;
    let link: FdLink = program.take_link(link)?.into();
    link.pin(new_pin(&Path::new(paths::LINKS).join(name)))?;
    program.pin(new_pin(&Path::new(paths::PROGS).join(name)))?;
    Ok(())
}

/// bpffs takes no dots in names.
fn new_pin(pin: &Path) -> PathBuf {
    let mut name = pin.as_os_str().to_owned();
    name.push("_new");
    PathBuf::from(name)
}

fn fill_names(object: &mut Ebpf) -> Result<()> {
    let map = object.map_mut("names").context("the map names is not in this build")?;
    let mut map: HashMap<_, NameKey, NameRule> = HashMap::try_from(map)?;
    let wanted = names::entries();
    for (key, rule) in &wanted {
        map.insert(key, rule, 0).context("filling the map names")?;
    }
    let stale: Vec<NameKey> = map
        .keys()
        .filter_map(Result::ok)
        .filter(|key| !wanted.iter().any(|(name, _)| name == key))
        .collect();
    for key in stale {
        map.remove(&key).context("emptying the map names")?;
    }
    Ok(())
}

/// Device and inode of the directory with the pins, as the kernel writes them (`MdescribedEV`,
/// include/linux/kdev_t.h); a bpffs tells stat(2) the truth.
fn pins() -> Result<(u64, u64)> {
    let metadata =
        fs::metadata(paths::PINS).with_context(|| format!("{} could not be read", paths::PINS))?;
    let dev = metadata.dev();
    Ok((nix::sys::stat::major(dev) << 20 | nix::sys::stat::minor(dev), metadata.ino()))
}

/// Notes which maps are lockc's.
fn fill_own_maps(object: &mut Ebpf) -> Result<()> {
    let mut ids = Vec::new();
    for name in paths::MAP_NAMES {
        let pin = Path::new(paths::MAPS).join(name);
        let info = MapInfo::from_pin(&pin)
            .with_context(|| format!("{} could not be read", pin.display()))?;
        ids.push(info.id());
    }
    let map = object.map_mut("own_maps").context("the map own_maps is not in this build")?;
    let mut map: HashMap<_, u32, u32> = HashMap::try_from(map)?;
    for id in &ids {
        map.insert(id, 1, 0).context("filling the map own_maps")?;
    }
    let stale: Vec<u32> =
        map.keys().filter_map(Result::ok).filter(|id| !ids.contains(id)).collect();
    for id in stale {
        map.remove(&id).context("emptying the map own_maps")?;
    }
    Ok(())
}

fn write_meta(
    object: &mut Ebpf,
    attached: impl Iterator<Item = &'static Program>,
    layers_told: bool,
) -> Result<()> {
    let map = object.map_mut("meta").context("the map meta is not in this build")?;
    let mut map: Array<_, Meta> = Array::try_from(map)?;
    let mut meta = map.get(&0, 0)?;
    meta.abi = ABI_VERSION;
    meta.attached = [0; 2];
    attached.for_each(|program| meta.add(program.hook));
    meta.layers_told = layers_told.into();
    meta.version = padded(version().as_bytes());
    map.set(0, meta, 0).context("writing the map meta")
}

/// The first two numbers of the kernel's release.
fn release() -> Result<Option<(u32, u32)>> {
    let path = "/proc/sys/kernel/osrelease";
    let release = fs::read_to_string(path).with_context(|| format!("{path} could not be read"))?;
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => Ok(Some((major, minor))),
        _ => Ok(None),
    }
}

/// Each program, map and link is a descriptor; the usual soft limit of 1024 would do, a service's
/// may not. The failure shows only in what follows.
fn raise_limits() {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, soft.max(hard.min(4096)), hard);
    }
}

fn remove_new() {
    for program in PROGRAMS {
        for directory in [paths::LINKS, paths::PROGS] {
            // Most of them do not exist.
            let _ = fs::remove_file(new_pin(&Path::new(directory).join(program.name)));
        }
    }
}

/// Pins of programs that an older release had.
fn remove_foreign_pins() -> Result<()> {
    for directory in [paths::LINKS, paths::PROGS] {
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            if entry.file_name().to_str().is_none_or(|name| hooks::by_name(name).is_none()) {
                fs::remove_file(entry.path())?;
            }
        }
    }
    Ok(())
}

/// Detaches every program and removes every pin. Idempotent; `Ok(false)`: nothing was loaded.
///
/// # Errors
///
/// Where a pin cannot be removed.
pub fn unload() -> Result<bool> {
    // A broken lock must not keep the host's root from unloading.
    let _lock = registry::lock().ok();
    let there = Path::new(paths::PINS).exists();
    remove_pins()?;
    Ok(there)
}

fn remove_pins() -> Result<()> {
    // Links first: programs must not check by maps that are going away.
    for directory in [paths::LINKS, paths::PROGS, paths::MAPS, paths::PINS] {
        let entries = match fs::read_dir(directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => {
                return Err(error).with_context(|| format!("{directory} could not be read"));
            }
        };
        for entry in entries {
            let path = entry?.path();
            fs::remove_file(&path)
                .with_context(|| format!("{} could not be removed", path.display()))?;
        }
        fs::remove_dir(directory).with_context(|| format!("{directory} could not be removed"))?;
    }
    Ok(())
}
