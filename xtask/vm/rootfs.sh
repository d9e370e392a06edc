#!/bin/bash
# rootfs.sh: a Debian tree as a tar, by mmdebstrap; nothing is mounted.
#
# In (environment): SUITE, ARCH (as Debian says it), MIRROR, KEYRING, VARIANT (minbase, essential), PACKAGES
# (comma-separated, may be empty), OUT (tar).
#
# Maintainer scripts of another architecture cannot run here, and take ten minutes in an emulator. There the packages are
# unpacked, and what their scripts do for the tests is done by hand.
set -euo pipefail
: "${SUITE:?}" "${ARCH:?}" "${MIRROR:?}" "${KEYRING:?}" "${VARIANT:?}" "${OUT:?}"
rm -f "$OUT"
options=()
for dir in man doc locale info; do options+=("--dpkgopt=path-exclude=/usr/share/$dir/*"); done
if [ "$ARCH" = "$(dpkg --print-architecture)" ]; then
  options+=("--variant=$VARIANT")
else
  # run by sh, which has no braces
  by_hand() {
    cd "$1" || return
    # base-passwd, passwd, docker.io
    for name in passwd group; do cp "usr/share/base-passwd/$name.master" "etc/$name"; done
    sed -E 's/^([^:]+):.*/\1:*:20000:0:99999:7:::/' etc/passwd > etc/shadow
    chmod 640 etc/shadow
    echo docker:x:101: >> etc/group
    touch etc/subuid etc/subgid
    # base-files, libc-bin
    mkdir -p media mnt opt run/lock srv var/mail var/opt
    for dir in bin etc games include lib sbin share src; do mkdir -p "usr/local/$dir"; done
    cp usr/share/base-files/profile etc/profile
    [ -e etc/nsswitch.conf ] || cp usr/share/libc-bin/nsswitch.conf etc/nsswitch.conf
    rm -rf var/run var/lock
    ln -s /run var/run
    ln -s /run/lock var/lock
    # alternatives: mawk, debianutils, iptables
    ln -sf mawk usr/bin/awk
    [ -e usr/bin/which ] || ln -s which.debianutils usr/bin/which
    if [ -e usr/sbin/iptables-nft ]; then
      for name in "" -save -restore; do
        for family in iptables ip6tables; do ln -sf xtables-nft-multi "usr/sbin/$family$name"; done
      done
    fi
  }
  options+=(--variant=extract '--include=?essential')
  [ "$VARIANT" = essential ] || options+=('--include=?priority(required)')
  options+=("--extract-hook=$(declare -f by_hand); by_hand \"\$1\"")
fi
# Check-Valid-Until: as in kernel.sh
mmdebstrap --quiet ${PACKAGES:+--include="$PACKAGES"} "--architectures=$ARCH" --format=tar \
  --aptopt='APT::Install-Recommends "false"' --aptopt='Acquire::Check-Valid-Until "false"' --aptopt='Acquire::Retries "5"' \
  "${options[@]}" "$SUITE" "$OUT" "deb [signed-by=$KEYRING] $MIRROR $SUITE main"
