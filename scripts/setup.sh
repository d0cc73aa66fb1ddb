# Sourced by the scripts that need a prepared machine: installs what is missing, by package name. shellcheck shell=bash

# npm packages, as the lockfile says.
setup_node() {
  command -v node >/dev/null || { echo 'Node.js 20 or newer is needed: https://nodejs.org' >&2; return 1; }
  if [ ! -d node_modules ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
    echo 'installing npm packages ...' >&2
    npm ci --no-audit --no-fund --loglevel=error
  fi
}

# Debian packages that the tests use, as "COMMAND PACKAGE" lines. The lab installs its own hosts by itself.
REQUIRED_COMMANDS='
ip iproute2
nft nftables
ethtool ethtool
mmdebstrap mmdebstrap
tcpdump tcpdump
ping iputils-ping
etcd etcd-server
etcdctl etcd-client
named bind9
dig bind9-dnsutils
nsupdate bind9-dnsutils
serf serf
wg wireguard-tools
wireguard-go wireguard-go
openssl openssl
'

setup_packages() {
  local missing=() command package
  while read -r command package; do
    [ -n "$command" ] || continue
    PATH="$PATH:/usr/sbin:/sbin" command -v "$command" >/dev/null || missing+=("$package")
  done <<<"$REQUIRED_COMMANDS"
  [ ${#missing[@]} -gt 0 ] || return 0
  echo "installing Debian packages: ${missing[*]} ..." >&2
  apt-get update -qq
  # policy-rc.d: a server that a package would start on this machine must not run; the tests start their own.
  local policy=/usr/sbin/policy-rc.d made=
  [ -e "$policy" ] || { printf '#!/bin/sh\nexit 101\n' >"$policy"; chmod +x "$policy"; made=1; }
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null || { [ -z "$made" ] || rm -f "$policy"; return 1; }
  [ -z "$made" ] || rm -f "$policy"
}
