#!/bin/bash
# PID 1 of the guest, or a unit of systemd's there: mounts what container engines need, runs the command from /dev/vdb (a tar),
# and leaves its exit status and /vm/out as a tar on /dev/vdc. Output goes to the virtio port "lockc.out", the console is the log.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8
if [ $$ = 1 ]; then
  mkdir -p /run/lock /dev/pts /dev/shm
  mount -t devpts -o ptmxmode=666,gid=5,mode=620 devpts /dev/pts
  ln -sf pts/ptmx /dev/ptmx
  mount -t tmpfs -o mode=1777 shm /dev/shm
  mount -t tmpfs -o mode=1777 tmp /tmp
  mount -t cgroup2 -o nsdelegate cgroup2 /sys/fs/cgroup
  mount -t securityfs securityfs /sys/kernel/security
  mount -t bpf bpf /sys/fs/bpf
  mount --make-rshared /
  ln -sfn /proc/self/fd /dev/fd
  for n in 0:stdin 1:stdout 2:stderr; do ln -sf "/proc/self/fd/${n%:*}" "/dev/${n#*:}"; done
  echo '+cpu +memory +pids +io +cpuset' > /sys/fs/cgroup/cgroup.subtree_control 2> /dev/null
  hostname vm
  ip link set lo up
  sysctl -qw kernel.panic=-1 net.ipv4.ip_forward=1 2> /dev/null
  modprobe -a overlay veth bridge br_netfilter nf_tables nft_compat xt_conntrack xt_addrtype xt_MASQUERADE 2> /dev/null
fi

mkdir -p /vm
mount -t tmpfs vm /vm
mkdir -p /vm/in /vm/out
tar xf /dev/vdb -C /vm/in 2> /dev/null
out=/dev/console
for port in /sys/class/virtio-ports/*; do
  [ "$(cat "$port/name" 2> /dev/null)" = lockc.out ] && out=/dev/${port##*/}
done
echo "lockc-vm: up after $(cut -d' ' -f1 /proc/uptime) s, kernel $(uname -r), lsm $(cat /sys/kernel/security/lsm)" > /dev/console
cd /vm/in || exit 1
# in a child: bash as PID 1 stays to reap orphans
(exec bash ./.command < /dev/null > "$out" 2>&1) &
wait $!
echo $? > /vm/out/.status
tar cf /dev/vdc -C /vm/out .
sync
if [ $$ != 1 ]; then
  systemctl --no-block poweroff
  exit
fi
echo o > /proc/sysrq-trigger
sleep 60
