# shellcheck shell=bash
# Control groups: one branch per lab and one below it per host, in every hierarchy the machine mounts (version 1,
# version 2, or both). Besides giving each engine a tree of its own, the branch is the lab's memory of what
# it started: a process is in it from before it becomes anything, and so are all its descendants. That is
# how `down` finds what an aborted run left, by process id, without a pid file to trust. Sourced, never run.

cgroup_mounts() { awk '/ - cgroup2? / { print $5 }' /proc/self/mountinfo; }

# cgroup_branches [HOST]: the folder of the lab, or of one of its hosts, in every hierarchy.
cgroup_branches() {
  local mount
  cgroup_mounts | while read -r mount; do echo "$mount/docker-router-lab/$LAB${1:+/$1}"; done
}

create_cgroup() {
  local branch
  cgroup_branches "$1" | while read -r branch; do
    mkdir -p "$branch"
    [[ ! -e $branch/cpuset.cpus || ! -e $branch/tasks ]] || fill_cpuset "$branch"
  done
}

# A version 1 cpuset starts empty, and nothing can enter it until it names processors and memory.
fill_cpuset() {
  local branch=$1 level file
  for level in "${branch%/*/*}" "${branch%/*}" "$branch"; do
    for file in cpuset.cpus cpuset.mems; do
      [[ -n $(<"$level/$file") ]] || cat "${level%/*}/$file" >"$level/$file"
    done
  done
}

# Moves the calling (sub)shell; what it becomes by exec stays there.
join_cgroup() {
  local branch
  for branch in $(cgroup_branches "$1"); do
    [[ ! -d $branch/init ]] || branch+=/init # see delegate_cgroup
    echo "$BASHPID" >"$branch/cgroup.procs"
  done
}

# Version 2 hands controllers down only from groups without processes of their own: the host's first processes move
# one level down before its engine makes groups beside them. What cannot be enabled, the engine does without.
delegate_cgroup() {
  local mount level pid branch
  mount=$(awk '/ - cgroup2 / { print $5; exit }' /proc/self/mountinfo)
  [[ -n $mount && -s $mount/cgroup.controllers ]] || return 0
  branch=$mount/docker-router-lab/$LAB/$1
  mkdir -p "$branch/init"
  while read -r pid; do echo "$pid" >"$branch/init/cgroup.procs"; done <"$branch/cgroup.procs"
  for level in "$mount" "$mount/docker-router-lab" "${branch%/*}" "$branch"; do
    enable_controllers "$level"
  done
}

enable_controllers() {
  local controller
  for controller in $(<"$1/cgroup.controllers"); do
    echo "+$controller" 2>/dev/null >"$1/cgroup.subtree_control" || true
  done
}

# cgroup_pids [HOST]: what lives in the branch. Groups vanish while one looks; that is no error.
cgroup_pids() {
  local branch
  for branch in $(cgroup_branches "${1:-}"); do
    [[ ! -d $branch ]] || find "$branch" -name cgroup.procs -exec cat {} + 2>/dev/null || true
  done | sort -un
}

# SIGKILL: with the first process of a host its whole PID namespace dies, as when power fails. Succeeds once there is
# nothing left to kill.
kill_cgroup() {
  local pids
  pids=$(cgroup_pids "${1:-}")
  [[ -n $pids ]] || return 0
  # shellcheck disable=SC2086  # one word per process
  kill -KILL $pids 2>/dev/null || true
  return 1
}

# A killed process leaves its cgroup at once, but may hold its namespaces and mounts for another second.
process_gone() {
  local stat
  read -r stat 2>/dev/null <"/proc/$1/stat" || return 0
  stat=${stat##*) }
  [[ $stat == [ZX]* ]]
}

remove_cgroup() {
  local branch pid pids
  pids=$(cgroup_pids "${1:-}")
  wait_until 20 kill_cgroup "${1:-}" || die "processes of lab '$LAB' do not die: $(cgroup_pids "${1:-}" | paste -sd' ')"
  for pid in $pids; do wait_until 20 process_gone "$pid" || die "process $pid of lab '$LAB' does not end"; done
  for branch in $(cgroup_branches "${1:-}"); do
    wait_until 5 remove_branch "$branch" || die "cannot remove $branch"
    # The folder all labs share goes with the last of them.
    [[ -n ${1:-} ]] || rmdir "${branch%/*}" 2>/dev/null || true
  done
}

remove_branch() {
  [[ ! -d $1 ]] || find "$1" -depth -type d -exec rmdir {} + 2>/dev/null
  [[ ! -d $1 ]]
}
