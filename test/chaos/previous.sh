#!/usr/bin/env bash
# Builds the images of an earlier commit, tagged `previous`, and gives them to all hosts of the lab that is up: what an upgrade starts from.
#   previous.sh [COMMIT]    the last release; while there is none, the commit twenty before this one
set -euo pipefail
cd "$(dirname "$0")/../.."

commit=${1:-$(git describe --tags --abbrev=0 HEAD^ 2>/dev/null || git rev-list --first-parent --max-count=1 --skip=20 HEAD)}
if [ -z "$commit" ]; then echo "previous.sh: this copy of the repository has no earlier commit" >&2; exit 1; fi
folder=$(mktemp -d "${TMPDIR:-/tmp}/docker-router-previous.XXXXXX")
trap 'rm -rf "$folder"' EXIT
trap 'exit 130' INT TERM HUP
git archive "$commit" | tar -x -C "$folder"
ln -s "$PWD/node_modules" "$folder/node_modules"
npm --prefix "$folder" run --silent build
for pair in discovery:docker-router-discovery router:docker-router; do
  context=${pair%%:*} image=${pair##*:}:previous
  tar -C "$folder/$context" -c . |
    scripts/lab.sh in 1 docker build -q -t "$image" --build-arg BASE_IMAGE=docker-router-base:latest --build-arg VERSION=previous - >/dev/null
done
images=(docker-router-discovery:previous docker-router:previous)
hosts=$(scripts/lab.sh status 2>/dev/null | grep -c '^host')
for ((host = 2; host <= hosts; host++)); do
  scripts/lab.sh in 1 docker save "${images[@]}" | scripts/lab.sh in "$host" docker load --quiet >/dev/null
done
echo "previous images: $(git log -1 --format='%h %s' "$commit")"
