#!/bin/bash
# image.sh: a disk image (ext4, sparse) from a guest tree and a container tree; nothing is mounted.
#
# In (environment): ROOTFS and CONTAINER (tars made by rootfs.sh), WORK (scratch), OUT (image).
# The guest gets two container images as plain trees in /opt/img: busybox.tar and debian.tar.
set -euo pipefail
: "${ROOTFS:?}" "${CONTAINER:?}" "${WORK:?}" "${OUT:?}"
root=$WORK/root
mkdir -p "$root"
tar xf "$ROOTFS" -C "$root" --exclude='./dev/*' --numeric-owner

: > "$root/etc/fstab"
echo vm > "$root/etc/hostname"
echo '127.0.0.1 localhost vm' > "$root/etc/hosts"
echo 'nameserver 127.0.0.1' > "$root/etc/resolv.conf"

busybox=$WORK/busybox
mkdir -p "$busybox"/{bin,etc,tmp,proc,sys,dev,root,usr/bin,var} "$root/opt/img"
chmod 1777 "$busybox/tmp"
cp "$root/usr/bin/busybox" "$busybox/bin/"
# By this computer's: the guest's may be of another architecture.
for applet in $(busybox --list); do
  [ "$applet" = busybox ] || ln -sf busybox "$busybox/bin/$applet"
done
printf 'root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/tmp:/bin/sh\n' > "$busybox/etc/passwd"
printf 'root:x:0:\nuser:x:1000:\n' > "$busybox/etc/group"
tar cf "$root/opt/img/busybox.tar" --numeric-owner --owner=0 --group=0 -C "$busybox" .
cp "$CONTAINER" "$root/opt/img/debian.tar"

# No journal: the image is only ever written through a throw-away snapshot.
truncate -s 8G "$OUT"
mke2fs -q -t ext4 -O ^has_journal,^metadata_csum -E lazy_itable_init=1,nodiscard -m 0 -i 65536 -d "$root" "$OUT"
