//! Files that containers share, are given, or give away.

use anyhow::{Context, Result, bail};

use super::engine::ENGINE;
use super::way::{IMAGE, Way, docker};
use super::{Workload, engine};
use crate::command;

pub const ROWS: &[Workload] = &[
    engine("copy", "docker cp both ways, diff, commit, export", "", copy)
        .thorough()
        .baseline_only(ENGINE),
    engine("volume", "a named volume, filled from the image, shared and read-only", "", volume),
    engine(
        "volume-socket",
        "a server's unix socket in a volume, used by a second container",
        "redis-server",
        volume_socket,
    )
    .thorough(),
    engine("secrets", "a read-only secret like a service account's", "", secrets).thorough(),
    engine("read-only", "a read-only root with tmpfs: nginx", "nginx", read_only).thorough(),
    engine(
        "host-folder",
        "a directory of /home: files created, built, renamed",
        "gcc",
        host_folder,
    )
    .thorough()
    .baseline_only("restricted admits no directory of the host"),
    engine("volumes-from", "the volumes of another container", "", volumes_from)
        .thorough()
        .baseline_only(ENGINE),
];

/// A volume that is removed when it is dropped.
struct Volume(String);

impl Volume {
    /// Owned by the image's user, as an image's own folders are.
    fn new() -> Result<Self> {
        let volume = Self(crate::launch::fresh_id());
        docker(&["volume", "create", &volume.0])?;
        let place = docker(&["volume", "inspect", "--format", "{{.Mountpoint}}", &volume.0])?;
        command::sh(&format!("chmod 777 {place}"))?;
        Ok(volume)
    }

    fn at(&self, place: &str) -> String {
        format!("{}:{place}", self.0)
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        // A container that a failed case left behind may hold it.
        let _ = command::run(&["docker", "volume", "rm", "-f", &self.0]);
    }
}

fn copy(way: &Way) -> Result<String> {
    let c = way.background(&[IMAGE, "sleep", "1000"])?;
    command::sh(
        "rm -rf /tmp/cp && mkdir -p /tmp/cp/in/d && echo copied > /tmp/cp/in/d/f && ln -s f \
         /tmp/cp/in/d/l",
    )?;
    docker(&["cp", "/tmp/cp/in", &format!("{}:/tmp/in", c.name)])?;
    c.exec(&["sh", "-ec", "cat /tmp/in/d/l; cp -r /tmp/in /tmp/out; echo more > /tmp/out/g"])?
        .must()?;
    docker(&["cp", &format!("{}:/tmp/out", c.name), "/tmp/cp/out"])?;
    let back = command::sh("cd /tmp/cp/out && find . | sort && cat d/f g")?;
    let diff = docker(&["diff", &c.name])?.lines().filter(|line| line.contains("/tmp/out")).count();
    let image = docker(&["commit", &c.name, "lockc-committed"])?;
    let committed = way.says(&[image.trim(), "cat", "/tmp/out/g"])?;
    docker(&["rmi", "-f", image.trim()])?;
    Ok(format!("{back:?}, {diff} differences, {committed}"))
}

fn volume(way: &Way) -> Result<String> {
    let v = Volume::new()?;
    let write = "cd /data; echo kept > f; mkdir d; mv f d/g; ln d/g h; ln -s h l; setfattr -n \
                 user.a -v b h; truncate -s 10 d/g; rm h";
    way.says(&["-v", &v.at("/data"), IMAGE, "sh", "-ec", write])?;
    let read = "cd /data; head -n 1 d/g; readlink l; touch x 2> /dev/null || echo read-only";
    let kept = way.says(&["-v", &format!("{}:ro", v.at("/data")), IMAGE, "sh", "-ec", read])?;
    // Docker fills an empty volume from the image's folder.
    let filled = Volume::new()?;
    let files =
        way.says(&["-v", &filled.at("/etc/skel"), IMAGE, "sh", "-ec", "ls -A /etc/skel | wc -l"])?;
    Ok(format!("{kept:?}, {files} from the image"))
}

