# Redis: keys set, saved by a forked child, and there again after a restart; append-only file.
conf="--port 6390 --dir $work --daemonize yes --pidfile $work/pid --logfile $work/log --unixsocket $work/s --save 1000 1 --appendonly yes"
# shellcheck disable=SC2086
redis-server $conf
r() { redis-cli -s "$work/s" "$@"; }
patiently r ping
r set name lockc
for n in 1 2 3; do r incr count; done
r lpush list a b c
r bgsave
patiently sh -c "redis-cli -s $work/s info persistence | grep rdb_bgsave_in_progress:0"
redis-cli -p 6390 shutdown save || true
patiently test ! -e pid
# shellcheck disable=SC2086
redis-server $conf
patiently sh -c "redis-cli -s $work/s ping | grep PONG"
r get name
r get count
r llen list
r shutdown nosave
