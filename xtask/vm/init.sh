#!/bin/sh
# PID 1 of the initrd: finds the disk, brings this kernel's modules and the guest script along, hands over.
# Both live in the initrd, so that any kernel boots any image, and a change here rebuilds no image.
b=/bin/busybox
$b mount -t proc proc /proc
$b mount -t sysfs sysfs /sys
$b mount -t devtmpfs dev /dev
for module in $($b cat /early-modules); do $b modprobe -q "$module" 2> /dev/null; done
tries=0
while [ ! -b /dev/vda ] && [ $tries -lt 250 ]; do $b usleep 20000; tries=$((tries + 1)); done
$b mount -t ext4 -o noatime /dev/vda /root || { echo "lockc-vm: no root disk"; $b poweroff -f; }
$b mount -t tmpfs -o mode=755 run /root/run
$b cp /guest /root/run/guest
$b mkdir -p /root/usr/lib/modules
$b mount -t tmpfs modules /root/usr/lib/modules
$b mv "/lib/modules/$($b uname -r)" /root/usr/lib/modules/
next=/run/guest
case " $($b cat /proc/cmdline) " in
  *" lockc.systemd "*)
    # As on a server: systemd is PID 1, and the command a unit of it that runs when everything else is up.
    units=/root/run/systemd/system
    $b mkdir -p $units/multi-user.target.wants /root/run/modules-load.d
    $b cp /guest.service $units/
    $b ln -s ../guest.service $units/multi-user.target.wants/guest.service
    $b printf '%s\n' overlay veth bridge br_netfilter nf_tables nft_compat xt_conntrack xt_addrtype xt_MASQUERADE \
      > /root/run/modules-load.d/engines.conf
    next=/sbin/init
    ;;
esac
for dir in proc sys dev; do $b mount --move /$dir /root/$dir; done
exec $b switch_root /root $next
