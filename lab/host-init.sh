#!/usr/bin/env bash
# Becomes a lab host: started as the first process of new namespaces while the machine's files are still in view,
# it builds the host's own root, moves into it and hands over to the host's first process.
# Usage: host-init.sh NAME ROOTFS DISK REPO PID_FILE BRIDGE_NF    (lab/host.sh calls it)
set -euo pipefail

main() {
  local name=$1 rootfs=$2 disk=$3 repo=$4 pid_file=$5 bridge_nf=$6 root=$3/root
  announce_pid "$pid_file"
  echo "$name" >/proc/sys/kernel/hostname
  mount -t overlay overlay -o "lowerdir=$rootfs,upperdir=$disk/upper,workdir=$disk/work" "$root"
  mount_kernel_trees "$root"
  make_devices "$root/dev"
  mount_cgroups "$root/sys/fs/cgroup"
  mkdir -p "$root/var/lib/docker" "$root/repo"
  # The engine's layers are overlays themselves and need a plain file system under their upper side.
  mount --bind "$disk/docker" "$root/var/lib/docker"
  mount --bind "$repo" "$root/repo"
  mount -o remount,bind,ro "$root/repo"
  write_identity "$root" "$name"
  enter "$root"
  configure_kernel "$bridge_nf"
  # tini adopts and reaps what loses its parent, as an init does.
  if [[ $name == host* ]]; then exec tini -s -- bash /repo/lab/engine.sh; fi
  exec tini -s -- sleep infinity
}

# /proc is still the machine's here, so this is the pid the machine knows this process by.
announce_pid() {
  local pid
  read -r pid _ </proc/self/stat
  echo "$pid" >"$1.new"
  mv "$1.new" "$1"
}

mount_kernel_trees() {
  local root=$1
  mount -t proc proc "$root/proc"
  mount -t sysfs sysfs "$root/sys"
  mount -t tmpfs -o mode=755 tmpfs "$root/dev"
  mkdir "$root/dev/pts" "$root/dev/shm" "$root/dev/mqueue"
  mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts "$root/dev/pts"
  mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
  mount -t mqueue mqueue "$root/dev/mqueue"
  mount -t tmpfs -o mode=755 tmpfs "$root/run"
  mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
  mkdir "$root/run/lock" "$root/run/sshd"
}

make_devices() {
  local dev=$1 name major minor
  while read -r name major minor; do
    mkdir -p "$(dirname "$dev/$name")"
    mknod -m 666 "$dev/$name" c "$major" "$minor"
  done <<'DEVICES'
null 1 3
zero 1 5
full 1 7
random 1 8
urandom 1 9
tty 5 0
net/tun 10 200
fuse 10 229
DEVICES
  ln -s pts/ptmx "$dev/ptmx"
  ln -s /proc/self/fd "$dev/fd"
  ln -s fd/0 "$dev/stdin"
  ln -s fd/1 "$dev/stdout"
  ln -s fd/2 "$dev/stderr"
}

# The same hierarchies as the machine's, but seen from this host's cgroup namespace: its own branch is the root.
mount_cgroups() {
  local target=$1 controllers folder
  if [[ $(stat -f -c %T /sys/fs/cgroup) == cgroup2fs ]]; then
    mount -t cgroup2 cgroup2 "$target"
    return
  fi
  mount -t tmpfs -o mode=755 tmpfs "$target"
  while IFS=: read -r _ controllers _; do
    folder=${controllers#name=}
    mkdir "$target/${folder:-unified}"
    if [[ -z $controllers ]]; then
      mount -t cgroup2 cgroup2 "$target/unified"
    else
      mount -t cgroup -o "$controllers" cgroup "$target/$folder"
    fi
  done </proc/self/cgroup
}

# Once per disk: what an installer would have written.
write_identity() {
  local root=$1 name=$2
  [[ ! -e $root/etc/machine-id ]] || return 0
  tr -d - </proc/sys/kernel/random/uuid >"$root/etc/machine-id"
  echo "$name" >"$root/etc/hostname"
  printf '127.0.0.1 localhost\n127.0.1.1 %s\n' "$name" >"$root/etc/hosts"
  # Nobody answers there unless a test starts a server outside, but the refusal is immediate. Without any name
  # server the engine would hand public ones to its containers, and every look-up would wait for its timeout.
  echo "nameserver 10.77.0.254" >"$root/etc/resolv.conf"
  if [[ $name == host* ]]; then
    mkdir -p "$root/etc/docker"
    cp "$root/repo/lab/daemon.json" "$root/etc/docker/daemon.json"
  fi
}

# pivot_root, not chroot: runc enters containers from the root of the mount namespace, and with chroot that
# is the machine's, where `docker exec` then lands.
enter() {
  cd "$1"
  pivot_root . mnt
  cd /
  umount -l /mnt
  export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
}

# A new network namespace starts with the kernel's values; these are the ones a Debian host boots with.
configure_kernel() {
  local bridge_nf=$1 name
  echo 2 >/proc/sys/net/ipv4/conf/default/rp_filter
  if [[ -d /proc/sys/net/bridge ]]; then
    for name in iptables ip6tables arptables; do echo "$bridge_nf" >"/proc/sys/net/bridge/bridge-nf-call-$name"; done
  elif [[ $bridge_nf == 1 ]]; then
    echo "bridge-nf-call-iptables=1 needs the kernel module br_netfilter" >&2
    exit 1
  fi
  ip link set lo up
  [[ $(uname -n) != outside ]] || return 0
  # The machine brings the cable, with its address, once this process is known to it: perhaps before the line
  # above that sets the default, perhaps after.
  until [[ -d /sys/class/net/eth0 ]]; do sleep 0.02; done
  echo 2 >/proc/sys/net/ipv4/conf/eth0/rp_filter
}

main "$@"
