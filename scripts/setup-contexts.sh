#!/usr/bin/env bash
# The hosts that stacks are rolled out to: docker-contexts.json and Docker's own contexts, in step. docs/contexts.md
set -euo pipefail
# Relative to where the caller is.
[[ ${DOCKER_CONTEXTS_FILE:-/} == /* ]] || export DOCKER_CONTEXTS_FILE="$PWD/$DOCKER_CONTEXTS_FILE"
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() {
  cat <<'USAGE'
Usage: scripts/setup-contexts.sh COMMAND
  add NAME HOST DESCRIPTION COMPOSE_FILE STACK_NAME [--disabled]
                   adds a context, or changes the one of that name
  remove NAME      removes it, and Docker's context if this tool made it
  enable NAME...   the other tools use it
  disable NAME...  they leave it out
  list             what there is

HOST is "local", or ssh://[user@]host[:port]; an IPv6 address stands in brackets.
COMPOSE_FILE is looked for beside docker-contexts.json, then in examples/multi-stack.

  ./scripts/setup-contexts.sh add remote1 ssh://user@192.168.1.100 "Remote host 1" docker-compose.stack-b.yml stack-b

Environment:
  DOCKER_CONTEXTS_FILE  another file than docker-contexts.json
USAGE
}

case ${1:-} in '' | help | -h | --help) usage && exit 0 ;; esac
# shellcheck source=scripts/setup.sh
. scripts/setup.sh
setup_node
exec node --import tsx src/contexts/setup-main.ts "$@"
