#!/bin/bash
# deb-tree.sh SUITE DIR PACKAGE ...
#
# Unpacks exactly these packages of a Debian suite in DIR (no dependencies, nothing installed): for programs that need
# only libc, such as Go programs (consul of bullseye; nats-server, etcd-server of trixie). apt checks their hashes
# against the suite's signed Release. Idempotent.
set -euo pipefail
suite=${1:?usage: deb-tree.sh SUITE DIR PACKAGE ...}; dir=${2:?}; shift 2; mirror=${MIRROR:-$(apt-get update --print-uris | sed -n "s#^'\(.*\)/dists/.*#\1#p" | grep -v security | sed -n 1p)}
stamp="deb-tree 1: $suite $*"; [ -f "$dir/.deb-tree" ] && [ "$(cat "$dir/.deb-tree")" = "$stamp" ] && exit 0
work=$(mktemp -d /var/tmp/deb-tree.XXXXXX); trap 'rm -rf "$work"' EXIT
mkdir -p "$dir" "$work"/{lists/partial,cache/archives/partial,parts,debs}; : >"$work/status"; echo "deb $mirror $suite main" >"$work/sources.list"
options=(-qq -o Dir::Etc::SourceList="$work/sources.list" -o Dir::Etc::SourceParts="$work/parts" -o Dir::Etc::PreferencesParts="$work/parts" -o Dir::State::Lists="$work/lists"
  -o Dir::State::status="$work/status" -o Dir::Cache="$work/cache" -o APT::Sandbox::User=root -o Acquire::Languages=none -o Acquire::Retries=3 -o APT::Update::Error-Mode=any)
apt-get "${options[@]}" update
(cd "$work/debs" && apt-get "${options[@]}" download "$@")
for deb in "$work"/debs/*.deb; do dpkg-deb -x "$deb" "$dir"; done
echo "$stamp" >"$dir/.deb-tree"
