#!/usr/bin/env bash
# Runs a command inside a stock Debian kernel, in QEMU. Works without KVM, as root or not once the cache is filled.
#
#   test/qemu/kernel.sh [--suite bookworm|trixie] [--add SOURCE:TARGET]... [--timeout SECONDS] -- COMMAND [ARGUMENT...]
#
# bookworm is Linux 6.1, trixie is Linux 6.12. The user land is the base of the project's images (scripts/base-image.sh: bash, iproute2,
# nftables, Node.js, ...) with kmod, wireguard-tools and tcpdump, so a command meets what a container on such a host meets. The command
# runs as root, in / of a machine of its own, with no network but what it makes there; modules load by themselves. Its output comes out
# here, and its exit status is this one's (124: out of time). --add puts a file or a folder of the repository at an absolute path inside.
#
#   test/qemu/kernel.sh --suite bookworm -- sh -c 'uname -r; ip link add wg0 type wireguard && ip link show wg0'
#   test/qemu/kernel.sh --add test/some.sh:/some.sh -- bash /some.sh
#
# For tests in TypeScript: test/qemu/kernel.ts bundles an entry file and its imports and runs it in there.
set -euo pipefail

REPO=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
# shellcheck source=lab/common.sh
. "$REPO/lab/common.sh"
# shellcheck source=lab/rootfs.sh
. "$REPO/lab/rootfs.sh"
TOOLS_SUITE=$DEBIAN_SUITE
TOOLS=kmod,wireguard-tools,tcpdump
MEMORY_MB=3072

say() { printf 'kernel: %s\n' "$*" >&2; }
die() { say "$*" && exit 1; }

usage() { sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; }

