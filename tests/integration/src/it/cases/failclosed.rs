//! Fail closed: when lockc can't do its work no container starts under it and the reason is shown;
//! plain runc and the host notice nothing.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::{Row, Test, both, row};
use crate::bundle::Bundle;
use crate::command;
use crate::config;
use crate::lab::Lab;
use crate::launch::{self, By, Running, Runtime};

pub const ROWS: &[Row] = &[
    both("failclosed/not-loaded", Test::Code(not_loaded)).core().thorough_with_runc(),
    row("failclosed/link-pin-removed", Test::Code(link_removed)).one_kernel(),
    row("failclosed/map-pin-removed", Test::Code(map_removed)),
    row("failclosed/all-pins-removed", Test::Code(pins_removed)).one_kernel(),
    row("failclosed/load-killed", Test::Code(load_killed)).one_kernel(),
    row("failclosed/abi-version-changed", Test::Code(abi_changed)),
    row(
        "failclosed/config-broken",
        Test::Code(|lab, runtime| config_is(lab, runtime, "default = \n", 0o644, "lockc.toml")),
    )
    .one_kernel(),
    row(
        "failclosed/config-unknown-key",
        Test::Code(|lab, runtime| {
            config_is(lab, runtime, "defualt = \"baseline\"\n", 0o644, "defualt")
        }),
    )
    .one_kernel(),
    row(
        "failclosed/config-unknown-level",
        Test::Code(|lab, runtime| config_is(lab, runtime, "default = \"lax\"\n", 0o644, "lax")),
    )
    .one_kernel(),
    row(
        "failclosed/config-unknown-rule",
        Test::Code(|lab, runtime| {
            let text = "[policies.a]\nextends = \"baseline\"\nwithout_rules = [\n  \"mout\",\n]\n";
            config_is(
                lab,
                runtime,
                text,
                0o644,
                "lockc.toml: line 4: policies.a.without_rules: \"mout\" is not a rule",
            )
        }),
    )
    .one_kernel(),
    row(
        "failclosed/config-reads",
        Test::Code(|lab, runtime| {
            let text = "[policies.a]\nextends = \"baseline\"\nreads = [\"/proc/1/environ\"]\n";
            config_is(
                lab,
                runtime,
                text,
                0o644,
                "lockc.toml: line 3: policies.a.reads: \"/proc/1/environ\" describes",
            )
        }),
    )
    .one_kernel(),
    row(
        "failclosed/config-contradiction",
        Test::Code(|lab, runtime| {
            let text = "[namespaces.a]\nceiling = \"baseline\"\ndefault = \"privileged\"\n";
            config_is(
                lab,
                runtime,
                text,
                0o644,
                "lockc.toml: line 3: namespaces.a.default is privileged, which is looser",
            )
        }),
    )
    .one_kernel(),
    row(
        "failclosed/config-writable-by-others",
        Test::Code(|lab, runtime| config_is(lab, runtime, "", 0o666, "lockc.toml")),
    )
    .one_kernel(),
    row("failclosed/config-is-a-folder", Test::Code(config_folder)).one_kernel(),
    row("failclosed/running-containers-can-be-managed", Test::Code(manage)).slow(),
    row("failclosed/fail-open-is-said", Test::Code(fail_open)).slow(),
];

/// Nothing starts under lockc and it says why; everything else works.
fn nothing_starts(runtime: Runtime, says: &str) -> Result<String> {
    let bundle = Bundle::new(&["true"]);
    let run = launch::run(By::Lockc("baseline"), &bundle)?;
    if run.ok() {
        bail!("a container started");
    }
    if !run.stderr.contains("lockc: ") || !run.stderr.contains(says) {
        bail!("the reason does not name {says:?}: {}", run.said());
    }
    launch::run(By::Plain(runtime), &bundle)?.must().context("plain containers are affected")?;
    command::sh("ls /sys/fs/ext4 /proc/1/root > /dev/null && dmesg > /dev/null")
        .context("the host is affected")?;
    Ok(run.stderr)
}

/// And once lockc is whole again, they start.
fn again(lab: &mut Lab, reason: String) -> Result<String> {
    lab.unload()?;
    lab.load()?;
    launch::run(By::Lockc("baseline"), &Bundle::new(&["true"]))?
        .must()
        .context("after lockc load")?;
    Ok(reason)
}

/// What a load that is killed leaves behind starts no container, and the next load is not stopped
/// by it.
fn load_killed(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    if lab.plain {
        return Ok("nothing to prove without lockc".into());
    }
    lab.unload()?;
    let script = "lockc load & load=$!; links=/sys/fs/bpf/lockc/links; until [ $(ls $links 2> \
                  /dev/null | wc -l) -gt 20 ]; do kill -0 $load || exit 1; sleep 0.1; done; kill \
                  -9 $load; wait $load; ls $links | grep -c _new";
    let left = command::sh(script).context("nothing to kill")?;
    let reason = nothing_starts(runtime, "`lockc load` was interrupted; run it again")?;
    lab.load()?;
    launch::run(By::Lockc("baseline"), &Bundle::new(&["true"]))?
        .must()
        .context("after lockc load")?;
    Ok(format!("{} links left behind: {reason}", left.trim()))
}

