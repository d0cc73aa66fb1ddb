#!/bin/sh
# Installs what the etcd tests run, where it is missing: Debian 12 has etcd 3.4, Debian 13 has 3.5.
set -eu
missing=
command -v etcd >/dev/null || missing="$missing etcd-server"
command -v etcdctl >/dev/null || missing="$missing etcd-client"
command -v openssl >/dev/null || missing="$missing openssl"
[ -z "$missing" ] && exit 0
[ -n "$(find /var/lib/apt/lists -maxdepth 1 -name '*Packages*' 2>/dev/null)" ] || apt-get update -qq
# shellcheck disable=SC2086
DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq --no-install-recommends $missing >&2
