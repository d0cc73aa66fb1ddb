#!/bin/sh
# docker-router COMMAND: the commands for this container's operator, such as `docker-router trust list`.
[ $# -gt 0 ] || set -- --help
exec /usr/local/lib/docker-router/entrypoint "$@"
