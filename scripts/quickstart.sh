#!/usr/bin/env bash
# Docker Router's main job in one command. This part prepares the machine; the run itself is src/embedded.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() {
  cat <<'TEXT'
Usage: sudo ./scripts/quickstart.sh [OPTION]

Starts three stacks that have never heard of each other, lets Docker Router connect them, and measures every path between their services:
every ordered pair with its address, round trip and TCP throughput. Then it takes everything down again.

With a Docker Engine and images at hand: the stacks of examples/multi-stack on that engine. Otherwise an embedded run: the same two
daemons per stack on two hosts made of network namespaces, with real VXLAN between them. That needs root, Node.js 20 or newer, iproute2
and nftables; what is missing of the packages is installed. The machine's own network stays as it is.

  --keep       leave it up, and say what to try
  --check      measure the paths of one that is up, for instance after breaking something
  --down       remove every trace of one that is up
  --embedded   do not look for a Docker Engine
  --help       this text

The last line is "connected: 6/6 paths", and the exit status 0, only if every path works.

Environment:
  QUICKSTART_PREFIX  first part of all names, drq; runs with different prefixes do not see each other
  LOG_LEVEL, ...     in an embedded run the variables of the daemons reach all of them (see the README)
TEXT
}

for argument in "$@"; do
  case $argument in
    -h | --help) usage && exit 0 ;;
    --keep | --check | --down | --embedded) ;;
    *) echo "quickstart: no such option: $argument" >&2 && usage >&2 && exit 64 ;;
  esac
done

die() {
  printf 'quickstart: %s\n' "$1" >&2
  exit "$2"
}

# A root shell without a login may lack the folders where ip and nft are.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

((EUID == 0)) || die "needs root, to make network namespaces: sudo ./scripts/quickstart.sh" 77
if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
  die "needs Node.js 20 or newer with npm (https://nodejs.org); if your own user has it: sudo env PATH=\"\$PATH\" ./scripts/quickstart.sh" 69
fi
(($(node -p 'process.versions.node.split(".")[0]') >= 20)) || die "needs Node.js 20 or newer; this is $(node --version)" 69

# step LABEL COMMAND...: one line with the time it took, as src/embedded/progress.ts has it. While it runs, the time so far and the
# last that the command said; all of its last words when it fails.
step() {
  local label=$1 log pid began=$SECONDS elapsed noted=0 status=0
  shift
  log=$(mktemp)
  "$@" >"$log" 2>&1 </dev/null &
  pid=$!
  trap 'kill "$pid" 2>/dev/null; rm -f "$log"; exit 130' INT TERM HUP
  while kill -0 "$pid" 2>/dev/null; do
    elapsed=$((SECONDS - began))
    if [[ -t 1 ]]; then
      printf '\r\033[2K%.*s' "$((${COLUMNS:-80} - 1))" "  … $label  $elapsed s  $(tail -n 1 "$log")"
    elif ((elapsed >= 2 && elapsed >= noted + 10 || elapsed == 2 && noted == 0)); then
      printf '  … %s  %d s  %s\n' "$label" "$elapsed" "$(tail -n 1 "$log")"
      noted=$elapsed
    fi
    sleep 0.5
  done
  wait "$pid" || status=$?
  trap - INT TERM HUP
  [[ ! -t 1 ]] || printf '\r\033[2K'
  if ((status)); then
    printf '  ✗ %s\n' "$label"
    tail -n 20 "$log" | sed 's/^/    /' >&2
    rm -f "$log"
    die "$label failed" 69
  fi
  rm -f "$log"
  printf '  ✓ %s  %d s\n' "$label" $((SECONDS - began))
}

install_packages() {
  apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@"
}

missing=()
command -v ip >/dev/null || missing+=(iproute2)
command -v nft >/dev/null || missing+=(nftables)
if ((${#missing[@]})); then
  command -v apt-get >/dev/null || die "needs ${missing[*]}, and there is no apt-get to install it with" 69
  step "Debian packages: ${missing[*]}" install_packages "${missing[@]}"
fi
if [[ ! -d node_modules || package-lock.json -nt node_modules/.package-lock.json ]]; then
  step 'npm packages (npm ci)' npm ci --no-audit --no-fund --loglevel=http
fi

# exec: signals reach the program that cleans up, and none in between.
exec node --import tsx src/embedded/main.ts "$@"
