#!/usr/bin/env bash
# Property-based fuzzing of every parser that faces a network, a file, the kernel's tools or the environment.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
  cat <<'TEXT'
Usage: scripts/fuzz.sh [--cases N] [--seed S] [--target NAME]...

Damages good inputs of each parser, N times each (100,000), and checks that it refuses in words or accepts what is sound.
The same seed makes the same cases. An input that shows a violation is kept in test/fuzz/corpus/NAME, and every later run,
also that of scripts/test.sh, begins with it. Exit status 1: there was a violation.
TEXT
}

for argument in "$@"; do
  case $argument in -h | --help) usage && exit 0 ;; esac
done
# shellcheck source=scripts/setup.sh
. scripts/setup.sh
setup_node
exec node --import tsx test/fuzz/main.ts "$@"
