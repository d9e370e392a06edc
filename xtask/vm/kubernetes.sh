#!/bin/bash
# kubernetes.sh: a real API server with its database and its client, from Debian's sources and packages; nothing is installed.
#
# In (environment): MIRROR, OUT (a new folder), WORK (scratch). Out: OUT/{kube-apiserver,kubectl,etcd}.
# Debian has no package of the API server, but its source package has all of Kubernetes, its libraries included; Debian's own Go
# builds it. What the source package leaves out, the OpenAPI definitions, is generated as Kubernetes' own build does it.
set -euo pipefail
: "${MIRROR:?}" "${OUT:?}" "${WORK:?}"
version=1.20.2
file="kubernetes_1.20.5+really$version.orig.tar.gz"
sum=b83c0780efb182d928dc63d46488a847f161f04e40a94b96bf5247dd671ecdfc

rm -rf "$WORK" "$OUT"
mkdir -p "$WORK/go/src/k8s.io" "$WORK/debs" "$OUT"
helper=/usr/lib/apt/apt-helper
"$helper" download-file "$MIRROR/pool/main/k/kubernetes/$file" "$WORK/source.tar.gz" "SHA256:$sum"
tar xzf "$WORK/source.tar.gz" -C "$WORK/go/src/k8s.io"
mv "$WORK/go/src/k8s.io/kubernetes-$version" "$WORK/go/src/k8s.io/kubernetes"
(cd "$WORK/debs" && apt-get -qq -o APT::Sandbox::User= download etcd-server)
for deb in "$WORK"/debs/*.deb; do dpkg-deb -x "$deb" "$WORK/etcd"; done
cp "$WORK/etcd/usr/bin/etcd" "$OUT/"

export GO111MODULE=off GOPATH=$WORK/go GOCACHE=$WORK/cache GOTMPDIR=$WORK CGO_ENABLED=0 GOFLAGS=-p=2
cd "$WORK/go/src/k8s.io/kubernetes"
go build -o "$WORK/openapi-gen" ./vendor/k8s.io/kube-openapi/cmd/openapi-gen
folders=$(find -L vendor/k8s.io pkg cmd -name '*.go' -not -name 'zz_*' -not -path '*/code-generator/*' \
  -not -path '*/sample-apiserver/*' -not -path '*/kube-openapi/*' -exec grep -l '+k8s:openapi-gen=' {} + \
  | xargs -n1 dirname | sort -u | sed 's,^,k8s.io/kubernetes/,' | paste -sd,)
"$WORK/openapi-gen" --logtostderr -i "$folders" -p k8s.io/kubernetes/pkg/generated/openapi -O zz_generated.openapi \
  -h /dev/null -r "$WORK/violations"
name=k8s.io/kubernetes/vendor/k8s.io/component-base/version
go build -ldflags "-s -w -X $name.gitVersion=v$version -X $name.gitMajor=1 -X $name.gitMinor=20" -o "$OUT" \
  ./cmd/kube-apiserver ./cmd/kubectl
