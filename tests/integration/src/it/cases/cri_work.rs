//! Ordinary life of pods: what works without lockc works under baseline and restricted, with the
//! same output.

use std::fs;

use anyhow::{Context, Result, bail};
use serde_json::json;

use super::cri::{handler, idle};
use super::{Row, Test, row};
use crate::bundle::SECCOMP_ARCH;
use crate::command::sh;
use crate::cri::describe::{container, pod};
use crate::cri::proto::{
    ContainerConfig, LinuxContainerResources, NamespaceMode, PodSandboxConfig, SecurityProfile,
    security_profile::ProfileType,
};
use crate::cri::{Container, Pod};
use crate::lab::Lab;
use crate::launch::{self, Runtime};

const fn case(name: &'static str, code: fn(&mut Lab, Runtime) -> Result<String>) -> Row {
    row(name, Test::Code(code))
}

pub const ROWS: &[Row] = &[
    case("cri/life-of-a-pod", life),
    case("cri/streams", streams).smoke(),
    case("cri/attach", attach).thorough(),
    case("cri/pod-network", network).thorough(),
    case("cri/read-only-root", read_only).thorough(),
    case("cri/seccomp-localhost", seccomp).thorough(),
    case("cri/shared-processes", |lab, _| {
        shared(lab, PodSandboxConfig::share_processes, NamespaceMode::Pod)
    }),
    case("cri/shared-processes-of-a-debugger", |lab, _| {
        shared(lab, |config| config, NamespaceMode::Target)
    })
    .thorough(),
    case("cri/shared-processes-of-looser-containers", trace).thorough(),
    case("cri/node-agent", node_agent),
];

/// Where an ordinary pod must live: without lockc, and under its levels.
fn places(lab: &Lab) -> Vec<(&'static str, &'static str)> {
    let mut places = vec![("runc", "default")];
    if !lab.plain {
        places.extend([("lockc", "default"), ("lockc", "tight")]);
    }
    places
}

/// What a program printed, if it ended well.
fn says(c: &Container, script: &str, expected: &str) -> Result<()> {
    let run = c.exec(&["sh", "-ec", script])?;
    if run.ok() && run.stdout.contains(expected) {
        Ok(())
    } else {
        bail!("`{script}`: status {}, {:?} instead of {expected:?}", run.status, run.said())
    }
}

/// The volumes that kubelet makes for a pod.
fn volumes(config: &PodSandboxConfig, mut c: ContainerConfig) -> Result<ContainerConfig> {
    let pod = config.folder();
    let folder = |kind: &str, name: &str| format!("{pod}/volumes/kubernetes.io~{kind}/{name}");
    let (data, settings, token) = (
        folder("empty-dir", "data"),
        folder("configmap", "settings"),
        folder("projected", "kube-api-access"),
    );
    let log = format!("{pod}/containers/main/0123abcd");
    // As kubelet's atomic writer leaves them: a link to a link.
    sh(&format!(
        "mkdir -p {data} {settings}/..v1 {token}/..v1 {pod}/containers/main && chmod 777 {data} \
         && echo key=value > {settings}/..v1/app && ln -sfn ..v1 {settings}/..data && ln -sf \
         ..data/app {settings}/app && echo a-token > {token}/..v1/token && ln -sfn ..v1 \
         {token}/..data && ln -sf ..data/token {token}/token && echo '127.0.0.1 localhost \
         own-name' > {pod}/etc-hosts && touch {log} && chmod 666 {log}"
    ))?;
    c = c.volume(&data, "/data", false).volume(&settings, "/settings", true);
    c = c.volume(&token, "/var/run/secrets/kubernetes.io/serviceaccount", true);
    Ok(c.volume(&format!("{pod}/etc-hosts"), "/etc/hosts", false).volume(
        &log,
        "/dev/termination-log",
        false,
    ))
}

