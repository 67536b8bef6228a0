#!/bin/bash
# kubernetes-tree.sh DIR
#
# Puts a real Kubernetes API server, the etcd that it needs and client-go's example of leader election in DIR/bin. They
# are built from Debian's source package kubernetes (whose binary packages are clients only) with Debian's Go, unpacked
# beside it; etcd is Debian's. apt checks the hashes of all of it. Nothing is installed. Takes minutes, once. Idempotent.
set -euo pipefail
dir=${1:?usage: kubernetes-tree.sh DIR}; suite=bookworm; go=1.19; here=$(cd "$(dirname "$0")" && pwd)
mirror=${MIRROR:-$(apt-get update --print-uris | sed -n "s#^'\(.*\)/dists/.*#\1#p" | grep -v security | sed -n 1p)}; export MIRROR=$mirror
stamp="kubernetes-tree 1: $suite go$go"; [ -f "$dir/.kubernetes-tree" ] && [ "$(cat "$dir/.kubernetes-tree")" = "$stamp" ] && exit 0
work=$(mktemp -d /var/tmp/kubernetes-tree.XXXXXX); trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
bash "$here/deb-tree.sh" "$suite" "$work/deb" "golang-$go-go" "golang-$go-src" golang-github-modern-go-reflect2-dev etcd-server

mkdir -p "$work"/{lists/partial,cache/archives/partial,parts,source,path/src/k8s.io}; : >"$work/status"; echo "deb-src $mirror $suite main" >"$work/sources.list"
options=(-qq -o Dir::Etc::SourceList="$work/sources.list" -o Dir::Etc::SourceParts="$work/parts" -o Dir::State::Lists="$work/lists"
  -o Dir::State::status="$work/status" -o Dir::Cache="$work/cache" -o APT::Sandbox::User=root -o Acquire::Retries=3 -o APT::Update::Error-Mode=any)
apt-get "${options[@]}" update
(cd "$work/source" && apt-get "${options[@]}" source --download-only kubernetes && tar -xzf kubernetes_*.orig.tar.gz)
mv "$work"/source/kubernetes-*/ "$work/path/src/k8s.io/kubernetes"
version=$(cd "$work/source" && ls kubernetes_*.dsc | sed 's/.*really//; s/^kubernetes_//; s/-.*//')

export GOROOT="$work/deb/usr/lib/go-$go" GOPATH="$work/path" GOCACHE="$work/cache/go" GOTMPDIR="$work" GOPROXY=off GO111MODULE=off GOFLAGS= CGO_ENABLED=0
export PATH="$GOROOT/bin:$PATH"
cd "$GOPATH/src/k8s.io/kubernetes"
# its reflect2 is older than this Go, and fails with it at run time
rm -rf vendor/github.com/modern-go/reflect2; cp -r "$work/deb/usr/share/gocode/src/github.com/modern-go/reflect2" vendor/github.com/modern-go/reflect2

# the one generated file that the source comes without
go build -o "$work/openapi-gen" ./vendor/k8s.io/kube-openapi/cmd/openapi-gen
packages=$(grep -Rl --include='*.go' --exclude='*_test.go' '+k8s:openapi-gen=' vendor/k8s.io | grep -vE '^vendor/k8s.io/(code-generator|sample-apiserver|kube-openapi)/' | xargs -n1 dirname | sort -u | sed 's#^#k8s.io/kubernetes/#' | paste -sd,)
"$work/openapi-gen" -i "$packages" -p k8s.io/kubernetes/pkg/generated/openapi -O zz_generated.openapi \
  -h vendor/k8s.io/code-generator/hack/boilerplate.go.txt -r "$work/violations" >"$work/generated.log" 2>&1 || { cat "$work/generated.log"; exit 1; }

mkdir -p "$dir/bin"; cp "$work/deb/usr/bin/etcd" "$dir/bin/etcd"
# without the providers of clouds, which are half of it
go build -tags providerless -ldflags "-s -w -X k8s.io/kubernetes/vendor/k8s.io/component-base/version.gitVersion=v$version" -o "$dir/bin/kube-apiserver" ./cmd/kube-apiserver
go build -ldflags "-s -w" -o "$dir/bin/leader-election" ./vendor/k8s.io/client-go/examples/leader-election
echo "$stamp" >"$dir/.kubernetes-tree"
