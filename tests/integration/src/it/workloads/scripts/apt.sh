# apt-get: lists updated from a repository, packages installed with their users and libraries, run, purged.
apt-get -q update > log 2>&1 || { cat log >&2; exit 1; }
DEBIAN_FRONTEND=noninteractive apt-get -y -q --no-install-recommends install hello memcached tree > log 2>&1 || { cat log >&2; exit 1; }
hello
dpkg-query -W -f '${Package} ${db:Status-Status}\n' hello memcached tree
tree --version | grep -o '^tree'
memcached -d -u nobody -l 127.0.0.1 -p 11311 -P "$work/pid"
patiently sh -c 'echo version | timeout 2 socat - TCP:127.0.0.1:11311 | grep VERSION'
printf 'set k 0 0 5\r\nvalue\r\nget k\r\nquit\r\n' | socat - TCP:127.0.0.1:11311 | tr -d '\r'
pkill -x memcached
DEBIAN_FRONTEND=noninteractive apt-get -y -q purge hello memcached tree > log 2>&1 || { cat log >&2; exit 1; }
dpkg -V coreutils | grep -v -E 'doc|man|locale|info' || echo nothing altered