fn not_loaded(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    if lab.plain {
        return Ok("nothing to prove without lockc".into());
    }
    lab.unload()?;
    let reason = nothing_starts(runtime, "lockc load")?;
    lab.load()?;
    launch::run(By::Lockc("baseline"), &Bundle::new(&["true"]))?
        .must()
        .context("after lockc load")?;
    Ok(reason)
}

fn remove(lab: &mut Lab, runtime: Runtime, what: &str) -> Result<String> {
    if lab.plain {
        return Ok("nothing to prove without lockc".into());
    }
    command::sh(&format!(
        "ls /sys/fs/bpf/lockc/{what} > /dev/null && rm -rf /sys/fs/bpf/lockc/{what}"
    ))?;
    let reason = nothing_starts(runtime, "lockc load")?;
    again(lab, reason)
}

fn link_removed(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    remove(lab, runtime, "links/file_open")
}

/// The pin is put back afterwards: a load takes a quarter of a minute in emulation.
fn map_removed(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    if lab.plain {
        return Ok("nothing to prove without lockc".into());
    }
    const PIN: &str = "/sys/fs/bpf/lockc/maps/containers";
    const ASIDE: &str = "/sys/fs/bpf/lockc-it-aside";
    command::sh(&format!("mv {PIN} {ASIDE}"))?;
    let reason = nothing_starts(runtime, "lockc load");
    command::sh(&format!("mv {ASIDE} {PIN}"))?;
    works_again(reason?)
}

fn works_again(reason: String) -> Result<String> {
    launch::run(By::Lockc("baseline"), &Bundle::new(&["true"]))?
        .must()
        .context("with everything put right")?;
    Ok(reason)
}

fn pins_removed(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    remove(lab, runtime, "*")
}

/// As if another version of lockc had loaded its programs.
fn abi_changed(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    if lab.plain {
        return Ok("nothing to prove without lockc".into());
    }
    let meta = "/sys/fs/bpf/lockc/maps/meta";
    let bytes = command::sh(&format!(
        "bpftool -j map lookup pinned {meta} key 0 0 0 0 | jq -r '.value | join(\" \")'"
    ))?;
    let update = |bytes: &str| {
        command::sh(&format!("bpftool map update pinned {meta} key 0 0 0 0 value {bytes}"))
    };
    let rest = bytes.trim().split_once(' ').context("the map meta has no value")?.1;
    update(&format!("0xee {rest}"))?;
    let reason = nothing_starts(runtime, "version");
    update(&bytes)?;
    works_again(reason?)
}

fn config_is(lab: &mut Lab, runtime: Runtime, text: &str, mode: u32, says: &str) -> Result<String> {
    use std::os::unix::fs::PermissionsExt;
    if lab.plain {
        return Ok("nothing to prove without lockc".into());
    }
    config::put(text)?;
    fs::set_permissions(config::PATH, fs::Permissions::from_mode(mode)).context("chmod")?;
    let result = nothing_starts(runtime, says);
    fs::set_permissions(config::PATH, fs::Permissions::from_mode(0o644)).context("chmod")?;
    config::write(runtime)?;
    launch::run(By::Lockc("baseline"), &Bundle::new(&["true"]))?
        .must()
        .context("with the configuration put right")?;
    result
}

fn config_folder(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    if lab.plain {
        return Ok("nothing to prove without lockc".into());
    }
    fs::remove_file(config::PATH).context("cannot remove the configuration")?;
    fs::create_dir(config::PATH).context("cannot create a directory")?;
    let result = nothing_starts(runtime, "lockc.toml");
    fs::remove_dir(config::PATH).context("cannot remove the directory")?;
    config::write(runtime)?;
    result
}

/// With lockc gone and its configuration broken, what runs can still be looked at, stopped and
/// deleted.
fn manage(lab: &mut Lab, _: Runtime) -> Result<String> {
    if lab.plain {
        return Ok("nothing to prove without lockc".into());
    }
    let running = Running::start(By::Lockc("baseline"), &Bundle::new(&["sleep", "1000"]))?;
    command::sh("rm -rf /sys/fs/bpf/lockc/*")?;
    running.call(&["state"], &[])?.must().context("state")?;
    running.call(&["kill"], &["KILL"])?.must().context("kill")?;
    running.call(&["delete", "--force"], &[])?.must().context("delete")?;
    if Path::new(&format!("/proc/{}", running.pid)).exists() {
        std::thread::sleep(std::time::Duration::from_millis(500));
    }
    again(lab, "state, kill, delete".into())
}

/// The operator's choice, and it is said at each use.
fn fail_open(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    if lab.plain {
        return Ok("nothing to prove without lockc".into());
    }
    config::put(&format!("fail = \"open\"\nruntimes = [\"{}\"]\n", runtime.path()))?;
    lab.unload()?;
    let run = launch::run(By::Lockc("baseline"), &Bundle::new(&["true"]));
    config::write(runtime)?;
    lab.load()?;
    let run = run?;
    if !run.ok() || !run.stderr.contains("lockc") {
        bail!("status {}: {}", run.status, run.said());
    }
    Ok(run.stderr)
}
