#!/bin/bash
# kernel.sh: one of Debian's kernels, unpacked without being installed, with an initrd that boots any image.
#
# In (environment): SUITE, ARCH (as Debian says it), PACKAGE (it depends on the current version), MIRROR, OUT (a new
# directory), WORK (scratch), KEYRING, ASSETS (the directory of the init scripts).
# Out: OUT/{vmlinuz,initrd.img,release}. The host's own apt sources and state are neither read nor changed.
set -euo pipefail
: "${SUITE:?}" "${ARCH:?}" "${PACKAGE:?}" "${MIRROR:?}" "${OUT:?}" "${WORK:?}" "${KEYRING:?}" "${ASSETS:?}"

rm -rf "$WORK" "$OUT"
mkdir -p "$WORK"/apt/{lists,cache/archives}/partial "$WORK/debs" "$OUT"
: > "$WORK/apt/status"
echo "deb [signed-by=$KEYRING] $MIRROR $SUITE main" > "$WORK/apt/sources.list"
apt=(-qq -o "Dir::Etc::sourcelist=$WORK/apt/sources.list" -o Dir::Etc::sourceparts=/dev/null
  -o "Dir::State::Lists=$WORK/apt/lists" -o "Dir::State::status=$WORK/apt/status" -o "Dir::Cache=$WORK/apt/cache"
  -o "APT::Architecture=$ARCH" -o APT::Sandbox::User= -o Acquire::Retries=5 -o Acquire::Languages=none
  # a mirror's sid may be a snapshot past its date; signatures are checked all the same
  -o Acquire::Check-Valid-Until=false)
apt-get "${apt[@]}" update

# sid splits the image into linux-binary and linux-modules.
depends() { apt-cache "${apt[@]}" depends "$1" | sed -nE 's/^ *Depends: ([^ <]+)$/\1/p' | sort -u; }
image=$(depends "$PACKAGE" | grep -m1 '^linux-image-[0-9]')
mapfile -t parts < <(depends "$image" | grep -E '^linux-(binary|modules)-[0-9]' || true)
(cd "$WORK/debs" && apt-get "${apt[@]}" download "$image" "${parts[@]}" busybox-static)
for deb in "$WORK"/debs/*.deb; do dpkg-deb -x "$deb" "$WORK/root"; done

release=${image#linux-image-}
modules=$(find "$WORK/root" -type d -path "*/modules/$release" -print -quit)
cp "$(find "$WORK/root" -name 'vmlinuz*' -print -quit)" "$OUT/vmlinuz"

# The whole tree for modprobe's look-up of dependencies; only what the guests use goes into the initrd.
tree=$WORK/tree initrd=$WORK/initrd
mkdir -p "$tree/lib/modules" "$initrd"/{bin,dev,proc,sys,root} "$initrd/lib/modules/$release"
ln -s "$modules" "$tree/lib/modules/$release"
depmod -b "$tree" "$release"
early="crc32c_generic crc32c_intel crc32c_cryptoapi virtio_pci virtio_blk virtio_console ext4 overlay"
late="virtio_rng binfmt_misc btrfs erofs vsock vsock_loopback fuse loop veth bridge br_netfilter tun dummy nf_tables nft_compat nft_chain_nat nft_ct nft_masq nft_nat
  nft_fib_inet nft_fib_ipv4 nft_fib_ipv6 nft_reject_inet nft_limit nf_nat nf_conntrack xt_conntrack xt_addrtype
  xt_MASQUERADE xt_nat xt_mark xt_comment xt_tcpudp xt_multiport ip_tables iptable_nat iptable_filter unix_diag"
for module in $early $late; do
  # absent or built in: nothing to copy
  modprobe -d "$tree" -S "$release" --show-depends "$module" 2> /dev/null | sed -nE 's/^insmod ([^ ]+).*/\1/p' || true
done | sort -u | while read -r file; do
  name=${file#"$tree"/lib/modules/"$release"/}
  mkdir -p "$initrd/lib/modules/$release/${name%/*}"
  target=$initrd/lib/modules/$release/$name
  case $file in
    *.xz) xz -dc "$file" > "${target%.xz}" ;;
    *.zst) zstd -qdc "$file" > "${target%.zst}" ;;
    *) cp -L "$file" "$target" ;;
  esac
done
cp "$modules"/modules.{builtin,builtin.modinfo,order} "$initrd/lib/modules/$release/" 2> /dev/null || true
depmod -b "$initrd" "$release"
echo "$early" > "$initrd/early-modules"
cp "$(find "$WORK/root" -path '*bin/busybox' -print -quit)" "$initrd/bin/busybox"
ln -s busybox "$initrd/bin/sh"
install -m 755 "$ASSETS/init.sh" "$initrd/init"
install -m 755 "$ASSETS/guest.sh" "$initrd/guest"
install -m 644 "$ASSETS/guest.service" "$initrd/guest.service"
(cd "$initrd" && find . | LC_ALL=C sort | cpio --quiet -o -H newc -R 0:0) > "$OUT/initrd.img"
echo "$release" > "$OUT/release"
