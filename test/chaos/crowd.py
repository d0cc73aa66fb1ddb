# Stacks that do not exist come and go, as their discovery daemons would: crowd.py COUNT JOIN_SECONDS STAY_SECONDS LEAVE_SECONDS
# Runs outside the lab's hosts. The same stacks stand in faults.ts.
import json
import socket
import sys
import time

count, join, stay, leave = (float(word) for word in sys.argv[1:5])
GROUP = ('239.1.1.1', 4790)
INTERVAL = 2.0
BOOT = int(time.time() * 1000)

wire = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
wire.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton('10.77.0.254'))


def send(message):
    wire.sendto(json.dumps(dict(message, docker_router=1)).encode(), GROUP)


def record(n):
    net = '10.60.%d' % n
    return {
        'stack_id': 'crowd-%d' % n, 'vni': 1000, 'host_ip': '10.77.1.%d' % (n + 1), 'subnets': [net + '.0/24'], 'gateway_ip': net + '.2',
        'vtep_mac': '02:cc:00:00:00:%02x' % n, 'vxlan_port': 4789, 'instance': '%016x' % (0xC0000 + n), 'since': BOOT, 'boot': BOOT, 'seq': 1,
    }


def announce(n):
    send({'type': 'announce', 'interval_ms': int(INTERVAL * 1000), 'record': record(n)})


began = time.monotonic()
due = {}
gone = 0
while gone < count:
    now = time.monotonic() - began
    here = int(min(count, count * now / join + 1))
    gone = int(max(0, min(count, count * (now - join - stay) / leave)))
    for n in range(gone, here):
        if due.get(n, 0) <= now:
            announce(n)
            due[n] = now + INTERVAL
    # Twice and more, since a datagram may be lost.
    for n in range(max(0, gone - 40), gone):
        send({'type': 'goodbye', 'stack_id': 'crowd-%d' % n, 'instance': '%016x' % (0xC0000 + n), 'boot': BOOT, 'seq': 1})
    time.sleep(0.1)
