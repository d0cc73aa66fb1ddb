#!/usr/bin/env bash
# Builds docker-router-discovery:latest and docker-router:latest.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() {
  cat <<'USAGE'
Usage: scripts/build.sh [--platform linux/amd64|linux/arm64] [--check]
  Builds docker-router-discovery:latest and docker-router:latest with the Docker Engine of this machine.

  --platform  for another processor; the images are then tagged latest-amd64 or latest-arm64
  --check     needs no engine: runs the bundles and their unit tests on the platform's Node.js, by emulation (QEMU)

Environment:
  BASE_IMAGE   node:26-trixie-slim; anything with Node.js 20 or newer and Debian's util-linux
  PACKAGES     apt: install what the base lacks. preinstalled: it lacks nothing, run no command in it
  SKIP_BUNDLE  1: the bundles of the last `npm run build` are good

Without a registry of images, a base can be made from Debian's and npm's packages; for another processor this needs no emulation:
  docker import --platform linux/arm64 "$(scripts/base-image.sh --platform linux/arm64)" docker-router-base:arm64
  BASE_IMAGE=docker-router-base:arm64 PACKAGES=preinstalled scripts/build.sh --platform linux/arm64
USAGE
}

say() { printf 'build: %s\n' "$*" >&2; }

die() {
  printf 'build: %s\n' "$@" >&2
  exit 1
}

BASE_IMAGE=${BASE_IMAGE:-node:26-trixie-slim}
PACKAGES=${PACKAGES:-apt}

main() {
  local platform='' check=''
  while (($#)); do
    case $1 in
      --platform) platform=${2:-} && shift ;;
      --platform=*) platform=${1#*=} ;;
      --check) check=1 ;;
      -h | --help) usage && return ;;
      *) usage >&2 && exit 64 ;;
    esac
    shift || true
  done
  case $platform in
    '' | linux/amd64 | linux/arm64) ;;
    *) die "--platform is linux/amd64 or linux/arm64, not '$platform'" ;;
  esac
  bundle
  if [[ -n $check ]]; then check_bundles "${platform:-$(machine_platform)}"; else build_images "$platform"; fi
}

bundle() {
  if [[ ${SKIP_BUNDLE:-} == 1 ]]; then
    [[ -e discovery/dist && -e router/dist ]] || die "SKIP_BUNDLE=1, but there are no bundles yet: run npm run build"
    return
  fi
  # shellcheck source=scripts/setup.sh
  . scripts/setup.sh
  setup_node
  say "bundling"
  npm run --silent build
}

machine_platform() {
  case $(uname -m) in
    x86_64) echo linux/amd64 ;;
    aarch64 | arm64) echo linux/arm64 ;;
    *) echo "linux/$(uname -m)" ;;
  esac
}

# -- images

