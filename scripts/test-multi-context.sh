#!/usr/bin/env bash
# Rolls the stacks of docker-contexts.json out to their hosts and measures every path between them. docs/contexts.md
set -euo pipefail
# Relative to where the caller is.
[[ ${DOCKER_CONTEXTS_FILE:-/} == /* ]] || export DOCKER_CONTEXTS_FILE="$PWD/$DOCKER_CONTEXTS_FILE"
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() {
  cat <<'USAGE'
Usage: scripts/test-multi-context.sh [--keep | --down] [NAME...]
  Brings the images to the hosts of every enabled context, or those named, starts their stacks, waits until all see each
  other, and measures each ordered pair over TCP. Then takes down what it has started; a stack that ran before stays.

  --keep  leaves the stacks running
  --down  only takes down what runs of this command have left

  The exit status is 0 only if every path works. Otherwise logs and state of the hosts are in a folder named at the end.

Environment:
  DOCKER_CONTEXTS_FILE  another file than docker-contexts.json
  BASE_IMAGE, PACKAGES  as for scripts/build.sh, which builds the images on the hosts
  TEST_IMAGE, VNI, ...  variables of the compose files
USAGE
}

for argument in "$@"; do
  case $argument in help | -h | --help) usage && exit 0 ;; esac
done
# shellcheck source=scripts/setup.sh
. scripts/setup.sh
setup_node
exec node --import tsx src/contexts/multi-main.ts "$@"
