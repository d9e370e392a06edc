#!/bin/bash
# workloads.sh: a disk (ext4, sparse) that is Docker's data directory with one image in it: Debian with the packages that the
# workload suite runs. An import in an emulated machine would take minutes; so the image's only layer is laid out here.
#
# In (environment): SUITE, MIRROR, KEYRING, PACKAGES (comma-separated), SOURCES (folder with Cpus.java and cpus.go),
# WORK (scratch), OUT (disk). The guest mounts it at /var/lib/docker and sees the image `work`.
set -euo pipefail
: "${SUITE:?}" "${MIRROR:?}" "${KEYRING:?}" "${PACKAGES:?}" "${SOURCES:?}" "${WORK:?}" "${OUT:?}"
rm -f "$OUT"
name=$(printf '%s\n' "$OUT" "$PACKAGES" | sha256sum | cut -c1-64)
link=$(printf %s "$name" | tr a-z A-Z | cut -c1-26)
docker=$WORK/docker layer=$docker/overlay2/$name
mkdir -p "$layer/diff" "$docker/overlay2/l"

# Compiled here, natively: a compiler's run in the guest costs a minute. The Go tools themselves are not kept.
cat > "$WORK/finish" <<'H'
set -eu
root=$1
mkdir -p "$root/opt/workloads" "$root/srv/repo"
cp "$SOURCES/Cpus.java" "$SOURCES/cpus.go" "$root/opt/workloads"
chroot "$root" sh -c 'java -cp "$(echo /usr/share/java/*jdt*batch*.jar | tr " " :)" org.eclipse.jdt.internal.compiler.batch.Main "$@"' \
  java -17 -d /opt/workloads /opt/workloads/Cpus.java
chroot "$root" env HOME=/tmp GOCACHE=/tmp/go GOTOOLCHAIN=local GOPROXY=off GO111MODULE=off \
  go build -o /opt/workloads/cpus /opt/workloads/cpus.go
chroot "$root" env DEBIAN_FRONTEND=noninteractive apt-get -y -q purge --autoremove golang-go libeclipse-jdt-core-compiler-batch-java
# A repository of packages that are not installed yet.
(cd "$root/srv/repo" && APT_CONFIG=$MMDEBSTRAP_APT_CONFIG apt-get -q download hello tree memcached libevent-2.1-7t64)
chroot "$root" sh -c 'cd /srv/repo && apt-ftparchive packages . > Packages'
# What servers made at their installation is for the workloads to make.
rm -rf "$root/tmp/go" "$root"/etc/ssh/ssh_host_* "$root/var/lib/postgresql/17" "$root/etc/postgresql/17"
chroot "$root" useradd -m -u 1000 -s /bin/bash user
H
export SOURCES
without=()
for dir in man doc locale info; do without+=("--dpkgopt=path-exclude=/usr/share/$dir/*"); done
# Check-Valid-Until: as in kernel.sh
mmdebstrap --variant=apt --include="$PACKAGES" --architectures=amd64 --format=tar \
  --aptopt='APT::Install-Recommends "false"' --aptopt='Acquire::Check-Valid-Until "false"' --aptopt='Acquire::Retries "5"' \
  --essential-hook='mkdir -p "$1/usr/share/man/man1" "$1/usr/share/man/man7"' --customize-hook="sh $WORK/finish \"\$1\"" "${without[@]}" \
  "$SUITE" - "deb [signed-by=$KEYRING] $MIRROR $SUITE main" |
  tar x -C "$layer/diff" --numeric-owner --xattrs --xattrs-include='*' --exclude='./dev/*'
: > "$layer/diff/etc/resolv.conf"
# The container's own view of apt: no mirror of the machine that made this.
echo 'deb [trusted=yes] file:/srv/repo ./' > "$layer/diff/etc/apt/sources.list"
rm -rf "$layer/diff/etc/apt/sources.list.d"/* "$layer/diff/var/lib/apt/lists"/*

# A layer as Docker's overlay2 driver keeps it, its entry in the layer store, and an image of that layer alone. The layer's
# name stands for its digest: nothing asks for the archive that it would be the digest of.
printf %s "$link" > "$layer/link"
: > "$layer/committed"
ln -s "../$name/diff" "$docker/overlay2/l/$link"
entry=$docker/image/overlay2/layerdb/sha256/$name
images=$docker/image/overlay2/imagedb/content/sha256
mkdir -p "$entry" "$images"
printf %s "sha256:$name" > "$entry/diff"
printf %s "$name" > "$entry/cache-id"
printf %s "$(du -sb "$layer/diff" | cut -f1)" > "$entry/size"
cat > "$WORK/image" <<J
{"architecture":"amd64","os":"linux","created":"2026-01-01T00:00:00Z","config":{"Cmd":["bash"],
"Env":["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin","LC_ALL=C.UTF-8"]},
"history":[{"created":"2026-01-01T00:00:00Z"}],"rootfs":{"type":"layers","diff_ids":["sha256:$name"]}}
J
id=$(sha256sum "$WORK/image" | cut -c1-64)
cp "$WORK/image" "$images/$id"
echo "{\"Repositories\":{\"work\":{\"work:latest\":\"sha256:$id\"}}}" > "$docker/image/overlay2/repositories.json"
chmod 710 "$docker" "$docker/overlay2" "$layer"

truncate -s 6G "$OUT"
mke2fs -q -t ext4 -O ^has_journal,^metadata_csum -E lazy_itable_init=1,nodiscard -m 0 -i 32768 -d "$docker" "$OUT"
