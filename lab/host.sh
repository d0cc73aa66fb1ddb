# shellcheck shell=bash
# One lab host, from the machine's side: switching it on and off, its cable, entering it. Sourced, never run.

CLEAN_PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

# enter NAME COMMAND...: replaces this process by COMMAND inside the host. The environment does not go along, as with
# ssh. Whoever ends this process ends the command too: nsenter itself forwards no signal.
enter() {
  local name=$1 pid
  shift
  pid=$(host_pid "$name") || die "$name of lab '$LAB' is off (see: scripts/lab.sh status)"
  join_cgroup "$name"
  exec nsenter -t "$pid" -m -u -i -n -p -C -- setpriv --pdeathsig TERM \
    env -i -C /root PATH="$CLEAN_PATH" HOME=/root LANG=C.UTF-8 TERM="${TERM:-dumb}" "$@"
}

# The same for use between other commands.
inside() (enter "$@")

# The machine's own ip, in the network namespace of a host.
ip_in() {
  local pid
  pid=$(host_pid "$1") || return 1
  shift
  nsenter -t "$pid" -n ip "$@"
}

# boot NAME: returns when the host, and its engine if it has one, is ready. Its disk may be new or kept.
boot() {
  local name=$1 folder=$STATE/$1
  mkdir -p "$folder"
  rm -f "$folder/pid"
  make_disk "$DISKS/$name"
  create_cgroup "$name"
  start_init "$name"
  wait_until 10 host_pid "$name" >/dev/null || fail_boot "$name" "did not start"
  delegate_cgroup "$name"
  if [[ $name == "$OUTSIDE" ]]; then
    lay_switch
  else
    plug_in "$name"
    wait_until 60 engine_answers "$name" || fail_boot "$name" "has no engine after 60 s"
  fi
}

fail_boot() {
  tail -n 25 "$STATE/$1/log" >&2 || true
  die "$1 $2; the end of its log is above"
}

make_disk() {
  mkdir -p "$1"
  # Overlays cannot be stacked on an overlay's upper side (the lab itself may run in a container); memory will do.
  if [[ $(stat -f -c %T "$1") == overlayfs ]]; then mount -t tmpfs "docker-router-lab" "$1"; fi
  mkdir -p "$1/upper" "$1/work" "$1/root" "$1/docker"
}

# In its cgroup before anything else, see lab/cgroup.sh. Nothing of this run goes along: no lock, no terminal,
# no environment.
start_init() {
  local name=$1
  (
    join_cgroup "$name"
    exec setsid env -i PATH="$CLEAN_PATH" \
      unshare --mount --uts --ipc --net --pid --cgroup --fork --kill-child=KILL \
      bash "$REPO/lab/host-init.sh" "$name" "$(rootfs_path)" "$DISKS/$name" "$REPO" "$STATE/$name/pid" "$(<"$STATE/bridge-nf")"
  ) </dev/null >>"$STATE/$name/log" 2>&1 8>&- 9>&- &
  disown # its end, by whatever signal, is no news to report
}

engine_answers() {
  inside "$1" curl -sf -o /dev/null --unix-socket /run/docker.sock http://engine/_ping 2>/dev/null
}

# power_off NAME: at once, as when power fails. Its network namespace dies with its processes, but in its own time;
# the cable is pulled here so that the same port is free at once.
power_off() {
  ip_in "$OUTSIDE" link del "$1" 2>/dev/null || true
  remove_cgroup "$1"
  rm -f "$STATE/$1/pid"
}

power_on() {
  ! host_pid "$1" >/dev/null || die "$1 of lab '$LAB' is on already"
  boot "$1"
}
