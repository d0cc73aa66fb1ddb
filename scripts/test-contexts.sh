#!/usr/bin/env bash
# Can stacks on the hosts of docker-contexts.json be connected? Says what is missing, and what mends it. docs/contexts.md
set -euo pipefail
# Relative to where the caller is.
[[ ${DOCKER_CONTEXTS_FILE:-/} == /* ]] || export DOCKER_CONTEXTS_FILE="$PWD/$DOCKER_CONTEXTS_FILE"
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() {
  cat <<'USAGE'
Usage: scripts/test-contexts.sh [NAME...]
  Checks every enabled context, or those named: ssh, engine and Compose, kernel, clock, and between every pair of hosts
  the tunnel's UDP port and the MTU. Brings the project's images to the hosts for that; starts no stack.

Environment:
  DOCKER_CONTEXTS_FILE  another file than docker-contexts.json
  BASE_IMAGE, PACKAGES  as for scripts/build.sh, which builds the images on the hosts
USAGE
}

for argument in "$@"; do
  case $argument in help | -h | --help) usage && exit 0 ;; esac
done
# shellcheck source=scripts/setup.sh
. scripts/setup.sh
setup_node
exec node --import tsx src/contexts/check-main.ts "$@"
