# File capabilities under baseline: an unprivileged user binds a low port with them; set-uid and set-gid programs.
cp "$(readlink -f /usr/bin/python3)" py
setcap cap_net_bind_service+ep py
user ./py -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 81)); print("port", s.getsockname()[1])'
cp /usr/bin/id suid && chmod 6755 suid
user ./suid -u
capsh --print | grep -c '^Bounding'
setpriv --bounding-set -all --inh-caps -all true && echo dropped
chroot / id -un
mknod z c 1 5 && head -c 3 z | od -An -tx1
chmod 4755 py; chown 1000 py; stat -c %u py
