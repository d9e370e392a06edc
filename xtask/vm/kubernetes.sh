#!/bin/bash
# kubernetes.sh: a real cluster's programs, from Debian's sources and packages; nothing is installed.
#
# In (environment): MIRROR, OUT (a new folder), WORK (scratch). Out: OUT/{etcd,kube-apiserver,kube-controller-manager,kube-scheduler,
# kubelet,kubectl}. Debian has no packages of them but of the client, but its source package has all of Kubernetes, its libraries
# included; Debian's own Go builds it. What the source package leaves out, the OpenAPI definitions, is generated as Kubernetes' own build does it.
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
(cd "$WORK/debs" && apt-get -qq -o APT::Sandbox::User= download etcd-server golang-github-modern-go-reflect2-dev)
for deb in "$WORK"/debs/*.deb; do dpkg-deb -x "$deb" "$WORK/packages"; done
cp "$WORK/packages/usr/bin/etcd" "$OUT/"
# The release's own reflect2 1.0.1 allocates less for a map's iterator than Go 1.18 and later use: the API server crashes at the
# first object of a CRD.
reflect=vendor/github.com/modern-go/reflect2
rm -r "$WORK/go/src/k8s.io/kubernetes/$reflect"
cp -r "$WORK/packages/usr/share/gocode/src/${reflect#vendor/}" "$WORK/go/src/k8s.io/kubernetes/$reflect"

export GO111MODULE=off GOPATH=$WORK/go GOCACHE=$WORK/cache GOTMPDIR=$WORK CGO_ENABLED=0 GOFLAGS=-p=2
cd "$WORK/go/src/k8s.io/kubernetes"
go build -o "$WORK/openapi-gen" ./vendor/k8s.io/kube-openapi/cmd/openapi-gen
folders=$(find -L vendor/k8s.io pkg cmd -name '*.go' -not -name 'zz_*' -not -path '*/code-generator/*' \
  -not -path '*/sample-apiserver/*' -not -path '*/kube-openapi/*' -exec grep -l '+k8s:openapi-gen=' {} + \
  | xargs -n1 dirname | sort -u | sed 's,^,k8s.io/kubernetes/,' | paste -sd,)
"$WORK/openapi-gen" --logtostderr -i "$folders" -p k8s.io/kubernetes/pkg/generated/openapi -O zz_generated.openapi \
  -h /dev/null -r "$WORK/violations"
# One program under several names: they have most of their code in common.
mkdir cmd/kubernetes
cat > cmd/kubernetes/main.go << 'EOF'
package main

import (
	"math/rand"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/component-base/logs"
	kubectl "k8s.io/kubectl/pkg/cmd"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	manager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

func main() {
	rand.Seed(time.Now().UnixNano())
	command, known := map[string]func() *cobra.Command{
		"kube-apiserver":          apiserver.NewAPIServerCommand,
		"kube-controller-manager": manager.NewControllerManagerCommand,
		"kube-scheduler":          func() *cobra.Command { return scheduler.NewSchedulerCommand() },
		"kubelet":                 kubelet.NewKubeletCommand,
		"kubectl":                 kubectl.NewDefaultKubectlCommand,
	}[filepath.Base(os.Args[0])]
	if !known {
		os.Stderr.WriteString("no program of Kubernetes: " + os.Args[0] + "\n")
		os.Exit(2)
	}
	logs.InitLogs()
	defer logs.FlushLogs()
	if err := command().Execute(); err != nil {
		os.Exit(1)
	}
}
EOF
flags="-s -w"
for name in client-go/pkg component-base; do
  name=k8s.io/kubernetes/vendor/k8s.io/$name/version
  flags+=" -X $name.gitVersion=v$version -X $name.gitMajor=1 -X $name.gitMinor=20"
done
go build -ldflags "$flags" -o "$OUT" ./cmd/kubernetes
for program in kube-apiserver kube-controller-manager kube-scheduler kubelet kubectl; do ln -s kubernetes "$OUT/$program"; done
