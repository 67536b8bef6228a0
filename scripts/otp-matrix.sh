#!/bin/bash
# otp-matrix.sh VERSION [DIR] [extra package ...]
#
# Makes a runnable Erlang/OTP of another major release in DIR, next to whatever the host has, from Debian's
# own packages: no chroot, no debootstrap, nothing installed on the host but patchelf.
#
#   VERSION   23 (bullseye)  25 (bookworm)  27 (trixie)  29 (forky, else sid), or SUITE:NAME as in "sid:29"
#   DIR       default ${ISTHMUS_OTP_DIR:-$HOME/.cache/isthmus/otp}/VERSION ; DIR/bin then has erl, erlc, escript, epmd,
#             erl_call (and elixir, iex, mix when "elixir" is given as an extra package)
#   extras    more packages of that suite, e.g.  elixir  erlang-dev  rabbitmq-server  ejabberd ; what is neither
#             erlang-*, elixir nor a library keeps its own paths under DIR/extra (e.g. DIR/extra/usr/lib/rabbitmq)
#
# How: apt with lists and state of its own resolves the closure of the erlang packages in that suite; only the
# erlang*/elixir packages and the shared libraries (lib*, zlib1g) are downloaded (apt checks their hashes
# against the suite's signed Release) and unpacked with dpkg -x; then each dynamic ELF file is pointed at the
# suite's own ld.so and libraries with patchelf, so the programs run on the host's kernel, files, /etc/hosts and
# network without a chroot.
#
# Idempotent: a finished DIR is left as it is (DIR/.otp-matrix holds what was made). DIR cannot be moved afterwards
# (its paths are in the files). Environment:
#   OTP_MATRIX_CACHE  where downloaded .debs are kept (default: the folder "downloads" beside DIR)
#   MIRROR            default: the first site of the apt sources in use
set -euo pipefail

version=${1:?usage: otp-matrix.sh VERSION [DIR] [extra package ...]}
dir=${2:-${ISTHMUS_OTP_DIR:-$HOME/.cache/isthmus/otp}/${version#*:}}
shift $(($# < 2 ? $# : 2))
extras=("$@")
# the sources as configured, whether or not their lists were ever fetched
mirror=${MIRROR:-$(apt-get update --print-uris | sed -n "s#^'\(.*\)/dists/.*#\1#p" | grep -v security | sed -n 1p)}
cache=${OTP_MATRIX_CACHE:-$(dirname "$dir")/downloads}

case $version in
  23) suites=bullseye ;;
  25) suites=bookworm ;;
  27) suites=trixie ;;
  29) suites='forky sid' ;;   # both move on: a package can be gone from the pool while the list still names it
  *:*) suites=${version%%:*} version=${version#*:} ;;
  *) echo "otp-matrix: no Debian suite with OTP $version (have 23 25 27 29, or SUITE:NAME)" >&2; exit 2 ;;
esac

packages=(erlang-base erlang-crypto erlang-ssl erlang-public-key erlang-asn1 erlang-syntax-tools erlang-tools
          erlang-eunit erlang-inets erlang-xmerl erlang-runtime-tools "$@")
stamp="otp-matrix 1: $version ${packages[*]}"

if [ -f "$dir/.otp-matrix" ] && [ "$(head -n1 "$dir/.otp-matrix")" = "$stamp" ]; then
  exit 0
fi

started=$(date +%s%N)
for tool in patchelf apt-get dpkg-deb; do
  command -v "$tool" >/dev/null || { echo "otp-matrix: $tool is missing (apt-get install $tool)" >&2; exit 2; }
done

mkdir -p "$(dirname "$dir")"
dir=$(cd "$(dirname "$dir")" && pwd)/$(basename "$dir")
tmp=$dir.tmp.$$
rm -rf "$tmp" && mkdir -p "$tmp"
trap 'rm -rf "$tmp"' EXIT

