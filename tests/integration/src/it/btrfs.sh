# Runs "$@" with the root directory on a btrfs subvolume and /home on a second one, as openSUSE and Fedora have it: the roots of
# both have inode 256, and files tell other device numbers than their superblock has.
set -e
modprobe -a btrfs loop
disk=/var/lib/lockc-it-btrfs
if [ ! -e $disk ]; then
  truncate -s 3G $disk
  mkfs.btrfs -q $disk
fi
mkdir -p /btrfs/top /btrfs/root
mountpoint -q /btrfs/top || mount -o loop $disk /btrfs/top
device=$(findmnt -no SOURCE /btrfs/top)
for name in @ @home; do [ -d /btrfs/top/$name ] || btrfs -q subvolume create /btrfs/top/$name; done
mount -o subvol=@ "$device" /btrfs/root
cd /btrfs/root
mkdir -p home old dev etc opt proc root run srv sys tmp usr var/lib var/log var/tmp vm
ln -sfn ../run var/run
mount -o subvol=@home "$device" home
for link in bin lib lib64 sbin; do [ ! -L /$link ] || cp -a /$link .; done
# What a container is given, and what it attacks, is on the subvolume: srv, etc, root, var. The programs stay where they are.
cp -a /etc /root .
cp -a /var/lib/dpkg var/lib/ 2> /dev/null || true
for name in dev opt proc run sys tmp usr vm; do mount --rbind /$name $name; done
here=$PWD
exec unshare --mount bash -ec '
  mount --make-rprivate /
  cd "$0"
  busybox pivot_root . old
  umount -l /old
  mount --make-rshared /
  cd /vm/in
  exec "$@"' "$here" "$@"
