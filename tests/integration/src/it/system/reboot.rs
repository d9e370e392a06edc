//! The second boot: enforcement is up before any container is; an upgrade under a container that
//! keeps trying.

use anyhow::{Result, bail};

use super::{Step, keeper, package, quickstart, sh, status, step, tasks_of, until};

pub const STEPS: &[Step] = &[
    step("system/2-reboot/before-the-engines", before_the_engines),
    step("system/2-reboot/container-came-back-confined", came_back),
    step("system/2-reboot/quickstart-docker", || {
        quickstart::run(quickstart::DOCKER, &["After a reboot"])
    }),
    step("system/2-reboot/quickstart-containerd", || {
        quickstart::run(quickstart::CONTAINERD, &["After a reboot"])
    }),
    step("system/2-reboot/quickstart-podman", || {
        quickstart::run(quickstart::PODMAN, &["After a reboot"])
    }),
    step("system/2-reboot/upgrade", upgrade),
    step("system/2-reboot/stop-detaches-nothing", stop),
];

/// Microseconds since the boot.
fn moment(unit: &str, property: &str) -> Result<u64> {
    let text = sh(&format!("systemctl show --value -p {property} {unit}"))?;
    match text.trim().parse() {
        Ok(0) | Err(_) => bail!("{unit} has no {property}: {text:?}"),
        Ok(moment) => Ok(moment),
    }
}

fn before_the_engines() -> Result<String> {
    let loaded = moment("lockc", "ActiveEnterTimestampMonotonic")?;
    for engine in ["containerd", "docker"] {
        let started = moment(engine, "ExecMainStartTimestampMonotonic")?;
        if started < loaded {
            bail!(
                "{engine} was started {} ms before the programs were loaded",
                (loaded - started) / 1000
            );
        }
    }
    let status = status()?;
    if status["enforcing"] != true {
        bail!("not enforcing after the reboot");
    }
    // No engine had loaded overlayfs by then.
    if status["tells_layers"] != true {
        bail!("what an overlay is made of is not known after the reboot");
    }
    Ok(format!("loaded {} ms after the boot", loaded / 1000))
}

fn came_back() -> Result<String> {
    until(90, "the container is there again", || Ok(keeper::log()?.0 >= 2))?;
    let before = keeper::log()?.1;
    until(90, "it tries", || Ok(keeper::log()?.1 > before))?;
    let (begun, denied) = keeper::log()?;
    let tasks = tasks_of(&keeper::id()?)?;
    if tasks < 1 {
        bail!("it is registered without tasks");
    }
    Ok(format!("begun {begun} times, denied {denied} times, {tasks} tasks"))
}

fn upgrade() -> Result<String> {
    let (id, old) = (keeper::id()?, status()?["version"].clone());
    let (begun, before) = keeper::log()?;
    let file = package("deb", true)?;
    sh(&format!("apt-get install -y {}", file.display()))?;
    let new = status()?;
    if new["version"] == old || new["version"] != new["own_version"] || new["enforcing"] != true {
        bail!("the programs are not those of the new package: {old} before, {new}");
    }
    let (begun_after, during) = keeper::log()?;
    if keeper::id()? != id || begun_after != begun || tasks_of(&id)? < 1 {
        bail!("the container was not left alone: begun {begun}, then {begun_after} times");
    }
    if during <= before {
        bail!("it did not try while the package was upgraded: nothing is proven");
    }
    until(90, "it goes on", || Ok(keeper::log()?.1 > during + 3))?;
    Ok(format!("{} attempts meanwhile, each denied; {old} -> {}", during - before, new["version"]))
}

fn stop() -> Result<String> {
    sh("systemctl stop lockc")?;
    if status()?["enforcing"] != true {
        bail!("stopping the unit detached the programs");
    }
    sh("systemctl start lockc && systemctl is-active lockc")
}
