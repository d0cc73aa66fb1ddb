#!/usr/bin/env bash
# Runs inside a lab host: keeps its Docker Engine running, as a service manager would. Ending the engine in a host
# (`pkill dockerd`) therefore restarts it.
set -euo pipefail

main() {
  ulimit -n 1048576 2>/dev/null || true
  while true; do
    # Left by an engine that was killed; its number may belong to something else by now.
    rm -f /run/docker.pid
    dockerd || echo "dockerd ended with exit code $?" >&2
    sleep 0.2
  done
}

main "$@"
