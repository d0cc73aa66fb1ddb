#!/bin/sh
# entrypoint [COMMAND]: without a command, or with `run`, the daemon; everything else is a command of docker-router.
set -eu

data=/var/lib/docker-router
discovery=10001

fail() {
  printf 'docker-router: %s\n' "$@" >&2
  exit 78
}

# Docker's own files in the container lie in a folder that bears the container's id.
container() {
  id=$(sed -n 's|.*containers/\([0-9a-f]\{12\}\)[0-9a-f]*/.*|\1|p' /proc/self/mountinfo | head -n 1)
  echo "${id:-CONTAINER}"
}

# `run --help` too: only the daemon itself needs what follows.
[ "$*" = run ] || [ $# = 0 ] || exec tini -s -- docker-router "$@"

# Docker makes the folder of a bind mount as root's; Discovery is another user and has to write there too. With
# cap_drop: [ALL] the router cannot give it away, then Discovery's own start does, or says what to do.
if [ "$(stat -c %u "$data")" = 0 ]; then
  chmod 775 "$data" 2>/dev/null && chown "$discovery:0" "$data" 2>/dev/null || true
fi

# Root without DAC_OVERRIDE is one user among others.
[ -w "$data" ] ||
  fail "cannot write in $data." \
    "  Is the volume mounted read-only (:ro)? If not, this line on the host gives it to both containers:" \
    "  docker run --rm --user 0 --volumes-from $(container) --entrypoint sh docker-router -c 'chown $discovery:0 $data && chmod 775 $data'"

# -s: reap what loses its parent even where another init (docker run --init) is process 1.
exec tini -s -- /usr/local/lib/docker-router/supervise docker-router run
