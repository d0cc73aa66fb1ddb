# shellcheck shell=bash
# The lab's network: one bridge in the namespace called outside, one veth per host. Nothing of it is visible in the
# machine's own network namespace, so labs may share addresses. Sourced, never run.

# The bridge is the hosts' default gateway and does not forward: an address it has no route to is unreachable, so
# what a host forgets to masquerade gets no answer, as on the internet.
lay_switch() {
  local pid
  pid=$(host_pid "$OUTSIDE")
  nsenter -t "$pid" -n ip -batch - <<COMMANDS
link add switch type bridge stp_state 0 forward_delay 0 mcast_snooping 0
address add $GATEWAY/24 dev switch
address add $INTERNET/32 dev lo
link set switch up
COMMANDS
}

# The address of a network card outlives a reboot, or the neighbours' caches would point to nowhere after one.
mac_of() { printf '02:77:00:00:00:%02x' "${1#host}"; }

plug_in() {
  local name=$1 pid
  pid=$(host_pid "$name")
  ip_in "$OUTSIDE" link add "$name" type veth peer name eth0 address "$(mac_of "$name")" netns "$pid"
  ip_in "$OUTSIDE" link set "$name" master switch up
  nsenter -t "$pid" -n ip -batch - <<COMMANDS
address add $NETWORK.${name#host}/24 dev eth0
link set eth0 up
route add default via $GATEWAY
COMMANDS
}

set_link() {
  [[ $2 == up || $2 == down ]] || die "link I up|down, not '$2'"
  ip_in "$OUTSIDE" link set "$1" "$2" || die "$1 of lab '$LAB' has no cable: it is off"
}
