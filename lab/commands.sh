# shellcheck shell=bash
# The commands that concern the whole lab: up, down, status. Sourced, never run.

lab_up() {
  local count=2 bridge_nf=${LAB_BRIDGE_NF:-0} suite=$DEBIAN_SUITE start=$SECONDS
  while (($#)); do
    case $1 in
      --bridge-nf) bridge_nf=${2:-} && shift ;;
      --bridge-nf=*) bridge_nf=${1#*=} ;;
      --suite) suite=${2:-} && shift ;;
      *) count=$1 ;;
    esac
    shift
  done
  [[ $count =~ ^[1-9][0-9]{0,2}$ && $count -le $MAX_HOSTS ]] || die "up N: '$count' is no number from 1 to $MAX_HOSTS"
  [[ $bridge_nf == [01] ]] || die "--bridge-nf is 0 or 1, not '$bridge_nf'"
  [[ $suite == trixie || $suite == bookworm ]] || die "--suite is trixie or bookworm, not '$suite'"
  install_missing_tools
  lock_lab
  remove_lab
  trap give_up EXIT
  trap 'exit 130' INT TERM
  ensure_rootfs "$suite" &
  wait $! # a trap interrupts this, but not a command in the foreground
  load_kernel_modules
  mkdir -p "$STATE" "$DISKS"
  echo "$count" >"$STATE/hosts"
  echo "$bridge_nf" >"$STATE/bridge-nf"
  echo "$suite" >"$STATE/suite"
  boot_all "$count"
  trap - EXIT INT TERM
  say "lab '$LAB' is up after $((SECONDS - start)) s: $count hosts, bridge-nf-call-iptables=$bridge_nf"
}

# Hosts boot in parallel; the switch they are plugged into comes first.
boot_all() {
  local count=$1 host pids=() failed=0
  say "switch: $GATEWAY, and $INTERNET for the internet"
  boot "$OUTSIDE"
  for ((host = 1; host <= count; host++)); do
    boot "host$host" &
    pids+=($!)
  done
  for ((host = 1; host <= count; host++)); do
    wait "${pids[host - 1]}" || failed=1
    ((failed)) || say "host$host: $NETWORK.$host, engine ready"
  done
  return "$failed"
}

give_up() {
  local jobs
  trap '' INT TERM
  say "ending lab '$LAB', it did not come up"
  jobs=$(jobs -p)
  # shellcheck disable=SC2086  # one word per job
  [[ -z $jobs ]] || kill $jobs 2>/dev/null || true
  remove_lab
}

# What the hosts' kernel has to bring itself; a module that does not exist may be built in.
load_kernel_modules() {
  local module
  command -v modprobe >/dev/null || return 0
  for module in overlay bridge br_netfilter veth vxlan; do modprobe -q "$module" || true; done
}

lab_down() {
  lock_lab
  if [[ ! -d $STATE && ! -d $DISKS && -z $(cgroup_pids) ]]; then
    say "lab '$LAB' is not up"
  fi
  remove_lab
}

# Everything a run can have left, in any state it can have been left in.
remove_lab() {
  remove_cgroup
  # Only where the disks had to be put into memory (make_disk).
  local mount
  for mount in "$DISKS"/*; do
    if mountpoint -q "$mount"; then umount -l "$mount"; fi
  done
  rm -rf "$STATE" "$DISKS"
  rmdir "$STATE_ROOT" "$CACHE/lab" 2>/dev/null || true
}

lab_status() {
  local count host
  count=$(host_count)
  printf "lab '%s': bridge-nf-call-iptables=%s\n" "$LAB" "$(<"$STATE/bridge-nf")"
  printf '%-8s %-12s %s\n' "$OUTSIDE" "$GATEWAY" "$(host_pid "$OUTSIDE" >/dev/null && echo "up, also $INTERNET" || echo off)"
  for ((host = 1; host <= count; host++)); do
    printf '%-8s %-12s %s\n' "host$host" "$NETWORK.$host" "$(host_state "host$host")"
  done
}

host_state() {
  if ! host_pid "$1" >/dev/null; then
    echo "off"
  elif ! engine_answers "$1"; then
    echo "on, its engine does not answer"
  else
    inside "$1" docker info --format 'engine {{.ServerVersion}}, {{.ContainersRunning}} containers running' 2>/dev/null
  fi
}
