#!/bin/sh
# Healthy when the daemon said so a moment ago. It writes `STATUS UPTIME_SECONDS MESSAGE` every 5 s: an old file means that it
# hangs or is gone. Only what the shell has built in, so that a check costs one small process.
MAX_AGE_S=15
file=${HEALTH_FILE:-/run/docker-router/health}

unhealthy() {
  echo "$1"
  exit 1
}

[ -r "$file" ] || unhealthy "no sign of life yet ($file does not exist)"
read -r status written message <"$file" || unhealthy "$file is not readable"
read -r now _ </proc/uptime
case $written in '' | *[!0-9]*) unhealthy "$file is damaged" ;; esac
age=$((${now%%.*} - written))
[ "$age" -le "$MAX_AGE_S" ] || unhealthy "no sign of life for $age s (last: $status, $message)"
[ "$status" = ok ] || unhealthy "$status: $message"
echo "$message"
