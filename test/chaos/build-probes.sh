#!/usr/bin/env bash
# Makes dist/chaos/probes of probes.c, as one file that runs in every container. Installs the compiler where it is missing.
set -euo pipefail
cd "$(dirname "$0")/../.."
out=dist/chaos/probes
if [ "$out" -nt test/chaos/probes.c ]; then exit 0; fi
# shellcheck source=scripts/setup.sh
. scripts/setup.sh
# The C library's package brings the archive that a static program needs; a compiler alone does not.
REQUIRED_COMMANDS=$'gcc gcc\n'
[ -e "/usr/lib/$(uname -m)-linux-gnu/libc.a" ] || REQUIRED_COMMANDS+=$'no-libc-archive libc6-dev\n'
setup_packages
mkdir -p "${out%/*}"
gcc -O2 -Wall -Wextra -static -o "$out.$$" test/chaos/probes.c
mv "$out.$$" "$out"
