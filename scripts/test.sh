#!/usr/bin/env bash
# Runs the tests: `./scripts/test.sh` for all levels, `./scripts/test.sh unit kernel` for some of them, or single files.
set -euo pipefail
cd "$(dirname "$0")/.."

# What a run without arguments does: first what counts milliseconds and lost packets, alone; then two lanes side by side, each one level
# after the other, since levels of one lane share parts of the machine.
ALONE=(figures chaos lab engines)
LANE_1=(unit kernel fuzz sources kernels browser)
LANE_2=(contexts examples)
# Only when named: these want the machine for themselves.
EXTRA=(bench long)
LEVELS=("${ALONE[@]}" "${LANE_1[@]}" "${LANE_2[@]}")
usage() {
  cat <<'TEXT'
Usage: scripts/test.sh [LEVEL...]
       scripts/test.sh FILE.test.ts...

  figures   what discovery promises in milliseconds and megabytes, measured; before all else (root)
  chaos     five minutes of faults in a lab of three hosts, against a model, and an upgrade from earlier images (root)
  lab       several hosts with a Docker Engine each, on this machine (root; see docs/lab.md)
  engines   the conformance suite of Serf, and failures of etcd, BIND and Serf at length (root)
  unit      pure parts, with property tests; types and style (no root)
  kernel    real kernel objects in network namespaces, and quickstart.sh (root)
  fuzz      two seconds of fuzzing of each parser, its corpus, 100,000 of each kind of false announcement, and a flood of datagrams (root)
  sources   the conformance suite of the discovery sources against the real thing: multicast, etcd, BIND (root)
  kernels   the daemons on Debian's stock kernels 6.1 and 6.12, in QEMU (root)
  browser   the map's page in a headless Chromium (root, to install it)
  contexts  several hosts driven over SSH from a fourth, in the lab (root)
  examples  every compose file of examples/ started as its README says, in the lab (root)
  bench     that the benchmark runs; only when named (root)
  long      what takes a quarter of an hour: cuts of five minutes, 200 members of a gossip; only when named (root)

The first four have the machine for themselves. Then the six from unit on run beside the last two; what a level prints is shown when it ends.
Installs what is missing: npm packages, and Debian packages by apt-get when root.
With CI=true nothing may be skipped.
TEXT
}

wanted=() files=()
for argument in "$@"; do
  case $argument in
    --help | -h) usage; exit 0 ;;
    *.test.ts) files+=("$argument") ;;
    *)
      if [[ " ${LEVELS[*]} ${EXTRA[*]} " != *" $argument "* ]]; then
        echo "test.sh: no such level: $argument (there are: ${LEVELS[*]} ${EXTRA[*]})" >&2
        exit 64
      fi
      wanted+=("$argument")
      ;;
  esac
