#!/usr/bin/env bash
# Faults in the lab, one after the other, with traffic between all stacks and a model of what must be true. See docs/reliability.md.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
  cat <<'TEXT'
Usage: scripts/chaos.sh [--seed S] [--minutes M | --faults N | --at N] [--fault NAME]... [--source NAME] [--out FILE] [--keep]
       scripts/chaos.sh --soak [--minutes M] [--svg FILE] ...

Three hosts with a Docker Engine each, two stacks on each, probes over UDP and TCP between all thirty pairs. A seed decides which fault
comes when and whom it hits. After each, within the time that is promised for it, the routes, neighbours,
forwarding entries and nft elements of every router are exactly the model's, every pair that must be connected is, and nothing went to a
wrong stack.

  --seed S       the same faults in the same order (default: another one every time)
  --minutes M    how long (5)
  --faults N     how many, in place of how long
  --at N         only fault number N of the seed, as a violation names it
  --fault NAME   only these
  --source NAME  how the stacks find each other: multicast (default), etcd (a member on each host), dns (a BIND), gossip; with all but the
                 first, their servers are among what breaks
  --probe-ms MS  time between two probes of a pair (1)
  --out FILE     a line of JSON for each fault
  --soak         churn that ends no daemon; memory, open files and kernel objects of all of them must stay flat
  --svg FILE     a drawing of it
  --keep         uses a lab that is up, and leaves it up
  --plan         prints the faults in their order, and does nothing

Exit status 1: there was a violation. Needs root (docs/lab.md). Environment: LAB, name of the lab (chaos); PREVIOUS, the commit whose images an
upgrade starts from (the last release, or twenty commits ago).
TEXT
}

keep='' plan='' rest=()
for argument in "$@"; do
  case $argument in
    -h | --help) usage && exit 0 ;;
    --keep) keep=1 ;;
    --plan) plan=1 ;;
    *) rest+=("$argument") ;;
  esac
done
export LAB=${LAB:-chaos}
# shellcheck source=scripts/setup.sh
. scripts/setup.sh
setup_node
[ -z "$plan" ] || exec node --import tsx test/chaos/main.ts --plan "${rest[@]}"

finish() { [ -n "$keep" ] || scripts/lab.sh down >/dev/null 2>&1 || true; }
trap finish EXIT
trap 'exit 130' INT TERM HUP

if [ -z "$keep" ] || ! scripts/lab.sh in 3 docker image inspect docker-router-service >/dev/null 2>&1; then
  npm run -s build
  scripts/lab.sh up 3
  scripts/lab.sh load
  for host in 1 2 3; do scripts/lab.sh in "$host" docker build -q -t docker-router-service /repo/test/support/service >/dev/null; done
  test/chaos/previous.sh ${PREVIOUS:+"$PREVIOUS"} || echo "chaos: no earlier images, so no upgrade is tried" >&2
fi
node --import tsx test/chaos/main.ts "${rest[@]}"
