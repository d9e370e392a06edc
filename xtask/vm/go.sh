#!/bin/bash
# go.sh: a program from Debian's Go libraries; nothing is installed.
#
# In (environment): MIRROR, KEYRING, LIBRARY (a package), SOURCE (main.go), OUT (the program), WORK (scratch).
# Debian's unstable has the libraries, and the Go that builds them.
set -euo pipefail
: "${MIRROR:?}" "${KEYRING:?}" "${LIBRARY:?}" "${SOURCE:?}" "${OUT:?}" "${WORK:?}"
go=1.26
rm -rf "$WORK"
mkdir -p "$WORK"/apt/{lists/partial,archives/partial} "$WORK"/{debs,root}
touch "$WORK/apt/status"
echo "deb [signed-by=$KEYRING] $MIRROR sid main" > "$WORK/apt/sources.list"
# Check-Valid-Until: as in kernel.sh
cat > "$WORK/apt/apt.conf" << EOF
Dir::State "$WORK/apt"; Dir::State::lists "$WORK/apt/lists"; Dir::State::status "$WORK/apt/status"; Dir::Cache "$WORK/apt";
Dir::Etc::sourcelist "$WORK/apt/sources.list"; Dir::Etc::sourceparts "-"; Acquire::Check-Valid-Until "false"; Acquire::Retries "5";
APT::Install-Recommends "false"; APT::Sandbox::User ""; Debug::NoLocking "true";
EOF
export APT_CONFIG=$WORK/apt/apt.conf
apt-get -qq update
# Libraries are source; of what is compiled, only Go itself is needed.
packages=$(apt-get -qq --print-uris install "$LIBRARY" "golang-$go-go" \
  | awk '{print $2}' | sed -n "s/_.*//; /^golang-.*-dev\$/p; /^golang-$go-\(go\|src\)\$/p")
(cd "$WORK/debs" && xargs apt-get -qq download <<< "$packages")
for deb in "$WORK"/debs/*.deb; do dpkg-deb -x "$deb" "$WORK/root"; done
mkdir "$WORK/root/usr/share/gocode/src/program"
cp "$SOURCE" "$WORK/root/usr/share/gocode/src/program/main.go"
export GOROOT=$WORK/root/usr/lib/go-$go GOTOOLCHAIN=local GO111MODULE=off GOPATH=$WORK/root/usr/share/gocode
export GOCACHE=$WORK/cache GOTMPDIR=$WORK CGO_ENABLED=0 GOFLAGS=-p=2
"$GOROOT/bin/go" build -ldflags '-s -w' -o "$OUT" program