fn life(lab: &mut Lab, _: Runtime) -> Result<String> {
    let cri = lab.containerd()?.cri.clone();
    for (handler, namespace) in places(lab) {
        one_life(&cri, handler, namespace).with_context(|| format!("{handler} in {namespace}"))?;
    }
    Ok("volumes, exec, logs, update, stop".into())
}

fn one_life(cri: &std::rc::Rc<crate::cri::Cri>, handler: &str, namespace: &str) -> Result<()> {
    let config = pod(namespace);
    let pod = Pod::run(cri, handler, config.clone())?;
    let script = "trap 'echo ended > /dev/termination-log; exit 7' TERM; echo to-the-log; while \
                  :; do sleep 0.1; done";
    let c = pod.start(&volumes(&config, container(&["sh", "-c", script]).hardened())?)?;
    let run = c.exec(&["sh", "-c", "echo out; echo err >&2; exit 3"])?;
    if (run.status, run.stdout.as_str(), run.stderr.as_str()) != (3, "out", "err") {
        bail!("exec: status {}: {}", run.status, run.said());
    }
    says(
        &c,
        "cat /settings/app /var/run/secrets/kubernetes.io/serviceaccount/token",
        "key=value\na-token",
    )?;
    says(
        &c,
        "echo x > /data/x; cat /data/x; echo y > /dev/shm/y; cat /dev/shm/y; id -u",
        "x\ny\n1000",
    )?;
    says(&c, "cat /etc/resolv.conf /etc/hostname > /dev/null; cat /etc/hosts", "own-name")?;
    says(&c, "hostname", &config.hostname)?;
    let other = pod.start(&idle().hardened())?;
    says(&other, "cat /dev/shm/y", "y").context("/dev/shm of the pod")?;
    c.update(LinuxContainerResources { cpu_shares: 512, memory_limit_in_bytes: 256 << 20 })?;
    c.stop(30)?;
    let status = c.wait()?;
    let log = c.logs()?;
    let message = fs::read_to_string(format!("{}/containers/main/0123abcd", config.folder()));
    if status.exit_code != 7
        || log.stdout != "to-the-log"
        || message.as_deref().ok() != Some("ended\n")
    {
        bail!("it ended with {}, log {:?}, message {message:?}", status.exit_code, log.said());
    }
    let run = pod.finish(&container(&["sh", "-c", "echo done; exit 5"]).hardened())?;
    if run.status != 5 || run.stdout != "done" {
        bail!("a job ended with {}: {}", run.status, run.said());
    }
    pod.stop()?;
    pod.remove()
}

fn streams(lab: &mut Lab, _: Runtime) -> Result<String> {
    for (handler, namespace) in places(lab) {
        let c = lab.containerd()?.shared(handler, namespace)?.start(&idle().hardened())?;
        let work = || -> Result<()> {
            let mut terminal = c.exec_stream(&["sh"], true)?;
            terminal.send("tty && echo typed-$((20+3))\n")?;
            terminal.expect("typed-23")?;
            terminal.send("exit 4\n")?;
            let code = terminal.exit_code()?;
            if code != 4 || !terminal.text.contains("/dev/pts/") {
                bail!("terminal: {code}, {:?}", terminal.text);
            }
            let mut pipe = c.exec_stream(
                &["sh", "-c", "read line; echo got-$line; echo err >&2; exit 6"],
                false,
            )?;
            pipe.send("words\n")?;
            let code = pipe.exit_code()?;
            if code != 6 || !pipe.text.contains("got-words") || !pipe.text.contains("err") {
                bail!("pipe: {code}, {:?}", pipe.text);
            }
            Ok(())
        };
        work().with_context(|| format!("{handler} in {namespace}"))?;
    }
    Ok("exec with a terminal and with pipes".into())
}