fn volume_socket(way: &Way) -> Result<String> {
    let v = Volume::new()?;
    let mount = v.at("/sockets");
    let _server = way.background(&[
        "-v",
        &mount,
        "--network",
        "none",
        IMAGE,
        "redis-server",
        "--save",
        "",
        "--dir",
        "/tmp",
        "--unixsocket",
        "/sockets/s",
        "--unixsocketperm",
        "777",
    ])?;
    let client = "for n in $(seq 100); do redis-cli -s /sockets/s ping > /dev/null 2>&1 && break; \
                  sleep 0.2; done; redis-cli -s /sockets/s set a over-the-socket; redis-cli -s \
                  /sockets/s get a";
    way.says(&["-v", &mount, "--network", "none", IMAGE, "sh", "-c", client])
}

fn secrets(way: &Way) -> Result<String> {
    let read = "cd /run/secrets/kubernetes.io/serviceaccount; cat token ca.crt; touch x 2> \
                /dev/null || echo read-only";
    let place = "/run/secrets/kubernetes.io/serviceaccount";
    // kubelet's way: files are links into a folder that is exchanged.
    let make = "cd /s; mkdir ..2026_01; echo a-token > ..2026_01/token; echo a-ca > \
                ..2026_01/ca.crt; ln -s ..2026_01 ..data; ln -s ..data/token token; ln -s \
                ..data/ca.crt ca.crt";
    let v = Volume::new()?;
    way.says(&["-v", &v.at("/s"), IMAGE, "sh", "-ec", make])?;
    let first = way.says(&["-v", &format!("{}:ro", v.at(place)), IMAGE, "sh", "-ec", read])?;
    Ok(format!("{first:?}"))
}

fn read_only(way: &Way) -> Result<String> {
    let conf = "events {} pid /run/nginx.pid; error_log /dev/stderr; http { access_log \
                /dev/stdout; client_body_temp_path /tmp/a; proxy_temp_path /tmp/b; \
                fastcgi_temp_path /tmp/c; uwsgi_temp_path /tmp/d; scgi_temp_path /tmp/e; server { \
                listen 8080; location / { return 200 served; } } }";
    let program = format!(
        "touch /x 2> /dev/null || echo read-only; echo '{conf}' > /tmp/c; exec nginx -c /tmp/c -g \
         'daemon off;'"
    );
    let options = ["--read-only", "--tmpfs", "/tmp:mode=1777", "--tmpfs", "/run:mode=1777"];
    let c = way.background(&[&options[..], &[IMAGE, "sh", "-c", &program]].concat())?;
    command::patiently("a page", || Ok(c.exec(&["curl", "-sf", "http://127.0.0.1:8080/"])?.ok()))?;
    let page = c.exec(&["curl", "-sf", "http://127.0.0.1:8080/"])?.must()?;
    let logs = command::run(&["docker", "logs", &c.name])?.said();
    Ok(format!("{page}, {}", logs.contains("read-only") && logs.contains("GET / HTTP")))
}

fn host_folder(way: &Way) -> Result<String> {
    command::sh(
        "rm -rf /home/user/project && mkdir -p /home/user/project/src && echo 'int main(void) { \
         return 5; }' > /home/user/project/src/a.c",
    )?;
    let build = "cd /p; mkdir out; gcc -o out/a src/a.c; out/a; test $? = 5; mv out built; chmod \
                 700 built; chown 1000 built; rm src/a.c; flock built/l true";
    way.says(&[
        "-v",
        "/home/user/project:/p",
        IMAGE,
        "sh",
        "-c",
        &format!("set -e; {}", build.replace("out/a; test $? = 5", "out/a || test $? = 5")),
    ])?;
    let read = way.run(&[
        "-v",
        "/home/user/project:/p:ro",
        IMAGE,
        "sh",
        "-c",
        "/p/built/a; echo ran $?; touch /p/x 2> /dev/null || echo read-only",
    ])?;
    command::sh("stat -c '%u %a' /home/user/project/built")
        .map(|owner| format!("{}, {owner}", read.stdout))
}

fn volumes_from(way: &Way) -> Result<String> {
    let v = Volume::new()?;
    let first = way.background(&[
        "-v",
        &v.at("/data"),
        IMAGE,
        "sh",
        "-c",
        "echo of the first > /data/f; sleep 1000",
    ])?;
    command::patiently("a file", || Ok(first.exec(&["test", "-s", "/data/f"])?.ok()))?;
    let text = way
        .says(&["--volumes-from", &first.name, IMAGE, "cat", "/data/f"])
        .context("--volumes-from")?;
    if text.is_empty() { bail!("an empty file") } else { Ok(text) }
}
