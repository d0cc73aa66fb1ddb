#!/usr/bin/env bash
# Several hosts on one machine, each with a Docker Engine of its own. How and why: docs/lab.md.
set -euo pipefail

REPO=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
for part in common rootfs cgroup network host; do
  # shellcheck source=/dev/null
  . "$REPO/lab/$part.sh"
done

usage() {
  cat <<'USAGE'
Usage: scripts/lab.sh COMMAND
  up [N] [--bridge-nf 0|1] [--suite trixie|bookworm]
                            N hosts (default 2), each with its own running Docker Engine; ends a previous lab first.
                            trixie: Debian 13 and Engine 26.1; bookworm: Debian 12 and Engine 20.10
  load                      builds the project's images and loads them into every host
  in I COMMAND...           runs COMMAND inside host I (the first is 1)
  outside COMMAND...        runs COMMAND outside the hosts, at 10.77.0.254 and 10.99.0.1
  link I up|down            plugs in or pulls out host I's cable
  off I                     ends host I at once, as when power fails
  on I                      boots host I again, with its disk as it was
  log I                     what host I and its engine have printed
  status                    what is up
  down                      ends everything and leaves no trace but the cache

Host I has 10.77.0.I on eth0. The repository is /repo inside, read-only.
Environment:
  LAB                  name of the lab (default); labs of different names do not see each other
  LAB_BRIDGE_NF        net.bridge.bridge-nf-call-iptables in the hosts, 0 (default) or 1
  LAB_PACKAGES         further Debian packages inside the hosts
  DOCKER_ROUTER_CACHE  what is worth keeping (/var/cache/docker-router)
USAGE
}

main() {
  local command=${1:-} name
  (($# == 0)) || shift
  case $command in
    help | -h | --help) usage && return ;;
    up | load | in | outside | link | off | on | log | status | down) ;;
    *) usage >&2 && exit 64 ;;
  esac
  check_lab_name
  require_root
  case $command in
    in | link | off | on | log)
      name=$(host_name "${1:-}")
      shift
      ;;
  esac
  case $command in
    up | down | status) . "$REPO/lab/commands.sh" && "lab_$command" "$@" ;;
    load) . "$REPO/lab/load.sh" && load_images ;;
    in) enter "$name" "${@:-bash}" ;;
    outside) enter "$OUTSIDE" "${@:-bash}" ;;
    link) set_link "$name" "${1:-}" ;;
    off) power_off "$name" ;;
    on) power_on "$name" ;;
    log) cat "$STATE/$name/log" ;;
  esac
}

main "$@"
