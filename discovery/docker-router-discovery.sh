#!/bin/sh
# docker-router-discovery [COMMAND]: see --help. Every variable can be left to its default.
#
# Settings for little private memory; docs/decisions says what each gains. The heap has a limit so that a leak ends in a restart of
# this process, with forwarding untouched, and not in an OOM kill elsewhere on the host.
lib=/usr/local/lib/docker-router
export MALLOC_ARENA_MAX=1 MALLOC_MMAP_THRESHOLD_=32768 MALLOC_TRIM_THRESHOLD_=32768 MALLOC_TOP_PAD_=0
exec node --max-semi-space-size=1 --max-old-space-size=256 --v8-pool-size=1 --expose-gc --import "$lib/compact.mjs" \
  "$lib/docker-router-discovery.mjs" "$@"
