#!/bin/sh
# entrypoint [COMMAND]: without a command, or with `run`, the daemon; everything else is a command of docker-router-discovery.
# Started as root it only takes over the shared folder, and then is root no more: no file of Node.js is read before.
set -eu

data=/var/lib/docker-router
user=10001

fail() {
  printf 'docker-router-discovery: %s\n' "$@" >&2
  exit 78
}

# No capability now or later, no group, no way back.
drop="setpriv --reuid=$user --regid=$user --clear-groups --inh-caps=-all --bounding-set=-all --no-new-privs"

# Docker makes the folder of a bind mount as root's. The router is root without DAC_OVERRIDE, hence the group's right to write.
take_over() {
  [ "$(stat -c %u:%a "$data")" = "$user:775" ] && return
  chmod 775 "$data" && chown "$user:0" "$data"
}

# The same for the identity's folder, which is nobody else's.
take_over_identity() {
  [ -n "${IDENTITY_DIR:-}" ] || return 0
  [ "$(stat -c %u:%a "$IDENTITY_DIR")" = "$user:700" ] && return
  chmod 700 "$IDENTITY_DIR" && chown "$user:$user" "$IDENTITY_DIR"
}

# Docker's own files in the container lie in a folder that bears the container's id.
container() {
  id=$(sed -n 's|.*containers/\([0-9a-f]\{12\}\)[0-9a-f]*/.*|\1|p' /proc/self/mountinfo | head -n 1)
  echo "${id:-CONTAINER}"
}

if [ "$(id -u)" = 0 ]; then
  $drop true || fail "started as root with no right to become another user. Add to the service: user: \"$user:$user\""
  if [ "${1:-run}" = run ]; then
    take_over || fail "cannot take over $data. Is the volume mounted read-only (:ro)?"
    take_over_identity || fail "cannot take over IDENTITY_DIR ($IDENTITY_DIR). Is a volume mounted there, and not read-only?"
  fi
  exec $drop "$0" "$@"
fi

# `run --help` too: only the daemon itself needs what follows.
[ "$*" = run ] || [ $# = 0 ] || exec tini -s -- docker-router-discovery "$@"

[ -w "$data" ] ||
  fail "user $(id -u) cannot write in $data." \
    "  Is the volume mounted read-only (:ro)? If not, this line on the host gives it to both containers:" \
    "  docker run --rm --user 0 --volumes-from $(container) --entrypoint sh docker-router-discovery -c 'chown $user:0 $data && chmod 775 $data'"

# -s: reap what loses its parent even where another init (docker run --init) is process 1.
exec tini -s -- /usr/local/lib/docker-router/supervise docker-router-discovery run
