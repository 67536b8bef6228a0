#!/bin/bash
# moto-tree.sh DIR
#
# A runnable moto (a mock of AWS: EC2, Auto Scaling, ECS, IAM/STS, ...) in DIR, from Debian trixie's python3-moto
# and its closure, unpacked, not installed; DIR/bin/moto_server starts it. Needs patchelf. Idempotent.
#   DIR/bin/moto_server -H 127.0.0.1 -p 15000
set -euo pipefail
dir=${1:?usage: moto-tree.sh DIR}; mirror=${MIRROR:-$(apt-get update --print-uris | sed -n "s#^'\(.*\)/dists/.*#\1#p" | grep -v security | sed -n 1p)}; suite=trixie
[ -f "$dir/.moto-tree" ] && exit 0
started=$SECONDS
mkdir -p "$(dirname "$dir")"; dir=$(cd "$(dirname "$dir")" && pwd)/$(basename "$dir"); tmp=$dir.tmp.$$
apt=${MOTO_CACHE:-$(dirname "$dir")/moto-downloads}
mkdir -p "$tmp/usr" "$apt/lists/partial" "$apt/cache/archives/partial" "$apt/parts" "$apt/debs"; trap 'rm -rf "$tmp"' EXIT
echo "deb $mirror $suite main" >"$apt/sources.list"; : >"$apt/status"
options=(-qq -o Dir::Etc::SourceList="$apt/sources.list" -o Dir::Etc::SourceParts="$apt/parts" -o Dir::Etc::Preferences=/dev/null -o Dir::Etc::PreferencesParts="$apt/parts"
  -o Dir::State::Lists="$apt/lists" -o Dir::State::status="$apt/status" -o Dir::Cache="$apt/cache" -o Acquire::Languages=none -o Acquire::Retries=3
  -o APT::Install-Recommends=false -o APT::Sandbox::User=root)
apt-get "${options[@]}" update
mapfile -t wanted < <(apt-get "${options[@]}" install --simulate python3-moto python3-flask python3-flask-cors python3-joserfc python3-jsondiff python3-pyparsing python3-jsonpath-ng 2>/dev/null |
  sed -n 's/^Inst \([^ ]*\) .*/\1/p' | grep -vE '^(dpkg|tar|debconf|tzdata|openssl|readline-common|netbase|libdb5.*|libselinux1|libpcre2.*)$')
(cd "$apt/debs" && apt-get "${options[@]}" download "${wanted[@]}")
while read -r _ file _; do
  dpkg-deb --fsys-tarfile "$apt/debs/$file" | tar -x -C "$tmp" --exclude=./usr/share/doc --exclude=./usr/share/man --exclude='*/__pycache__'
done < <(apt-get "${options[@]}" download --print-uris "${wanted[@]}")
loader=$(cd "$tmp" && find usr/lib -name 'ld-linux*.so.*' -print -quit)
libs=$dir/$(dirname "$loader")
find "$tmp/usr" -type f \( -name 'python3.13' -o -name '*.so' \) | while read -r file; do
  [ "$(head -c4 "$file" | od -An -tx1 | tr -d ' \n')" = 7f454c46 ] || continue
  case $file in */python3.13) patchelf --set-interpreter "$dir/$loader" "$file" ;; esac
  patchelf --force-rpath --set-rpath "$libs" "$file"
done
mkdir -p "$tmp/bin"
cat >"$tmp/bin/moto_server" <<S
#!/bin/sh
export PYTHONHOME="$dir/usr" PYTHONPATH="$dir/usr/lib/python3/dist-packages" PYTHONDONTWRITEBYTECODE=1
exec "$dir/usr/bin/python3.13" -m moto.server "\$@"
S
chmod +x "$tmp/bin/moto_server"
rm -rf "$dir"; mv "$tmp" "$dir"; trap - EXIT
"$dir/bin/moto_server" --help >/dev/null
touch "$dir/.moto-tree"; [ -n "${MOTO_CACHE:-}" ] || rm -rf "$apt"
echo "moto-tree: $((SECONDS - started)) s, $(du -sh "$dir" | cut -f1) in $dir"
