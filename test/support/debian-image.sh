#!/usr/bin/env bash
# Makes an image of Debian packages for the lab, where no registry of images can be reached. Prints the path of a tar for `docker import`.
#   debian-image.sh NAME PACKAGE...
set -euo pipefail

REPO=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
CACHE=${DOCKER_ROUTER_CACHE:-/var/cache/docker-router}
# The lab's own sources of Debian packages.
# shellcheck source=lab/rootfs.sh
. "$REPO/lab/rootfs.sh"

name=$1
packages=$(IFS=,; echo "base-files,base-passwd,dash,coreutils,${*:2}")
target=$CACHE/$name-image-$({ echo "$packages"; cat "${BASH_SOURCE[0]}"; } | sha256sum | cut -c 1-12).tar
if [[ ! -e $target ]]; then
  mkdir -p "$CACHE"
  exec 9>"$CACHE/$name-image.lock"
  flock 9
  if [[ ! -e $target ]]; then
    options=()
    while read -r option; do options+=("--aptopt=$option"); done < <(apt_acquire_options)
    sources=$(debian_sources)
    rm -f "$CACHE/$name-image"-*.tar
    mmdebstrap --quiet --variant=extract --include="$packages" \
      --extract-hook='cp "$1/usr/share/base-passwd/passwd.master" "$1/etc/passwd"' \
      --extract-hook='cp "$1/usr/share/base-passwd/group.master" "$1/etc/group"' \
      --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
      "${options[@]}" "$DEBIAN_SUITE" "$CACHE/$name-image.building.tar" ${sources:+-} <<<"$sources" 9>&- >&2
    mv "$CACHE/$name-image.building.tar" "$target"
  fi
fi
echo "$target"
