//! Languages, tools and libraries: programs that run and end.

use super::{Workload, script};

pub const ROWS: &[Workload] = &[
    script(
        "shell",
        "jobs, pipes, fifos, locks, traps, time limits",
        "bash, coreutils, findutils",
        include_str!("scripts/shell.sh"),
        "found",
    )
    .smoke(),
    script(
        "jvm",
        "a JVM that reads its control group's processors and memory",
        "openjdk-21-jre-headless",
        include_str!("scripts/jvm.sh"),
        "heap below 128 MiB true",
    ),
    script(
        "go",
        "a Go program that reads its control group, and serves HTTP",
        "golang-go (compiled beforehand)",
        include_str!("scripts/go.sh"),
        "memory.max 503316480 <nil>",
    ),
    script(
        "node",
        "Node: processors, memory limit, worker threads, a child, HTTP",
        "nodejs",
        include_str!("scripts/node.sh"),
        "hello from node",
    ),
    script(
        "python-venv",
        "a virtual environment, a package built and installed by pip",
        "python3-venv, python3-pip, python3-setuptools",
        include_str!("scripts/python-venv.sh"),
        "greetings from a package",
    ),
    script(
        "python-processes",
        "multiprocessing: pools, shared memory, semaphores, a manager",
        "python3",
        include_str!("scripts/python-processes.sh"),
        "by a pipe",
    )
    .thorough(),
    script(
        "ruby",
        "threads, fork, socket pairs",
        "ruby",
        include_str!("scripts/ruby.sh"),
        "from a child",
    )
    .thorough(),
    script(
        "perl",
        "fork, signals, locks, System V shared memory",
        "perl",
        include_str!("scripts/perl.sh"),
        "written",
    )
    .thorough(),
    script(
        "compile",
        "gcc and make: shared and static programs",
        "gcc, make, libc6-dev",
        include_str!("scripts/compile.sh"),
        "answer 42",
    ),
    script(
        "git",
        "commits, merge, clone by its daemon, gc, fsck",
        "git",
        include_str!("scripts/git.sh"),
        "merge",
    )
    .thorough(),
    script(
        "memory-map",
        "a database mapped into memory, four writers",
        "sqlite3",
        include_str!("scripts/memory-map.sh"),
        "ok",
    )
    .thorough(),
    script(
        "openssl",
        "keys, certificates, a TLS server and client",
        "openssl, curl",
        include_str!("scripts/openssl.sh"),
        "Verify return code: 0",
    )
    .thorough(),
    script(
        "gnupg",
        "a key and a signature through gpg-agent",
        "gnupg",
        include_str!("scripts/gnupg.sh"),
        "Good signature",
    )
    .thorough(),
    script(
        "chromium",
        "a page with a script as a document, headless, --no-sandbox",
        "chromium-headless-shell",
        include_str!("scripts/chromium.sh"),
        "computed 42",
    )
    .thorough(),
];