done
[ ${#files[@]} -eq 0 ] || wanted+=(files)
[ ${#wanted[@]} -gt 0 ] || wanted=("${LEVELS[@]}")
wants() { [[ " ${wanted[*]} " == *" $1 "* ]]; }

say() { printf '\n== %s\n' "$*" >&2; }
# shellcheck source=scripts/setup.sh
. scripts/setup.sh

logs=$(mktemp -d "${TMPDIR:-/tmp}/docker-router-test.XXXXXX")
# Labs of names of our own, one for each lane, so that one that a person has up stays.
lab=${LAB:-test}
lanes=()
finish() {
  for lane in "${lanes[@]}"; do kill -- "-$lane" 2>/dev/null || true; done
  wait
  rm -rf "$logs"
  # An interrupted run ends its hosts too; after a whole one there is nothing left to end.
  if [ "$(id -u)" = 0 ]; then for number in 1 2; do LAB=$lab$number scripts/lab.sh down >/dev/null 2>&1 || true; done; fi
}
trap finish EXIT
trap 'exit 130' INT TERM HUP

# Runs the test files of the given folders, one after the other, since most of them own a part of the machine.
run_tests() {
  local level=$1 concurrency=$2
  shift 2
  local files
  mapfile -t files < <(find "$@" -name '*.test.ts' 2>/dev/null | sort)
  if [ ${#files[@]} -eq 0 ]; then echo "no test files in $*" >&2; return 1; fi
  node --import tsx --test --test-concurrency="$concurrency" --test-reporter=spec --test-reporter-destination=stdout \
    --test-reporter=./scripts/count-reporter.mjs --test-reporter-destination="$logs/$level.count" "${files[@]}"
}

level_unit() { npm run -s check && run_tests unit 2 test/unit test/images; }
level_browser() { run_tests browser 1 test/browser; }
level_kernel() { run_tests kernel 1 test/kernel; }
# One commit, one seed: what CI finds it finds again.
level_fuzz() {
  local seed=${FUZZ_SEED:-} commit
  commit=$(git rev-parse --short=7 HEAD 2>/dev/null || echo 1)
  if [ -z "$seed" ] && [ "${CI:-}" = true ]; then seed=$((16#${commit:0:7})); fi
  if [ -n "$seed" ]; then FUZZ_SEED=$seed run_tests fuzz 1 test/fuzz; else run_tests fuzz 1 test/fuzz; fi
}
level_kernels() { run_tests kernels 1 test/kernels; }
# Once more with keys and identities, in short: what lies somewhere lies there sealed. Multicast's is in the lab.
level_sources() {
  local failures=0
  run_tests sources 1 test/conformance/{multicast,etcd,dns}.test.ts || failures=1
  CONFORMANCE_TRUST=1 CONFORMANCE_SHORT=1 run_tests sealed 1 test/conformance/{etcd,dns,gossip}.test.ts || failures=1
  return "$failures"
}
# First, and one after the other, what states how soon something must happen; the rest mostly waits.
level_figures() { run_tests figures 1 test/etcd/figures.test.ts; }
level_engines() {
  local failures=0
  run_tests engines-bounds 1 test/conformance/gossip.test.ts test/{dns,gossip}/hosts.test.ts || failures=1
  run_tests engines 3 test/etcd test/dns test/gossip ! -name hosts.test.ts ! -name figures.test.ts || failures=1
  return "$failures"
}
level_chaos() { run_tests chaos 1 test/chaos; }
level_long() { run_tests long 1 test/long; }
level_contexts() { run_tests contexts 1 test/contexts; }
level_bench() { run_tests bench 1 test/bench; }
level_lab() { run_tests lab 1 test/lab; }
level_examples() { run_tests examples 1 test/examples; }
level_files() { run_tests files 1 "${files[@]}"; }

fail() { echo "$1" >>"$logs/failed"; }
run_level() {
  local level=$1
  if [[ $level != unit && $level != files ]] && [ "$(id -u)" != 0 ]; then
    echo "skipped $level: needs root for network namespaces"
    [ "${CI:-}" != true ] || fail "$level"
    return
  fi
  say "level $level"
  local began=$SECONDS
  "level_$level" || fail "$level"
  say "level $level took $((SECONDS - began)) s"
}

# run_lane NUMBER LEVEL...: those that are wanted, each with its output in one piece where another lane prints too.
run_lane() {
  export LAB=$lab$1
  shift
  for level in "$@"; do
    wants "$level" || continue
    if [ -z "$side_by_side" ]; then run_level "$level"; continue; fi
    echo "level $level began" >&2
    run_level "$level" >"$logs/$level.output" 2>&1
    flock "$logs" cat "$logs/$level.output"
  done
}
wants_any() { for level in "$@"; do if wants "$level"; then return 0; fi; done; return 1; }

setup_node
npm run -s build
# Before the lanes part: apt-get in both at once would find the other's lock.
needs() { REQUIRED_COMMANDS+=$'\n'"$1"; }
if wants kernel || wants files; then needs 'prometheus prometheus'; fi
if wants browser; then needs 'chromium chromium'; fi
if wants kernels; then for pair in 'qemu-system-x86_64 qemu-system-x86' 'cpio cpio' 'depmod kmod' 'xz xz-utils'; do needs "$pair"; done; fi
if wants examples; then needs 'qemu-aarch64-static qemu-user-static'; fi
[ "$(id -u)" != 0 ] || setup_packages

side_by_side=
run_lane 1 "${ALONE[@]}"
if wants_any "${LANE_1[@]}" && wants_any "${LANE_2[@]}"; then side_by_side=yes; fi
if [ -n "$side_by_side" ]; then
  # Job control gives each lane a process group, by which an interrupted run ends all that the lane has started.
  set -m
  run_lane 1 "${LANE_1[@]}" & lanes+=($!)
  run_lane 2 "${LANE_2[@]}" & lanes+=($!)
  set +m
  wait "${lanes[@]}"
else
  run_lane 1 "${LANE_1[@]}"
  run_lane 2 "${LANE_2[@]}"
fi
run_lane 1 "${EXTRA[@]}" files

total() { find "$logs" -name '*.count' -exec head -qn 1 {} + | awk -v column="$1" '{ sum += $column } END { print sum + 0 }'; }
skipped=$(total 3)
if [ "${CI:-}" = true ] && [ "$skipped" -gt 0 ]; then fail "$skipped skipped tests"; fi
# Once more at the end, where whoever looks finds it first.
if [ "$(total 2)" -gt 0 ]; then echo; tail -qn +2 "$logs"/*.count; fi
[ ! -e "$logs/failed" ] || printf '\nfailed: %s\n' "$(paste -sd' ' "$logs/failed")"
printf '\n%s passed, %s failed, %s skipped\n' "$(total 1)" "$(total 2)" "$skipped"
[ ! -e "$logs/failed" ] && [ "$(total 2)" = 0 ] && [ "$(total 1)" -gt 0 ]
