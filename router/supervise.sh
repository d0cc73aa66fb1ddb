#!/bin/sh
# supervise COMMAND...: runs the daemon, and starts it again when it dies.
#
# Docker could restart the container instead, but a container's network namespace ends with it: the tunnel, the routes and
# the gateway address would go, and every connection of the stack with them, because one process crashed. So the
# container outlives the process; what it programmed into the kernel goes on forwarding until it is back.
# A shell, because it needs 0.2 MB where a second Node.js needs 8.
set -u

# Final, that is, the container's exit code as well: stopped, a configuration that cannot work, a file that cannot be run.
final() { case $1 in 0 | 64 | 78 | 126 | 127) true ;; *) [ -n "$stopping" ] ;; esac }

# A process that lived this long did not die of its start: the next start is immediate.
LONG_S=10
MAX_DELAY_S=5

stopping=
interrupted=
child=

stop() {
  stopping=1
  interrupted=1
  [ -z "$child" ] || kill -TERM "$child" 2>/dev/null
}
trap stop TERM INT HUP

# A child that is still the shell's copy, between fork and exec, swallows a signal; the daemon ignores a second one.
remind() {
  { sleep 0.2 && kill -TERM "$child"; } >/dev/null 2>&1 &
}

run() {
  interrupted=
  "$@" &
  child=$!
  # A signal between the fork and the line above found no child to pass it on to.
  [ -z "$stopping" ] || { stop && remind; }
  wait "$child"
  status=$?
  # A trapped signal ends `wait` early; then the child is still there and has to be waited for again.
  # 127: the first wait had collected it already.
  while [ -n "$interrupted" ]; do
    interrupted=
    remind
    wait "$child"
    again=$?
    [ "$again" = 127 ] || status=$again
  done
}

uptime() {
  read -r now _ </proc/uptime
  now=${now%%.*}
}

delay=0
while :; do
  uptime
  started=$now
  run "$@"
  if final "$status"; then exit "$status"; fi
  uptime
  [ $((now - started)) -lt "$LONG_S" ] || delay=0
  reason="exit code $status"
  [ "$status" -le 128 ] || reason="signal $((status - 128))"
  if [ "$delay" = 0 ]; then
    echo "$1: the process ended ($reason); starting it again" >&2
  else
    echo "$1: the process ended ($reason); starting it again in $delay s" >&2
    run sleep "$delay"
  fi
  [ -z "$stopping" ] || exit 0
  delay=$((delay * 2 + 1))
  [ "$delay" -le "$MAX_DELAY_S" ] || delay=$MAX_DELAY_S
done
