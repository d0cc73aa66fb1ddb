#!/bin/sh
# serf COMMAND...: Serf's own command, for looking at this stack's gossip (`serf members`) and changing its keys (`serf keys`).
# The agent's RPC listens on a port and with a token that differ at every start; the daemon writes both where only its user can read.
rpc=${HEALTH_FILE:-/run/docker-router/health}.serf/rpc.env

case ${1:-} in
  agent) ;; # the daemon's own
  *)
    if [ -r "$rpc" ]; then
      set -a
      . "$rpc"
      set +a
    else
      echo "serf: cannot read $rpc. Is DISCOVERY_MODE=gossip set, and are you the daemon's user (docker exec --user 10001)?" >&2
    fi
    ;;
esac
exec /usr/bin/serf "$@"
