//! Ordinary work on bare runtimes: what must not break.

use anyhow::{Context, Result, bail};

use super::{Row, Test, both, row, same, works};
use crate::bundle::{Bundle, unpack};
use crate::command;
use crate::lab::Lab;
use crate::launch::{self, By, Runtime};

pub const ROWS: &[Row] = &[
    both("ordinary/true", works(&["true"], same)).thorough_with_runc(),
    both(
        "ordinary/shell",
        works(
            &[
                "sh",
                "-ec",
                "id; pwd; env; echo a | sed s/a/b/; for i in 1 2 3; do echo $i; done | sort -r",
            ],
            same,
        ),
    )
    .core(),
    both(
        "ordinary/files",
        works(
            &[
                "sh",
                "-ec",
                "cd /tmp; mkdir -p d/e; echo x > d/f; cp -a d g; mv g h; ln -s f h/l; ln h/f h/m; \
                 chmod 700 h/f; chown 1000:1000 h/f; rm -r h d; dd if=/dev/zero of=big bs=64k \
                 count=64 2>/dev/null; tar cf t.tar big; gzip t.tar; rm big t.tar.gz",
            ],
            same,
        ),
    )
    .thorough_with_runc(),
    row(
        "ordinary/user",
        works(&["sh", "-ec", "id -u | grep 1000; touch /tmp/of-$$; rm /tmp/of-$$"], |b| {
            b.user(1000)
        }),
    ),
    row(
        "ordinary/pipes-and-jobs",
        works(
            &[
                "sh",
                "-ec",
                "yes | head -n 1000 | wc -l; (sleep 1; echo done) & wait; mkfifo /tmp/p$$; echo x \
                 > /tmp/p$$ & cat /tmp/p$$; rm /tmp/p$$",
            ],
            same,
        ),
    )
    .one_kernel(),
    row(
        "ordinary/dev-nodes",
        works(
            &[
                "sh",
                "-ec",
                "ls -l /dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty; test -c \
                 /dev/pts/ptmx; stty -a < /dev/ptmx > /dev/null || true; echo x > /dev/stdout",
            ],
            same,
        ),
    ),
    row(
        "ordinary/setuid",
        works(
            &[
                "sh",
                "-ec",
                "mkdir -p /tmp/su; cp /bin/busybox /tmp/su/; chmod 4755 /tmp/su/busybox; \
                 /tmp/su/busybox id; rm /tmp/su/busybox",
            ],
            same,
        ),
    ),
    row(
        "ordinary/script-with-interpreter",
        works(
            &[
                "sh",
                "-ec",
                "printf '#!/bin/sh\\necho ran $0\\n' > /tmp/s$$; chmod +x /tmp/s$$; /tmp/s$$; rm \
                 /tmp/s$$",
            ],
            same,
        ),
    ),
    row("ordinary/chroot-in-container", works(&["chroot", "/", "/bin/true"], same)),
    row("ordinary/exit-codes", Test::Code(exit_codes)).one_kernel(),
    both("ordinary/debian", Test::Code(debian)).thorough_with_runc(),
    row(
        "ordinary/cgroup-files",
        works(
            &[
                "sh",
                "-ec",
                "cat /sys/fs/cgroup/cgroup.controllers /sys/fs/cgroup/memory.max || cat \
                 /sys/fs/cgroup/cgroup.procs",
            ],
            with_cgroup,
        ),
    ),
    row(
        "ordinary/policy-without-rule",
        Test::Works(crate::check::Works {
            args: &["mount", "-t", "tmpfs", "none", "/mnt/a"],
            give: Bundle::admin,
            policy: "mounting",
        }),
    )
    .one_kernel(),
];

fn with_cgroup(bundle: Bundle) -> Bundle {
    bundle.new_namespace("cgroup").mount(serde_json::json!({"destination": "/sys/fs/cgroup",
        "type": "cgroup", "source": "cgroup", "options": ["ro", "nosuid", "noexec", "nodev"]}))
}

fn by(lab: &Lab, runtime: Runtime) -> By {
    if lab.plain { By::Plain(runtime) } else { By::Lockc("baseline") }
}

fn exit_codes(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    for code in [0, 1, 42, 255] {
        let run =
            launch::run(by(lab, runtime), &Bundle::new(&["sh", "-c", &format!("exit {code}")]))?;
        if run.status != code {
            bail!("{} instead of {code}", run.status);
        }
    }
    let run = launch::run(by(lab, runtime), &Bundle::new(&["/no/such/program"]))?;
    if run.ok() {
        bail!("a program that does not exist ran");
    }
    Ok("0, 1, 42, 255, and a missing program".into())
}

/// A package built, installed and removed with dpkg in Debian's tree.
fn debian(lab: &mut Lab, runtime: Runtime) -> Result<String> {
    let root = unpack("debian", "debian")?;
    command::sh(&format!("cat > {root}/work.sh <<'E'\n{DPKG_WORK}\nE"))?;
    let mut bundle = Bundle::new(&["bash", "/work.sh"]);
    bundle.rootfs = Some(root);
    let run = launch::run(by(lab, runtime), &bundle)?;
    run.must().context("package work")
}

/// Used under Docker too.
pub const DPKG_WORK: &str = r"set -e
mkdir -p /tmp/p/DEBIAN /tmp/p/usr/share/lockc-test /tmp/p/etc
printf '%s\n' 'Package: lockc-test' 'Version: 1' 'Architecture: all' 'Maintainer: x <x@x>' \
    'Description: x' > /tmp/p/DEBIAN/control
printf '#!/bin/sh\nset -e\nln -sf f /usr/share/lockc-test/link\nldconfig\n' > /tmp/p/DEBIAN/postinst
chmod 755 /tmp/p/DEBIAN/postinst
for i in $(seq 50); do echo $i > /tmp/p/usr/share/lockc-test/f$i; done
echo conf > /tmp/p/etc/lockc-test.conf
dpkg-deb -b /tmp/p /tmp/p.deb > /dev/null
dpkg -i /tmp/p.deb > /dev/null
test -L /usr/share/lockc-test/link
dpkg -s lockc-test | grep -q 'install ok installed'
dpkg -r lockc-test > /dev/null
rm -rf /tmp/p /tmp/p.deb
setpriv --reuid 1000 --regid 1000 --clear-groups \
    bash -c 'id -u; touch /tmp/of-user; rm /tmp/of-user'
perl -e 'print qq(perl\n)'
tar c /usr/bin | tar t | wc -l";
