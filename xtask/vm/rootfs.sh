#!/bin/bash
# rootfs.sh: a Debian tree as a tar, by mmdebstrap; nothing is mounted.
#
# In (environment): SUITE, MIRROR, KEYRING, VARIANT (minbase, essential), PACKAGES (comma-separated, may be empty), OUT (tar).
set -euo pipefail
: "${SUITE:?}" "${MIRROR:?}" "${KEYRING:?}" "${VARIANT:?}" "${OUT:?}"
rm -f "$OUT"
without=()
for dir in man doc locale info; do without+=("--dpkgopt=path-exclude=/usr/share/$dir/*"); done
# Check-Valid-Until: as in kernel.sh
mmdebstrap --quiet --variant="$VARIANT" ${PACKAGES:+--include="$PACKAGES"} --architectures=amd64 --format=tar \
  --aptopt='APT::Install-Recommends "false"' --aptopt='Acquire::Check-Valid-Until "false"' --aptopt='Acquire::Retries "5"' \
  "${without[@]}" "$SUITE" "$OUT" "deb [signed-by=$KEYRING] $MIRROR $SUITE main"
