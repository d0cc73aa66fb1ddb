# shellcheck shell=bash disable=SC2034
# What every part of the lab shares: names, places, words on the screen. Sourced, never run.

LAB=${LAB:-default}
CACHE=${DOCKER_ROUTER_CACHE:-/var/cache/docker-router}

STATE_ROOT=/run/docker-router-lab
STATE=$STATE_ROOT/$LAB     # what runs now: a folder per host with its pid and its log
DISKS=$CACHE/lab/$LAB      # the hosts' disks; they outlive `off`, not `down`
OUTSIDE=outside            # the namespace that stands for everything that is not a lab host

NETWORK=10.77.0            # host I is .I; every lab may use the same one, they share no wire
GATEWAY=$NETWORK.254
INTERNET=10.99.0.1         # an address no host has a route to, except its default route
MAX_HOSTS=200

say() { printf 'lab: %s\n' "$*" >&2; }

die() {
  printf 'lab: %s\n' "$*" >&2
  exit 1
}

check_lab_name() {
  [[ $LAB =~ ^[a-z0-9][a-z0-9-]{0,30}$ ]] ||
    die "LAB='$LAB' is no name for a lab: lower-case letters, digits and dashes, at most 31"
  # Every control group of version 1 holds a file of this name.
  [[ $LAB != tasks ]] || die "LAB='tasks' is no name for a lab: control groups have a file called so"
}

require_root() { [[ $EUID -eq 0 ]] || die "needs root: it makes namespaces and mounts"; }

# A host is known by its number on the command line and by its name everywhere else.
host_name() {
  [[ $1 =~ ^[1-9][0-9]{0,2}$ && $1 -le $MAX_HOSTS ]] || die "'$1' is not the number of a host (1 is the first)"
  [[ -d $STATE/host$1 ]] || die "lab '$LAB' has no host $1 (see: scripts/lab.sh status)"
  echo "host$1"
}

# Prints the pid, in the machine's numbering, of a running host's first process; fails when it is off.
# The number alone proves nothing, it may have been given to another process: its cgroup has to be the host's.
host_pid() {
  local pid line
  read -r pid 2>/dev/null <"$STATE/$1/pid" || return 1
  while read -r line; do
    [[ $line == *"/docker-router-lab/$LAB/$1" || $line == *"/docker-router-lab/$LAB/$1/"* ]] || continue
    echo "$pid"
    return 0
  done 2>/dev/null <"/proc/$pid/cgroup"
  return 1
}

host_count() {
  local count
  read -r count 2>/dev/null <"$STATE/hosts" || die "lab '$LAB' is not up (scripts/lab.sh up N)"
  echo "$count"
}

# wait_until SECONDS COMMAND...: tries every 50 ms.
wait_until() {
  local deadline=$((${EPOCHREALTIME/./} + $1 * 1000000))
  shift
  until "$@"; do
    ((${EPOCHREALTIME/./} < deadline)) || return 1
    sleep 0.05
  done
}

# Two runs that change the same lab take turns. The lock is a file in the cache, so that nothing
# remains in /run; whoever starts a process that stays must close descriptor 9 in it.
lock_lab() {
  mkdir -p "$CACHE"
  exec 9>"$CACHE/lab-$LAB.lock"
  flock --nonblock 9 && return
  say "another run is busy with lab '$LAB', waiting for it"
  flock --timeout 300 9 || die "lab '$LAB' is still busy after 5 minutes"
}

# Debian's names for what the lab calls on the machine itself.
install_missing_tools() {
  local pair missing=()
  for pair in ip:iproute2 mmdebstrap:mmdebstrap unshare:util-linux nsenter:util-linux setpriv:util-linux \
    flock:util-linux mount:mount awk:mawk sha256sum:coreutils find:findutils; do
    command -v "${pair%%:*}" >/dev/null || missing+=("${pair##*:}")
  done
  [[ -r $DEBIAN_KEYRING ]] || missing+=(debian-archive-keyring)
  ((${#missing[@]})) || return 0
  command -v apt-get >/dev/null || die "this machine lacks: ${missing[*]} (and has no apt-get to install them)"
  say "installing ${missing[*]}"
  apt-get update -qq >&2
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}
