//! Who may write in a directory exchanges a part of a path for a link to the host, again and again,
//! while containers start whose mounts lead through it: what was not checked is never reached.

use std::fs;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};

use super::{Row, Test, one_kernel, row};
use crate::bundle::{Bundle, common_rootfs};
use crate::command::{self, Run};
use crate::config;
use crate::docker::IMAGE;
use crate::lab::Lab;
use crate::launch::{self, By, Runtime};

/// Many runs of each: they take long.
pub const ROWS: &[Row] = &one_kernel([
    row("races/directory", Test::Code(|lab, runtime| of_bundle(lab, runtime, &directory))),
    row("races/file", Test::Code(|lab, runtime| of_bundle(lab, runtime, &file))).thorough(),
    row("races/root", Test::Code(|lab, runtime| of_bundle(lab, runtime, &root))),
    row("races/socket", Test::Code(socket)),
    row("races/overlay", Test::Code(|lab, runtime| of_bundle(lab, runtime, &overlay))),
]);

pub const DOCKER: &[Row] = &[
    row("docker/race-volume", Test::Code(volume)).thorough(),
    row("docker/race-subpath", Test::Code(subpath)).thorough(),
];

/// What is exchanged: the directory of the container's own, and the link.
const OWN: &str = "/srv/races/own";
const LINK: &str = "/srv/races/link";
const SOCKET: &str = "etc/races/s.sock";
/// Reads what the container's own has in it, and writes beside it.
const ACTS: &str = "cat /x/secret; echo x > /x/raced; true";

fn directory() -> Bundle {
    Bundle::new(&["sh", "-c", ACTS]).bind("/srv/races/own/etc/races", "/x")
}

fn file() -> Bundle {
    Bundle::new(&["sh", "-c", "cat /file; true"]).bind("/srv/races/own/etc/races/secret", "/file")
}

fn overlay() -> Bundle {
    super::overlays::mounted("/srv/races/own/etc/races:/srv/races/beside", ACTS)
}

fn root() -> Bundle {
    let mut bundle = Bundle::new(&["sh", "-c", "cat /secret; echo x > /raced; true"]);
    bundle.rootfs = Some("/srv/races/own/etc/races-root".into());
    bundle
}

/// As many starts as there is time for: the environment variable says how many.
fn starts() -> usize {
    std::env::var("LOCKC_IT_RACES").ok().and_then(|text| text.parse().ok()).unwrap_or(8)
}

/// A container that is started again and again.
struct Race<'a> {
    own: &'a str,
    link: &'a str,
    /// Starts it, with lockc or without.
    start: &'a dyn Fn(bool) -> Result<Run>,
    /// Whether the host is reached without lockc: some engines see to that themselves.
    open: bool,
}

fn of_bundle(lab: &mut Lab, runtime: Runtime, bundle: &dyn Fn() -> Bundle) -> Result<String> {
    make(OWN, LINK)?;
    let start = |confined| {
        let by = if confined { By::Lockc("baseline") } else { By::Plain(runtime) };
        launch::run(by, &bundle())
    };
    Race { own: OWN, link: LINK, start: &start, open: true }.run(lab.plain)
}

/// The container's own socket is allowed, and a server of the host's listens where the link leads.
fn socket(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    make(OWN, LINK)?;
    let servers =
        [format!("{OWN}/{SOCKET}"), format!("/{SOCKET}")].map(|path| Server::start(&path));
    let [own, hosts] = servers;
    let (own, hosts) = (own?, hosts?);
    config::write_with(runtime, &format!("allowed_sockets = [\"{OWN}/{SOCKET}\"]\n"))?;
    let bundle =
        || Bundle::probe(&["connect", "stream", "/s"]).bind(&format!("{OWN}/{SOCKET}"), "/s");
    let start = |confined| {
        let by = if confined { By::Lockc("baseline") } else { By::Plain(runtime) };
        let mut run = launch::run(by, &bundle())?;
        run.stdout = match (own.takes(), hosts.takes()) {
            (_, true) => "of-the-host",
            (true, false) => "own",
            (false, false) => "",
        }
        .into();
        Ok(run)
    };
    let told = Race { own: OWN, link: LINK, start: &start, open: true }.run(lab.plain);
    config::write(runtime)?;
    told
}

/// A server that counts who connects.
struct Server {
    seen: AtomicUsize,
    clients: Arc<AtomicUsize>,
}