fn attach(lab: &mut Lab, _: Runtime) -> Result<String> {
    for (handler, namespace) in places(lab) {
        let pod = lab.containerd()?.shared(handler, namespace)?;
        let c = pod.start(&container(&["sh"]).hardened().terminal())?;
        let work = || -> Result<()> {
            let mut stream = c.attach()?;
            stream.send("echo attached-$((20+3))\n")?;
            stream.expect("attached-23")?;
            stream.send("exit 9\n")?;
            match c.wait()?.exit_code {
                9 => Ok(()),
                code => bail!("it ended with {code}: {:?}", stream.text),
            }
        };
        work().with_context(|| format!("{handler} in {namespace}"))?;
    }
    Ok("a shell's terminal".into())
}

/// Two containers of a pod share its address, another pod reaches it over the bridge.
fn network(lab: &mut Lab, _: Runtime) -> Result<String> {
    for (handler, namespace) in places(lab) {
        let shared = lab.containerd()?.shared(handler, namespace)?;
        let server = "while :; do echo served | nc -l -p 8080; done";
        let mut work = || -> Result<()> {
            let server = shared.start(&container(&["sh", "-c", server]).hardened())?;
            let own = server
                .exec(&["sh", "-c", "ip -4 -o addr show eth0 | sed 's/.*inet //;s,/.*,,'"])?
                .must()?;
            let client = shared.start(&idle().hardened())?;
            says(&client, "nc 127.0.0.1 8080 < /dev/null", "served").context("within the pod")?;
            let other = Pod::run(&lab.containerd()?.cri, handler, pod(namespace))?;
            let stranger = other.start(&idle().hardened())?;
            says(&stranger, &format!("nc {own} 8080 < /dev/null"), "served")
                .context("from another pod")
        };
        work().with_context(|| format!("{handler} in {namespace}"))?;
    }
    Ok("within a pod and between two".into())
}

fn read_only(lab: &mut Lab, _: Runtime) -> Result<String> {
    for (handler, namespace) in places(lab) {
        let config = idle().hardened().security(|security| security.readonly_rootfs = true);
        let c = lab.containerd()?.shared(handler, namespace)?.start(&config)?;
        says(
            &c,
            "touch /tmp/x 2>&1 || echo ok > /dev/shm/z; cat /dev/shm/z",
            "Read-only file system",
        )?;
    }
    Ok("the root stays read-only".into())
}

/// A profile of kubelet's directory, which forbids one call.
fn seccomp(lab: &mut Lab, _: Runtime) -> Result<String> {
    const PROFILE: &str = "/var/lib/kubelet/seccomp/profiles/no-sync.json";
    lab.containerd()?;
    fs::create_dir_all("/var/lib/kubelet/seccomp/profiles")
        .context("cannot create kubelet's directory")?;
    let text = json!({
        "defaultAction": "SCMP_ACT_ALLOW", "architectures": [SECCOMP_ARCH],
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}],
    })
    .to_string();
    fs::write(PROFILE, text).context("cannot write a profile")?;
    let chosen = SecurityProfile {
        profile_type: ProfileType::Localhost.into(),
        localhost_ref: PROFILE.into(),
    };
    for (handler, namespace) in places(lab) {
        let config = idle().hardened().security(|security| security.seccomp = Some(chosen.clone()));
        let c = lab.containerd()?.shared(handler, namespace)?.start(&config)?;
        says(&c, "touch /tmp/x; mkdir /tmp/y 2>&1 || true", "Operation not permitted")
            .with_context(|| format!("{handler} in {namespace}"))?;
    }
    Ok("the profile holds".into())
}

/// The program `sleep SECONDS`, for a shell in sight of it.
fn pid_of(seconds: &str) -> String {
    format!("$(ps -o pid,args | sed -n 's/^ *\\([0-9]*\\) sleep {seconds}$/\\1/p')")
}

