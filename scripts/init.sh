#!/usr/bin/env bash
# docker-router init from the repository: run it in the folder of your compose file. --help says more.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
if [ ! -e "$root/router/dist/docker-router.mjs" ]; then
  (
    cd "$root"
    # shellcheck source=scripts/setup.sh
    . scripts/setup.sh
    setup_node
    npm run --silent build
  ) >&2
fi
exec node "$root/router/dist/docker-router.mjs" init "$@"