impl Server {
    fn start(path: &str) -> Result<Self> {
        let listener = UnixListener::bind(path).with_context(|| format!("cannot bind {path}"))?;
        let clients = Arc::new(AtomicUsize::new(0));
        let counted = clients.clone();
        std::thread::spawn(move || {
            for _ in listener.incoming().flatten() {
                counted.fetch_add(1, Ordering::SeqCst);
            }
        });
        Ok(Self { seen: AtomicUsize::new(0), clients })
    }

    /// Whether somebody connected since it was last asked.
    fn takes(&self) -> bool {
        // The client may be gone before the server was scheduled.
        std::thread::sleep(Duration::from_millis(20));
        let now = self.clients.load(Ordering::SeqCst);
        self.seen.swap(now, Ordering::SeqCst) != now
    }
}

/// A volume of Docker's whose options name a directory of the host.
fn volume(lab: &mut Lab, _: Runtime) -> Result<String> {
    let plain = lab.plain;
    let docker = lab.docker()?;
    make(OWN, LINK)?;
    let start = |confined| {
        // dockerd mounts it for the first container and forgets it with the last.
        command::sh(&format!(
            "docker volume rm -f races > /dev/null; docker volume create -o type=none -o o=bind \
             -o device={OWN}/etc/races races"
        ))?;
        docker
            .run(if confined { "lockc" } else { "" }, &["-v", "races:/x", IMAGE, "sh", "-c", ACTS])
    };
    let told = Race { own: OWN, link: LINK, start: &start, open: true }.run(plain);
    command::sh("docker volume rm -f races")?;
    told
}

/// A part of a volume, of which another container that has the whole may make what it likes.
fn subpath(lab: &mut Lab, _: Runtime) -> Result<String> {
    let plain = lab.plain;
    let docker = lab.docker()?;
    command::sh("docker volume rm -f races > /dev/null; docker volume create races")?;
    let place = command::sh("docker volume inspect --format '{{.Mountpoint}}' races")?;
    let (own, link) = (format!("{}/own", place.trim()), format!("{}/link", place.trim()));
    make(&own, &link)?;
    let start = |confined| {
        let mount = "type=volume,source=races,target=/x,volume-subpath=own/etc/races";
        docker
            .run(if confined { "lockc" } else { "" }, &["--mount", mount, IMAGE, "sh", "-c", ACTS])
    };
    let told = Race { own: &own, link: &link, start: &start, open: false }.run(plain);
    command::sh("docker volume rm -f races")?;
    told
}

/// Makes what is exchanged, and what the link leads to.
fn make(own: &str, link: &str) -> Result<()> {
    let rootfs = common_rootfs()?;
    let script = format!(
        "set -e; rm -rf /srv/races /etc/races /etc/races-root; mkdir -p {own}/etc/races \
         /etc/races /srv/races/beside; ln -s / {link}; echo own > {own}/etc/races/secret; echo \
         of-the-host > /etc/races/secret; cp -a {rootfs} {own}/etc/races-root; cp -a {rootfs} \
         /etc/races-root; echo own > {own}/etc/races-root/secret; echo of-the-host > \
         /etc/races-root/secret"
    );
    command::sh(&script).map(drop).context("cannot make what is exchanged")
}

fn reached(run: &Run) -> bool {
    let raced =
        ["/etc/races/raced", "/etc/races-root/raced"].iter().any(|path| Path::new(path).exists());
    raced || run.stdout.contains("of-the-host")
}

impl Race<'_> {
    fn run(&self, plain: bool) -> Result<String> {
        let over = AtomicBool::new(false);
        let result = std::thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    // Only the exchange itself matters.
                    let _ = renameat2(
                        AT_FDCWD,
                        self.own,
                        AT_FDCWD,
                        self.link,
                        RenameFlags::RENAME_EXCHANGE,
                    );
                }
            });
            let result = self.exchanged(plain);
            over.store(true, Ordering::Relaxed);
            result
        });
        command::sh("rm -rf /srv/races /etc/races /etc/races-root")?;
        result
    }

    fn exchanged(&self, plain: bool) -> Result<String> {
        let without = |_| (self.start)(false).is_ok_and(|run| reached(&run));
        if self.open && !(0..40).any(without) {
            bail!("proves nothing: without lockc the host is not reached either");
        }
        if plain {
            return Ok("tried without lockc".into());
        }
        for path in ["/etc/races/raced", "/etc/races-root/raced"] {
            // There where the runtime without lockc wrote it.
            let _ = fs::remove_file(path);
        }
        let mut started = 0;
        let count = starts();
        for _ in 0..count {
            let run = (self.start)(true)?;
            if reached(&run) {
                bail!("REACHED: {}", run.said());
            }
            started += usize::from(run.stdout.contains("own"));
        }
        Ok(format!("{started} of {count} started with their own, none with the host's"))
    }
}