/// Containers that share a PID namespace, by the pod's choice or as `kubectl debug --target` has
/// it, see and signal each other; those that do not share it see nothing of each other.
fn shared(
    lab: &mut Lab,
    change: fn(PodSandboxConfig) -> PodSandboxConfig,
    how: NamespaceMode,
) -> Result<String> {
    let cri = lab.containerd()?.cri.clone();
    for (handler, namespace) in places(lab) {
        let work = || -> Result<()> {
            let pod = Pod::run(&cri, handler, change(pod(namespace)))?;
            let first = pod.start(&container(&["sh", "-c", "sleep 4321; exit 8"]).hardened())?;
            let mut second = idle().hardened();
            if how == NamespaceMode::Target {
                second = second.security(|security| {
                    let namespaces = security.namespace_options.get_or_insert_default();
                    namespaces.set_pid(NamespaceMode::Target);
                    namespaces.target_id.clone_from(&first.id);
                });
            }
            let second = pod.start(&second)?;
            says(&second, &format!("cat /proc/{}/status", pid_of("4321")), "State:")?;
            says(&second, &format!("kill {} && echo sent", pid_of("4321")), "sent")?;
            match first.wait()?.exit_code {
                // The shell ends when its child was signalled.
                8 => {}
                code => bail!("the other container ended with {code}"),
            }
            if how == NamespaceMode::Pod {
                return Ok(());
            }
            let third = pod.start(&idle().hardened())?;
            says(&third, "ps -o args | grep -c '[s]leep 1000'", "1")
        };
        work().with_context(|| format!("{handler} in {namespace}"))?;
    }
    Ok("they see and signal each other".into())
}

/// A container that asked for a tighter level than its pod's must not get out of that by acting as
/// another of its pod.
fn trace(lab: &mut Lab, _: Runtime) -> Result<String> {
    let handler = handler(lab);
    let pod = Pod::run(&lab.containerd()?.cri, handler, pod("default").share_processes())?;
    let looser = pod.start(&container(&["sleep", "4321"]))?;
    let tighter =
        pod.start(&container(&["sleep", "1234"]).annotation("org.lockc.policy", "offline"))?;
    let attempt = |who: &Container, what: &str, args: &str| {
        let run = who.exec(&["sh", "-c", &format!("/probe {what} {}", pid_of(args))])?;
        launch::parse(&run).with_context(|| format!("{what} {args}: {}", run.said()))
    };
    for what in ["ptrace", "vm-read"] {
        for (who, args) in [(&looser, "1234"), (&looser, "4321"), (&tighter, "1234")] {
            let attempt = attempt(who, what, args)?;
            if !attempt.ok {
                bail!("BROKEN: {what} {args}: {}", attempt.detail);
            }
        }
        lab.forget_events_unless_plain()?;
        let up = attempt(&tighter, what, "4321")?;
        if lab.plain {
            if up.ok {
                continue;
            } else {
                bail!("proves nothing: {what} fails without lockc too: {}", up.detail)
            }
        }
        if up.ok || up.errno != 1 {
            bail!("NOT DENIED: {what}: {up:?}");
        }
        lab.expect_event("process")?;
    }
    Ok("not upwards, but sideways and downwards".into())
}

/// A node's agent: host network, host PIDs, privileged, the host's root; in a namespace of the
/// administrator's.
fn node_agent(lab: &mut Lab, _: Runtime) -> Result<String> {
    let handler = handler(lab);
    let config = pod("trusted")
        .host_network()
        .host_pid()
        .host_ipc()
        .security(|security| security.privileged = true);
    let pod = Pod::run(&lab.containerd()?.cri, handler, config)?;
    let c = idle()
        .unmasked()
        .volume("/", "/host", false)
        .security(|security| security.privileged = true);
    let c = pod.start(&c)?;
    says(
        &c,
        "cat /host/var/lib/lockc-it-secrets/key; ps -o args | grep -q '[c]ontainerd' && echo seen",
        "secret of the host\nseen",
    )?;
    says(
        &c,
        "mkdir -p /tmp/m; mount -t tmpfs none /tmp/m; umount /tmp/m; nsenter -t 1 -m -- hostname",
        "vm",
    )?;
    Ok("sees and changes the host".into())
}
