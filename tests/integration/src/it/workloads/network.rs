//! Containers that talk to each other, to the host, and share namespaces.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result};

use super::way::{IMAGE, Way, docker};
use super::{Workload, engine};
use crate::command;
use crate::launch::fresh_id;

pub const ROWS: &[Workload] = &[
    engine(
        "published-port",
        "a port published to the host, and the container's own address",
        "busybox",
        published,
    )
    .smoke(),
    engine(
        "named-network",
        "two containers of a user-defined network talk by name; a key login by ssh",
        "openssh-server, redis-server",
        named,
    )
    .thorough(),
    engine(
        "sidecar",
        "containers that share network, IPC and process namespaces",
        "redis-server, procps",
        sidecar,
    ),
    engine("internal-network", "an internal network and an alias", "busybox, curl", internal)
        .thorough(),
];

/// A page by HTTP from the host.
fn get(address: &str) -> Result<String> {
    let address = address.parse().with_context(|| format!("{address} is not an address"))?;
    let mut stream =
        TcpStream::connect_timeout(&address, Duration::from_secs(10)).context("cannot connect")?;
    stream.set_read_timeout(Some(Duration::from_secs(20))).context("cannot set a time limit")?;
    stream.write_all(b"GET /page HTTP/1.0\r\n\r\n").context("cannot ask")?;
    let mut text = String::new();
    stream.read_to_string(&mut text).context("no answer")?;
    Ok(text.lines().last().unwrap_or("").to_owned())
}

const HTTPD: &str =
    "mkdir /tmp/www; echo the page > /tmp/www/page; exec busybox httpd -f -p 8080 -h /tmp/www";

fn published(way: &Way) -> Result<String> {
    let c = way.background(&["-p", "127.0.0.1:18080:8080", IMAGE, "sh", "-c", HTTPD])?;
    command::patiently("a page", || {
        Ok(get("127.0.0.1:18080").is_ok_and(|page| page == "the page"))
    })?;
    let address = c.inspect("{{.NetworkSettings.Networks.bridge.IPAddress}}")?;
    let direct = get(&format!("{address}:8080"))?;
    Ok(format!(
        "{}, {direct} by its address, {}",
        get("127.0.0.1:18080")?,
        docker(&["port", &c.name])?
    ))
}

/// A network that is removed when it is dropped.
struct Network(String);

impl Network {
    fn new(options: &[&str]) -> Result<Self> {
        let name = fresh_id();
        docker(&[&["network", "create"], options, &[&name]].concat())?;
        Ok(Self(name))
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // A container that a failed case left behind may hold it.
        let _ = crate::command::run(&["docker", "network", "rm", &self.0]);
    }
}

fn named(way: &Way) -> Result<String> {
    let network = Network::new(&[])?;
    // A server of both kinds in one container: starts are slow here.
    let server = "cd /tmp && ssh-keygen -q -t ed25519 -N '' -f hostkey && ssh-keygen -q -t \
                  ed25519 -N '' -f key && cp key /keys/ && printf 'Port 2222\\nHostKey \
                  /tmp/hostkey\\nUsePAM no\\nStrictModes no\\nPidFile none\\nAuthorizedKeysFile \
                  /tmp/key.pub\\n' > conf && mkdir -p /run/sshd 2> /dev/null; /usr/sbin/sshd -f \
                  /tmp/conf; exec redis-server --save '' --protected-mode no";
    let keys = format!("{}:/keys", network.0);
    docker(&["volume", "create", &network.0])?;
    let place = docker(&["volume", "inspect", "--format", "{{.Mountpoint}}", &network.0])?;
    crate::command::sh(&format!("chmod 777 {place}"))?;
    let name = fresh_id();
    let result = (|| {
        let _server = way.named(
            &name,
            &[
                "--network",
                &network.0,
                "--network-alias",
                "store",
                "-v",
                &keys,
                IMAGE,
                "sh",
                "-c",
                server,
            ],
        )?;
        let client = format!(
            "for n in $(seq 100); do redis-cli -h store ping > /dev/null 2>&1 && break; sleep \
             0.3; done; redis-cli -h {name} set a by-name; redis-cli -h store get a; getent hosts \
             store | wc -l; install -m 600 /keys/key /tmp/key; u=$(id -un); ssh -i /tmp/key -p \
             2222 -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR \
             $u@store echo over ssh; ping -c 1 store | grep -o '1 received'"
        );
        way.says(&["--network", &network.0, "-v", &keys, IMAGE, "sh", "-c", &client])
    })();
    docker(&["volume", "rm", "-f", &network.0])?;
    result
}

fn sidecar(way: &Way) -> Result<String> {
    // Not as PID 1: with that one all of the shared PID namespace ends.
    let server = "redis-server --save '' --dir /tmp & wait; sleep 1000";
    let c = way.background(&["--ipc", "shareable", IMAGE, "sh", "-c", server])?;
    let share = format!("container:{}", c.name);
    let work = "for n in $(seq 100); do redis-cli ping > /dev/null 2>&1 && break; sleep 0.3; \
                done; redis-cli ping; p=$(pgrep -x redis-server); tr '\\0' ' ' < \
                /proc/$p/cmdline; echo; grep -c VmRSS /proc/$p/status; kill -0 $p && echo \
                signalled; ls /dev/shm; kill -TERM $p; for n in $(seq 50); do kill -0 $p 2> \
                /dev/null || break; sleep 0.2; done; echo ended";
    way.says(&["--network", &share, "--ipc", &share, "--pid", &share, IMAGE, "sh", "-c", work])
}

fn internal(way: &Way) -> Result<String> {
    let network = Network::new(&["--internal", "--subnet", "198.51.100.0/24"])?;
    let _server = way.background(&[
        "--network",
        &network.0,
        "--ip",
        "198.51.100.10",
        "--network-alias",
        "web",
        IMAGE,
        "sh",
        "-c",
        HTTPD,
    ])?;
    let client = "for n in $(seq 100); do curl -sf http://web:8080/page && break; sleep 0.3; done; \
         curl -sf http://198.51.100.10:8080/page; ip -4 route | grep -c default || true";
    way.says(&["--network", &network.0, IMAGE, "sh", "-c", client])
}
