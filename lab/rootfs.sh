# shellcheck shell=bash
# The root file system of every lab host: built once with mmdebstrap, kept in the cache, used read-only
# as the lower layer of each host's overlay. Sourced, never run.

DEBIAN_SUITE=trixie
DEBIAN_KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg
# Debian 12's docker.io (20.10) has the client in it, and no Compose 2 beside it: that is Debian 13's, like its users install it by hand.
ENGINE_PACKAGES_trixie=(docker.io docker-cli docker-compose docker-buildx)
ENGINE_PACKAGES_bookworm=(docker.io)
CLI_PLUGINS=usr/libexec/docker/cli-plugins
ROOTFS_PACKAGES=(
  iptables ca-certificates tini mount
  iproute2 nftables conntrack ethtool tcpdump iputils-ping netcat-openbsd curl iperf3
  openssh-server openssh-client procps less python3
)

# The machine's own apt sources with the suite replaced. apt has read them already, in either file format.
# LAB_APT_SOURCES ("deb URL trixie main", lines) is for a machine whose apt does not know Debian.
debian_sources() {
  local codename uri release component
  if [[ -n ${LAB_APT_SOURCES:-} ]]; then
    echo "$LAB_APT_SOURCES"
    return
  fi
  codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
  # shellcheck disable=SC2016  # the $( ) are apt's own
  apt-get indextargets 'Created-By: Packages' --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' |
    while read -r uri release component; do
      [[ $component == main && -n $codename ]] || continue
      [[ $release == "$codename" || $release == "$codename"-* ]] || continue
      echo "deb [signed-by=$DEBIAN_KEYRING] $uri ${release/#$codename/$DEBIAN_SUITE} main"
    done | sort -u
}

# mmdebstrap starts from an empty apt configuration, but how this machine reaches its mirror (a proxy,
# a frozen mirror whose release files have expired) is part of using its sources.
apt_acquire_options() { apt-config dump | grep -iE '^Acquire::(https?|Check-|Retries|ForceIPv)[^ ]* "[^"]+";$' || true; }

# What the hosts of this lab run: as `up` was told, else Debian 13.
hosts_suite() { cat "$STATE/suite" 2>/dev/null || echo "$DEBIAN_SUITE"; }

# rootfs_packages SUITE
rootfs_packages() {
  local extra engine=ENGINE_PACKAGES_$1[@]
  read -ra extra <<<"${LAB_PACKAGES:-}"
  printf '%s\n' "${!engine}" "${ROOTFS_PACKAGES[@]}" "${extra[@]}" | sed '/^$/d' | sort -u
}

# Changing the suite or a package gives another key, hence another folder; a folder never changes.
rootfs_path() {
  local suite=${1:-$(hosts_suite)} key
  key=$({ echo "$suite"; rootfs_packages "$suite"; } | sha256sum)
  echo "$CACHE/lab-rootfs-$suite-${key:0:12}"
}

# Afterwards rootfs_path exists. One build at a time on this machine, whichever lab asks. Meant for the background:
# it gives up the lab's lock, and keeps one of its own until it ends.
ensure_rootfs() {
  exec 9>&- # the build may outlive a killed `up`, the lab's lock must not
  # Debian 12's hosts take Compose and Buildx from Debian 13's.
  [[ $1 == "$DEBIAN_SUITE" ]] || ensure_one_rootfs "$DEBIAN_SUITE"
  ensure_one_rootfs "$1"
}

ensure_one_rootfs() {
  local suite=$1 rootfs
  rootfs=$(rootfs_path "$suite")
  [[ ! -d $rootfs ]] || return 0
  exec 8>"$CACHE/lab-rootfs.lock"
  if ! flock --nonblock 8; then
    say "another run is building the hosts' Debian, waiting for it"
    flock 8
  fi
  [[ ! -d $rootfs ]] || return 0
  rm -rf "$CACHE"/lab-rootfs-*.building
  build_rootfs "$suite" "$rootfs.building"
  mv "$rootfs.building" "$rootfs"
}

build_rootfs() {
  local suite=$1 target=$2 sources options option packages start=$SECONDS
  sources=$(DEBIAN_SUITE=$suite debian_sources)
  [[ -n $sources ]] || die "this machine's apt has no Debian source; set LAB_APT_SOURCES='deb URL $suite main'"
  options=()
  while read -r option; do options+=("--aptopt=$option"); done < <(apt_acquire_options)
  packages=$(rootfs_packages "$suite" | paste -sd,)
  say "building Debian $suite for the hosts, once (about half a minute)"
  # In mount and PID namespaces of its own, tied to this process: however the build ends, what it mounted and
  # started ends with it.
  setpriv --pdeathsig KILL unshare --mount --pid --fork --kill-child=KILL --mount-proc \
    mmdebstrap --quiet --mode=root --variant=minbase --include="$packages" \
    --dpkgopt=force-unsafe-io --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' "${options[@]}" "$suite" "$target" - \
    <<<"$sources" || die "mmdebstrap failed, its words are above"
  if [[ $suite != "$DEBIAN_SUITE" ]]; then
    mkdir -p "$target/$CLI_PLUGINS"
    cp "$(rootfs_path "$DEBIAN_SUITE")/$CLI_PLUGINS"/docker-{compose,buildx} "$target/$CLI_PLUGINS/"
  fi
  # Every host writes its own at first boot.
  rm -f "$target/etc/machine-id" "$target/etc/hostname" "$target/etc/resolv.conf" "$target/var/lib/dbus/machine-id"
  say "built in $((SECONDS - start)) s"
}