install_tools() {
  local pair missing=()
  for pair in qemu-system-x86_64:qemu-system-x86 cpio:cpio depmod:kmod mmdebstrap:mmdebstrap xz:xz-utils flock:util-linux; do
    PATH=$PATH:/usr/sbin:/sbin command -v "${pair%%:*}" >/dev/null || missing+=("${pair##*:}")
  done
  ((${#missing[@]})) || return 0
  [[ $EUID -eq 0 ]] || die "this machine lacks: ${missing[*]}"
  say "installing ${missing[*]}"
  apt-get update -qq >&2
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# extract SUITE PACKAGES FOLDER: unpacks packages and what they depend on; nothing of them is run.
extract() {
  local sources options=() option
  sources=$(DEBIAN_SUITE=$1 debian_sources)
  while read -r option; do options+=("--aptopt=$option"); done < <(apt_acquire_options)
  mmdebstrap --quiet --variant=extract --include="$2" --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' "${options[@]}" \
    "$1" "$3" ${sources:+-} <<<"$sources" >&2 || die "mmdebstrap failed, its words are above"
}

archive() { (cd "$1" && find . -print0 | cpio --null --quiet --create --format=newc --owner=0:0); }

# once TARGET COMMAND...: runs COMMAND with a temporary folder, in which it leaves `result`; the target appears whole or not at all.
once() (
  local target=$1 work
  shift
  [[ ! -e $target ]] || return 0
  mkdir -p "$CACHE"
  exec 9>"$CACHE/kernel.lock"
  flock 9
  [[ ! -e $target ]] || return 0
  work=$(mktemp -d "$CACHE/kernel-work.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  trap 'exit 130' INT TERM HUP
  say "making ${target##*/}, once"
  "$@" "$work"
  mv "$work/result" "$target"
)

# Only network, cryptography and what they stand on: the rest would be unpacked at every boot for nothing.
MODULE_FOLDERS=(kernel/net kernel/lib kernel/crypto kernel/arch kernel/drivers/net kernel/drivers/char)

make_kernel() {
  local suite=$1 work=$2 from version modules folder
  extract "$suite" linux-image-cloud-amd64 "$work/package"
  # Debian 13's package has its modules below /usr, Debian 12's below /.
  for from in "$work"/package/{usr/,}lib/modules/*/; do [[ ! -d $from/kernel ]] || break; done
  version=$(basename "$from")
  modules=usr/lib/modules/$version
  mkdir -p "$work/result" "$work/tree/$modules"
  cp "$work/package/boot/vmlinuz-$version" "$work/result/vmlinuz"
  for folder in "${MODULE_FOLDERS[@]}"; do
    [[ ! -d $from/$folder ]] || (cd "$from" && cp -a --parents "$folder" "$work/tree/$modules/")
  done
  cp "$from"/modules.* "$work/tree/$modules/"
  # Unpacked here once, rather than by an emulated processor at every boot.
  find "$work/tree" -name '*.ko.xz' -exec xz -d {} +
  (cd "$work/tree" && ln -s usr/lib lib && PATH=$PATH:/usr/sbin:/sbin depmod -b . "$version" && rm lib)
  archive "$work/tree" >"$work/result/modules.cpio"
  echo "$version" >"$work/result/version"
}

make_userland() {
  local base=$1 work=$2
  mkdir -p "$work/tree"
  tar -xf "$base" -C "$work/tree" --exclude='./dev/*'
  extract "$TOOLS_SUITE" "$TOOLS" "$work/tools"
  cp -a --update=none "$work/tools/." "$work/tree/" 2>/dev/null || cp -an "$work/tools/." "$work/tree/"
  cp "$REPO/test/qemu/init.sh" "$work/tree/init"
  chmod 755 "$work/tree/init"
  mkdir -p "$work/tree"/{dev,proc,sys,run,tmp,repo,etc}
  : >"$work/tree/etc/resolv.conf"
  archive "$work/tree" >"$work/result"
}

# What a run brings along: the files of --add, and the command with every word quoted.
make_run() {
  local work=$1 pair
  shift
  for pair in "${added[@]}"; do
    mkdir -p "$work/tree$(dirname "${pair#*:}")"
    cp -a "${pair%%:*}" "$work/tree${pair#*:}"
  done
  mkdir -p "$work/tree"
  printf '%q ' "$@" >"$work/tree/command"
  archive "$work/tree" >"$work/run.cpio"
}

boot() {
  local work=$1 kernel=$2 userland=$3 status=0
  cat "$userland" "$kernel/modules.cpio" "$work/run.cpio" >"$work/initrd"
  # Two serial lines: the command's words, and its exit status. The kernel's own words go to the first one only when it is in trouble.
  timeout --foreground "$seconds" qemu-system-x86_64 -accel tcg,thread=multi -cpu Nehalem -smp 2 -m "$MEMORY_MB" -nodefaults -display none -no-reboot \
    -kernel "$kernel/vmlinuz" -initrd "$work/initrd" -append 'console=ttyS0 quiet loglevel=2 panic=-1 rdinit=/init' \
    -device virtio-rng-pci -serial stdio -serial "file:$work/status" </dev/null | tr -d '\r' || status=${PIPESTATUS[0]}
  [[ $status != 124 ]] || { say "no end after $seconds s" && return 124; }
  [[ -s $work/status ]] || { say "the machine ended without a word (status $status)" && return 125; }
  return "$(tr -dc 0-9 <"$work/status")"
}

main() {
  local suite=bookworm seconds=300 added=() base userland kernel work
  while (($#)); do
    case $1 in
      --suite) suite=${2:-} && shift ;;
      --add) added+=("${2:-}") && shift ;;
      --timeout) seconds=${2:-} && shift ;;
      -h | --help) usage && return ;;
      --) shift && break ;;
      *) usage >&2 && exit 64 ;;
    esac
    shift
  done
  [[ $suite == bookworm || $suite == trixie ]] || die "--suite is bookworm or trixie, not '$suite'"
  (($#)) || { usage >&2 && exit 64; }
  install_tools
  base=$("$REPO/scripts/base-image.sh" | tail -n 1)
  userland=$CACHE/kernel-userland-$({ echo "$base" "$TOOLS" && cat "${BASH_SOURCE[0]}" "$REPO/test/qemu/init.sh"; } | sha256sum | cut -c 1-12).cpio
  kernel=$CACHE/kernel-$suite-$(declare -f make_kernel | sha256sum | cut -c 1-12)
  once "$userland" make_userland "$base"
  once "$kernel" make_kernel "$suite"
  work=$(mktemp -d "${TMPDIR:-/tmp}/docker-router-kernel.XXXXXX")
  # shellcheck disable=SC2064  # the folder of now
  trap "rm -rf '$work'" EXIT
  trap 'exit 130' INT TERM HUP
  make_run "$work" "$@"
  boot "$work" "$kernel" "$userland"
}

main "$@"
