//! Servers: programs that stay, fork, listen, and are asked.

use super::{Workload, script};

pub const ROWS: &[Workload] = &[
    script(
        "nginx",
        "master and workers, pages, a proxy, reload, graceful end",
        "nginx, curl",
        include_str!("scripts/nginx.sh"),
        "the second page",
    )
    .smoke(),
    script(
        "apache",
        "event MPM, status page, graceful restart",
        "apache2, curl",
        include_str!("scripts/apache.sh"),
        "the page of apache",
    )
    .thorough(),
    script(
        "haproxy",
        "a proxy before busybox httpd, statistics by unix socket",
        "haproxy, busybox, socat",
        include_str!("scripts/haproxy.sh"),
        "the page behind",
    )
    .thorough(),
    script(
        "postgresql",
        "initdb, COPY, parallel query, restart, vacuum, pg_dump",
        "postgresql-17",
        include_str!("scripts/postgresql.sh"),
        "10000",
    ),
    script(
        "redis",
        "keys, background save, append-only file, restart",
        "redis-server, redis-tools",
        include_str!("scripts/redis.sh"),
        "lockc",
    ),
    script(
        "php",
        "PHP's own server and a session",
        "php-cli, curl",
        include_str!("scripts/php.sh"),
        "hello from php 55",
    )
    .thorough(),
];
