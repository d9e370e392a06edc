# Tools that look at the system: procps, lsof, lscpu, df, findmnt, and the files below them that containers may read
# (docs/pseudo-files.md).
ps -eo pid,user,comm,args --forest > o; test "$(wc -l < o)" -gt 3
top -b -n 1 > o; grep -o 'load average' o
free -m | grep -o Mem; uptime > /dev/null; vmstat 1 1 > /dev/null
pidof bash > /dev/null; pgrep -f bash > /dev/null
lsof -p $$ > o 2> /dev/null; grep -c cwd o
lscpu > o; grep -o '^CPU(s):' o
nproc
df -h / /dev/shm | awk 'NR > 1 { print $6 }'
findmnt -n -o FSTYPE /; findmnt -n -o FSTYPE /proc; mount | grep -c ' /proc '
for f in cpuinfo meminfo stat loadavg uptime version filesystems self/mountinfo self/status self/smaps self/limits self/cgroup self/io self/maps \
  sys/kernel/pid_max sys/kernel/hostname sys/vm/overcommit_memory sys/vm/max_map_count sys/fs/file-max sys/net/core/somaxconn \
  sys/kernel/random/uuid sys/kernel/random/boot_id sys/kernel/cap_last_cap sys/net/ipv4/ip_local_port_range sys/kernel/osrelease sys/kernel/ngroups_max \
  sys/crypto/fips_enabled sys/kernel/shmmax sys/fs/pipe-max-size pressure/cpu vmstat cgroups devices; do
  head -c 1 /proc/$f > /dev/null 2>&1 || echo "no /proc/$f"
done
for f in devices/system/cpu/online devices/system/cpu/possible devices/system/node/online kernel/mm/transparent_hugepage/enabled fs/cgroup/memory.max \
  fs/cgroup/cpu.max fs/cgroup/cgroup.controllers fs/cgroup/memory.stat kernel/mm/hugepages/hugepages-2048kB/nr_hugepages; do
  head -c 1 /sys/$f > /dev/null 2>&1 || echo "no /sys/$f"
done
echo 500 > /proc/self/oom_score_adj; cat /proc/self/oom_score_adj
echo -n renamed > /proc/$$/comm; cat /proc/$$/comm
stat -f -c %T / /proc /sys; date -u +%Z; timedatectl > /dev/null 2>&1 || true
echo looked