build_images() {
  local platform=$1 engine tag=latest other=()
  engine=$(engine_platform)
  [[ -n $platform ]] || platform=$engine
  if [[ $platform != "$engine" ]]; then
    tag=latest-${platform#*/}
    other=(--platform "$platform")
  fi
  ensure_base "$platform"
  # The engine keeps the files' modes, and Discovery is not root: a strict umask must not lock it out.
  chmod -R a+rX discovery router 2>/dev/null || true
  build_image discovery "docker-router-discovery:$tag"
  build_image router "docker-router:$tag"
}

engine_platform() {
  command -v docker >/dev/null ||
    die "there is no docker command. Install Docker Engine (on Debian: apt-get install docker.io docker-buildx)," \
      "or run the bundles without one: scripts/build.sh --check"
  docker version --format '{{.Server.Os}}/{{.Server.Arch}}' 2>/dev/null ||
    die "the Docker Engine does not answer. Is it running, and may you use it? docker version says why." \
      "On this machine the lab has engines: scripts/lab.sh up 1 && scripts/lab.sh load"
}

ensure_base() {
  [[ $(docker image inspect --format '{{.Os}}/{{.Architecture}}' "$BASE_IMAGE" 2>/dev/null) != "$1" ]] || return 0
  say "fetching the base image $BASE_IMAGE for $1"
  docker pull "${other[@]}" "$BASE_IMAGE" >&2 ||
    die "there is no base image $BASE_IMAGE for $1 here or in a registry. Make one:" \
      "  docker import --platform $1 \"\$(scripts/base-image.sh --platform $1)\" docker-router-base:${1#*/}" \
      "  BASE_IMAGE=docker-router-base:${1#*/} PACKAGES=preinstalled scripts/build.sh --platform $1"
}

build_image() {
  local context=$1 name=$2 version revision
  version=$(sed -n 's/^  "version": "\(.*\)",$/\1/p' package.json)
  revision=$(git rev-parse HEAD 2>/dev/null || true)
  say "building $name from $BASE_IMAGE"
  dockerfile "$context" | docker build "${other[@]}" --tag "$name" --file - \
    --build-arg BASE_IMAGE="$BASE_IMAGE" --build-arg PACKAGES="$PACKAGES" \
    --build-arg VERSION="$version" --build-arg REVISION="$revision" "$context" >&2 ||
    die "building $name failed, the engine's words are above." \
      "For another processor an engine emulates (binfmt_misc); without that, see PACKAGES in scripts/build.sh --help."
  say "built $name: $(docker image inspect --format '{{.Size}}' "$name" | awk '{ printf "%.0f MB", $1 / 1e6 }')"
}

# With engine 25 (API 1.44) and newer, health is known a second after the daemon is ready, and not at the first interval.
dockerfile() {
  local api
  api=$(docker version --format '{{.Server.APIVersion}}')
  if [[ $(printf '%s\n' 1.44 "$api" | sort -V | head -n 1) == 1.44 ]]; then
    sed 's/^HEALTHCHECK /&--start-interval=1s /' "$1/Dockerfile"
  else
    cat "$1/Dockerfile"
  fi
}

# -- without an engine

# The bundles and the unit tests on the platform's own Node.js.
check_bundles() (
  local platform=$1 node=(node) work cli tests test failed=0 passed count
  unset NODE_TEST_CONTEXT # set where a test runs this: the results would not be for people
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  trap 'exit 130' INT TERM HUP
  if [[ $platform != "$(machine_platform)" ]]; then
    unpack_base "$platform" "$work/root"
    node=("$(emulator "$platform")" -L "$work/root" "$work/root/usr/local/bin/node")
  fi
  say "$platform: Node.js $("${node[@]}" --version)"
  for cli in discovery/dist/docker-router-discovery.mjs router/dist/docker-router.mjs; do
    "${node[@]}" "$cli" --help >/dev/null || die "$cli does not run on $platform"
    say "$cli runs"
  done
  bundle_tests "$work/tests"
  mapfile -t tests < <(find "$work/tests" -name '*.test.mjs' | sort)
  # One process a file, as many at a time as there are processors: an emulated process cannot start others, which is
  # what node --test would do.
  set -m # a process group, which can be ended as a whole
  xargs -0 -n 1 -P "$(nproc)" bash -c '"${@:1:$#-1}" "${!#}" >"${!#}.output" 2>&1; echo $? >"${!#}.status"' run "${node[@]}" \
    < <(printf '%s\0' "${tests[@]}") &
  set +m
  trap 'kill -- -$! 2>/dev/null; exit 130' INT TERM HUP
  wait $! || true # a trap interrupts this, but not a command in the foreground
  passed=0
  for test in "${tests[@]}"; do
    count=$(sed -n 's/^.* pass \([0-9]*\)$/\1/p' "$test.output" | tail -n 1)
    if [[ $(<"$test.status") == 0 && ${count:-0} -gt 0 ]]; then
      passed=$((passed + count))
      say "$(basename "$test" .mjs): $count passed"
    else
      failed=$((failed + 1))
      cat "$test.output" >&2
    fi
  done
  ((failed == 0)) || die "$failed of ${#tests[@]} test files failed on $platform"
  say "all $passed tests in ${#tests[@]} files passed on $platform"
)

unpack_base() {
  local tar
  tar=$(scripts/base-image.sh --platform "$1" | tail -n 1)
  mkdir "$2"
  tar -xf "$tar" -C "$2" --exclude './dev/*'
}

# Prints QEMU's command for the platform. Debian calls it one or the other, depending on the release.
emulator() {
  local machine=x86_64
  [[ $1 != linux/arm64 ]] || machine=aarch64
  if [[ -z $(command -v "qemu-$machine-static" "qemu-$machine") ]]; then
    [[ $EUID -eq 0 ]] && command -v apt-get >/dev/null || die "qemu-$machine-static is missing (Debian: qemu-user-static)"
    say "installing qemu-user-static"
    apt-get update -qq >&2
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends qemu-user-static >/dev/null
  fi
  command -v "qemu-$machine-static" || command -v "qemu-$machine"
}

# The tests' TypeScript is translated here, natively; what runs there is what would run in the image. Left out: tests that
# start programs, that measure time or memory (emulation is twenty times slower), that read the repository's files by
# their place beside the test, and those of tools that are in no image.
bundle_tests() {
  local files file
  mapfile -t files < <(find test/unit -name '*.test.ts' -exec grep -LE \
    'node:(child_process|timers)|performance\.now|memoryUsage|createServer|createSocket|src/(contexts|embedded)/|/bench/' {} + | sort)
  ((${#files[@]})) || die "there are no unit tests in test/unit"
  node_modules/.bin/esbuild "${files[@]}" --bundle --platform=node --format=esm --target=node20 --outdir="$1" \
    --out-extension:.js=.mjs --log-level=warning \
    --banner:js="import { createRequire } from 'node:module';const require = createRequire(import.meta.url);"
  for file in "$1"/*.test.mjs; do
    # The first line is the banner's. Counted to the end: a grep that leaves early ends the pipe before it, which pipefail takes for a "no".
    if [[ $(tail -n +2 "$file" | grep -cF 'import.meta.') != 0 ]]; then rm "$file"; fi
  done
}

main "$@"
