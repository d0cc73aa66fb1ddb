#!/usr/bin/env bash
# Makes an image of Debian's BIND for the lab, where no registry of images can be reached. Prints the path of a tar for `docker import`.
set -euo pipefail

REPO=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
CACHE=${DOCKER_ROUTER_CACHE:-/var/cache/docker-router}
# The lab's own sources of Debian packages.
# shellcheck source=lab/rootfs.sh
. "$REPO/lab/rootfs.sh"

target=$CACHE/bind-image-$(sha256sum <"${BASH_SOURCE[0]}" | cut -c 1-12).tar
if [[ ! -e $target ]]; then
  mkdir -p "$CACHE"
  exec 9>"$CACHE/bind-image.lock"
  flock 9
  if [[ ! -e $target ]]; then
    options=()
    while read -r option; do options+=("--aptopt=$option"); done < <(apt_acquire_options)
    sources=$(debian_sources)
    rm -f "$CACHE"/bind-image-*.tar
    mmdebstrap --quiet --variant=extract --include=base-files,base-passwd,dash,coreutils,bind9,bind9-dnsutils,bind9-utils \
      --extract-hook='cp "$1/usr/share/base-passwd/passwd.master" "$1/etc/passwd"' \
      --extract-hook='cp "$1/usr/share/base-passwd/group.master" "$1/etc/group"' \
      --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
      "${options[@]}" "$DEBIAN_SUITE" "$CACHE/bind-image.building.tar" ${sources:+-} <<<"$sources" 9>&- >&2
    mv "$CACHE/bind-image.building.tar" "$target"
  fi
fi
echo "$target"
