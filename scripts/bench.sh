#!/usr/bin/env bash
# Measures what Docker Router costs, against the programs and networks it can be compared with. The figures: docs/performance.md.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# shellcheck source=scripts/setup.sh
. scripts/setup.sh

setup_node
for argument in "$@"; do
  case $argument in --help | -h) exec node --import tsx bench/main.ts --help ;; esac
done
[ "$(id -u)" = 0 ] || { echo 'bench.sh: needs root for network namespaces' >&2; exit 77; }
setup_packages
npm run -s build
exec node --import tsx bench/main.ts "$@"
