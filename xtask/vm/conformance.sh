#!/bin/bash
# conformance.sh: the test suite of runc or crun, from Debian's source package, with what it needs in a guest; nothing is installed.
#
# In (environment): RUNTIME (runc or crun), SUITE (the guest's), MIRROR, KEYRING, STATUS (dpkg's status file of the guest), WORK
# (scratch), OUT (a new folder). OUT is what `cargo xtask conformance` takes; OUT/root is laid over the guest's root.
set -euo pipefail
: "${RUNTIME:?}" "${SUITE:?}" "${MIRROR:?}" "${KEYRING:?}" "${STATUS:?}" "${WORK:?}" "${OUT:?}"
rm -rf "$WORK" "$OUT"
mkdir -p "$WORK"/apt/{lists/partial,archives/partial} "$WORK"/{source,debs,libraries} "$OUT/root"
for kind in deb deb-src; do echo "$kind [signed-by=$KEYRING] $MIRROR $SUITE main"; done > "$WORK/apt/sources.list"
# Check-Valid-Until: as in kernel.sh
cat > "$WORK/apt/apt.conf" << EOF
Dir::State "$WORK/apt"; Dir::State::lists "$WORK/apt/lists"; Dir::Cache "$WORK/apt"; APT::Architecture "amd64";
Dir::Etc::sourcelist "$WORK/apt/sources.list"; Dir::Etc::sourceparts "-"; Acquire::Check-Valid-Until "false"; Acquire::Retries "5";
APT::Install-Recommends "false"; APT::Sandbox::User ""; Debug::NoLocking "true";
EOF
export APT_CONFIG=$WORK/apt/apt.conf
apt-get -qq update

# Downloads and unpacks packages: names on standard input.
unpack() {
  local scratch
  scratch=$(mktemp -d "$WORK/debs/XXXXXX")
  (cd "$scratch" && xargs -r apt-get -qq download)
  for deb in "$scratch"/*.deb; do dpkg-deb -x "$deb" "$1"; done
  rm -r "$scratch"
}
# What the guest lacks of these packages and of what they need.
case $RUNTIME in
  runc) needs=(bats gcc libc6-dev) ;;
  crun) needs=(python3 libcriu2) ;;
esac
apt-get -qq -o "Dir::State::status=$STATUS" --print-uris install "${needs[@]}" | awk '{print $2}' | sed 's/_.*//' | unpack "$OUT/root"

: > "$WORK/apt/status"
apt_source() { (cd "$WORK/source" && apt-get -qq -o "Dir::State::status=$WORK/apt/status" source "$@"); }
if [ "$RUNTIME" = crun ]; then
  apt_source --download-only --tar-only crun
  tar xf "$WORK"/source/crun_*.orig.tar.* -C "$OUT" --strip-components=1 --wildcards --no-wildcards-match-slash '*/tests'
  # What crun's configure would find; of seccomp.h nothing is used.
  printf '#define HAVE_%s 1\n' SECCOMP ERROR_H LINUX_IOPRIO_H > "$WORK/config.h"
  : > "$WORK/seccomp.h"
  gcc -O1 -static -I "$WORK" -o "$OUT/tests/init" "$OUT/tests/init.c"
  # Debian has no bindings of libmount for Python; without them the tests of mounts do not run. What they use of them:
  cat > "$OUT/tests/libmount.py" << 'EOF'
class Mount:
    def __init__(self, line):
        fields = line.split()
        self.target, self.vfs_options, self.fs_options = fields[4], fields[5], fields[-1]

class Table:
    def __init__(self, file):
        with open(file) as lines:
            self.mounts = [Mount(line) for line in lines if line.strip()]

    def find_target(self, target):
        return [mount for mount in self.mounts if mount.target == target][-1]
EOF
  exit
fi

apt_source runc
source=$(find "$WORK/source" -mindepth 1 -maxdepth 1 -type d)
mkdir "$OUT/tests"
cp -r "$source/tests/integration" "$OUT/tests/"
# The suite would download its images; the guest has some. Of busybox it expects that nobody has a name but root.
cat > "$OUT/tests/integration/get-images.sh" << 'EOF'
#!/bin/sh
image=/tmp/busybox-of-root.tar
if [ ! -e $image ]; then
  tree=$(mktemp -d)
  tar xf /opt/img/busybox.tar -C "$tree"
  sed -i '/:1000:/d' "$tree/etc/passwd" "$tree/etc/group"
  tar cf $image -C "$tree" .
  rm -r "$tree"
fi
echo BUSYBOX_IMAGE=$image DEBIAN_IMAGE=/opt/img/debian.tar
EOF
# Its helpers, with the libraries that Debian builds runc with. Their binary packages are sources.
apt-get -qq -o "Dir::State::status=$WORK/apt/status" --print-uris build-dep runc | awk '{print $2}' \
  | sed -n 's/_.*//; /^golang-.*-dev$/p; /^golang-[0-9.]*-\(go\|src\)$/p; /^libseccomp\(2\|-dev\)$/p' | sort -u | unpack "$WORK/libraries"
gopath=$WORK/libraries/usr/share/gocode
goroot=$(echo "$WORK"/libraries/usr/lib/go-*)
cp -r "$WORK"/libraries/usr/share/go-*/* "$goroot/" 2> /dev/null || true
mkdir -p "$gopath/src/github.com/opencontainers"
rm -rf "$gopath/src/github.com/opencontainers/runc"
mv "$source" "$gopath/src/github.com/opencontainers/runc"
cd "$gopath/src/github.com/opencontainers/runc"
export GOROOT=$goroot GOTOOLCHAIN=local GO111MODULE=off GOPATH=$gopath GOCACHE=$WORK/cache GOTMPDIR=$WORK GOFLAGS=-p=2
# The guest has libseccomp; its own dependencies are newer here than this machine's C library, perhaps.
export PKG_CONFIG=/bin/true CGO_CFLAGS="-I$WORK/libraries/usr/include"
export CGO_LDFLAGS="-L$WORK/libraries/usr/lib/x86_64-linux-gnu -lseccomp -Wl,--allow-shlib-undefined"
for folder in contrib/cmd/* tests/cmd/*; do
  name=${folder##*/}
  [ -d "$folder" ] && [ "$name" != memfd-bind ] || continue
  mkdir -p "$OUT/$folder"
  find "$folder" -name '*.sh' -exec cp {} "$OUT/$folder/" \;
  cgo=0
  [ "$name" = seccompagent ] && cgo=1
  # Up to 1.1 each lies in its own folder, later all lie in one.
  program=$OUT/$folder/$name
  [ "${folder%/*}" = tests/cmd ] && program=$OUT/tests/cmd/_bin/$name
  CGO_ENABLED=$cgo "$GOROOT/bin/go" build -tags seccomp -ldflags '-s -w' -o "$program" "./$folder"
done