# an apt of its own for a suite: lists, status and cache apart from the host's
fetch_suite() {
  local suite=$1 apt_root=$cache/$1 name extra file deb
  mkdir -p "$apt_root/lists/partial" "$apt_root/cache/archives/partial" "$apt_root/parts" "$apt_root/debs"
  echo "deb $mirror $suite main" >"$apt_root/sources.list"
  : >"$apt_root/status"
  local options=(-qq -o Dir::Etc::SourceList="$apt_root/sources.list" -o Dir::Etc::SourceParts="$apt_root/parts"
    -o Dir::Etc::Preferences=/dev/null -o Dir::Etc::PreferencesParts="$apt_root/parts"
    -o Dir::State::Lists="$apt_root/lists" -o Dir::State::status="$apt_root/status"
    -o Dir::Cache="$apt_root/cache" -o Acquire::Languages=none -o Acquire::Retries=3
    -o APT::Install-Recommends=false -o APT::Sandbox::User=root -o APT::Update::Error-Mode=any)
  # lists fetched less than an hour ago are good enough
  if [ -z "$(find "$apt_root/updated" -mmin -60 2>/dev/null)" ]; then
    apt-get "${options[@]}" update || return 1
    touch "$apt_root/updated"
  fi

  local wanted=() plan offered
  plan=$(apt-get "${options[@]}" install --simulate "${packages[@]}") || return 1
  # testing and unstable move on to the next release
  offered=$(sed -n 's/^Inst erlang-base (\([0-9]*:\)\{0,1\}\([0-9]*\)\..*/\2/p' <<<"$plan")
  [ "$offered" = "$version" ] || { echo "otp-matrix: $suite has OTP ${offered:-none}, not $version" >&2; return 1; }
  while read -r name; do
    case $name in
      libsystemd-shared|libpam-*|libsemanage*|libdebconf*|libaudit*|libc-gconv*|libc-bin|libpython*|libperl*|libproc*) ;;
      erlang-*|elixir|lib*|zlib1g) wanted+=("$name") ;;
      *) for extra in "${extras[@]}"; do [ "$extra" != "$name" ] || wanted+=("$name"); done ;;
    esac
  done < <(sed -n 's/^Inst \([^ ]*\) .*/\1/p' <<<"$plan")
  [ ${#wanted[@]} -gt 0 ] || { echo "otp-matrix: apt found nothing to install in $suite" >&2; return 1; }

  (cd "$apt_root/debs" && apt-get "${options[@]}" download "${wanted[@]}") || { rm -f "$apt_root/updated"; return 1; }
  # one layout for packages made before and after the merging of /usr (lib -> usr/lib)
  while read -r _ file _; do
    deb=$apt_root/debs/$file
    dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$tmp" --exclude='./usr/share/doc' --exclude='./usr/share/man' \
      --exclude='./usr/share/locale' --exclude='./usr/lib/*/gconv' --exclude='./etc' --exclude='./var' || return 1
  done < <(apt-get "${options[@]}" download --print-uris "${wanted[@]}")
}

mkdir -p "$cache"
cache=$(cd "$cache" && pwd)
exec 9>"$cache/lock" && flock 9   # one run at a time uses the cache
fetched=
for suite in $suites; do
  if fetch_suite "$suite"; then fetched=$suite; break; fi
  echo "otp-matrix: $suite failed" >&2
  rm -rf "$tmp" && mkdir -p "$tmp"
done
[ -n "$fetched" ] || { echo "otp-matrix: OTP $version is not to be had" >&2; exit 1; }
flock -u 9

# one folder with every shared library of the closure
mkdir -p "$tmp/lib-all"
for folder in "$tmp"/lib/*-linux-gnu "$tmp"/usr/lib/*-linux-gnu; do
  [ ! -d "$folder" ] || find "$folder" -maxdepth 1 \( -name '*.so' -o -name '*.so.*' \) -exec cp -a -t "$tmp/lib-all" {} +
done
loader=$(basename "$(find "$tmp/lib-all" -name 'ld-linux*.so.*' | head -n1)")
[ -n "$loader" ] || { echo "otp-matrix: no ld.so in the closure" >&2; exit 1; }

mv "$tmp/usr/lib/erlang" "$tmp/erlang"
[ -d "$tmp/usr/lib/elixir" ] && mv "$tmp/usr/lib/elixir" "$tmp/elixir"
# Erlang libraries outside /usr/lib/erlang (ejabberd's erlang-p1-*) go beside OTP's own
find "$tmp/usr/lib" -maxdepth 4 -type d -name ebin ! -path '*/rabbitmq/*' | while read -r ebin; do
  mv "$(dirname "$ebin")" "$tmp/erlang/lib/"
done
if [ -d "$tmp/usr/lib/rabbitmq" ]; then
  mkdir -p "$tmp/extra/usr/lib" && mv "$tmp/usr/lib/rabbitmq" "$tmp/extra/usr/lib/"
fi
rm -rf "$tmp/usr" "$tmp/lib" "$tmp/lib64"
mv "$tmp/lib-all" "$tmp/lib"

# every dynamic ELF of OTP: the suite's loader and libraries (DT_RPATH, so dlopen of NSS modules obeys it too)
find "$tmp/erlang" -type f \( -perm -u+x -o -name '*.so' \) | while read -r file; do
  [ "$(head -c4 "$file" | od -An -tx1 | tr -d ' \n')" = 7f454c46 ] || continue
  if patchelf --print-interpreter "$file" >/dev/null 2>&1; then
    patchelf --set-interpreter "$dir/lib/$loader" "$file"
  fi
  patchelf --force-rpath --set-rpath "$dir/lib" "$file"
done

# scripts: the new root in place of /usr/lib/erlang
grep -rlIF /usr/lib/erlang "$tmp/erlang/bin" "$tmp"/erlang/erts-*/bin "$tmp/erlang/releases" 2>/dev/null |
  xargs -r sed -i "s#/usr/lib/erlang#$dir/erlang#g"

mkdir -p "$tmp/bin"
for program in erl erlc escript erl_call epmd; do
  target=$(cd "$tmp" && ls -d erlang/bin/$program erlang/erts-*/bin/$program 2>/dev/null | while read -r path; do
    [ -L "$path" ] || { echo "$path"; break; }; done)
  [ -n "$target" ] || continue
  case $program in
    erl) ln -s "../$target" "$tmp/bin/$program" ;;
    *) printf '#!/bin/sh\nexport ROOTDIR="%s" BINDIR="%s" PATH="%s:$PATH"\nexec "%s" "$@"\n' \
         "$dir/erlang" "$dir/$(cd "$tmp" && ls -d erlang/erts-*/bin)" "$dir/bin" "$dir/$target" >"$tmp/bin/$program"
       chmod +x "$tmp/bin/$program" ;;
  esac
done
if [ -d "$tmp/elixir" ]; then
  for program in elixir elixirc iex mix; do
    [ -e "$tmp/elixir/bin/$program" ] || continue
    printf '#!/bin/sh\nexport PATH="%s:$PATH"\nexec "%s" "$@"\n' "$dir/bin" "$dir/elixir/bin/$program" >"$tmp/bin/$program"
    chmod +x "$tmp/bin/$program"
  done
fi

rm -rf "$dir"
mv "$tmp" "$dir"
trap - EXIT
real=$("$dir/bin/erl" -noshell -eval '{ok,_}=application:ensure_all_started(ssl),
  {ok,V}=file:read_file(filename:join([code:root_dir(),"releases",erlang:system_info(otp_release),"OTP_VERSION"])),
  io:format("~ts ~ts",[string:trim(V),element(3,hd(crypto:info_lib()))]),halt().')
{ echo "$stamp"; echo "$real"; } >"$dir/.otp-matrix"
printf 'otp-matrix: OTP %s (%s) in %s, %s, %d ms\n' "$real" "$fetched" "$dir" "$(du -sh "$dir" | cut -f1)" \
  $((($(date +%s%N) - started) / 1000000))
