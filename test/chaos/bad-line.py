# Holds back some of the packets of the lab's wire and sends some twice: what netem would do where the kernel has it. bad-line.py MODE SECONDS
# Runs outside the hosts, at the switch. MODE: reorder, duplicate, or both. A rule of nftables picks one packet of a tunnel
# in thirty and gives it to a veth of this script's, which sends it on to the port of the host that it is for.
# Prints how many packets came by, and how many of them it lost itself, which is nobody else's doing.
import heapq
import random
import select
import socket
import struct
import subprocess
import sys
import time

mode, seconds = sys.argv[1], float(sys.argv[2])
IN, OUT = 'bad0', 'bad1'
# Longest time that a packet is held back.
HELD = 0.03
# Numbers of <asm-generic/socket.h> and <linux/if_packet.h> that Python has no names for.
SO_RCVBUFFORCE, SOL_PACKET, PACKET_STATISTICS = 33, 263, 6


def run(*words, text=None, check=True):
    subprocess.run(words, input=text, text=True, check=check, capture_output=True)


def ports():
    listing = subprocess.run(['ip', '-o', 'link', 'show', 'type', 'veth'], capture_output=True, text=True, check=True).stdout
    names = [line.split(': ')[1].split('@')[0] for line in listing.splitlines()]
    return [name for name in names if name.startswith('host')]


class Line:
    def __init__(self, hosts):
        self.held, self.came, self.lost = [], 0, 0
        self.wires = {int(host[4:]): socket.socket(socket.AF_PACKET, socket.SOCK_RAW) for host in hosts}
        for number, wire in self.wires.items():
            wire.bind(('host%d' % number, 0))
        self.inlet = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self.inlet.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 16 << 20)
        self.inlet.bind((OUT, 0))

    def send(self, frame):
        try:
            self.wires[frame[5]].send(frame)
        except (KeyError, OSError):
            self.lost += 1

    def take(self):
        frame, (_, _, kind, _, _) = self.inlet.recvfrom(65535)
        if kind == socket.PACKET_OUTGOING:
            return
        self.came += 1
        if mode in ('duplicate', 'both'):
            self.send(frame)
        delay = random.uniform(0.002, HELD) if mode in ('reorder', 'both') else 0
        heapq.heappush(self.held, (time.monotonic() + delay, self.came, frame))

    # Until the time is over. What is held stays held.
    def work(self, end):
        while time.monotonic() < end:
            due = min(end, self.held[0][0]) if self.held else end
            if select.select([self.inlet], [], [], max(0, due - time.monotonic()))[0]:
                self.take()
            while self.held and self.held[0][0] <= time.monotonic():
                self.send(heapq.heappop(self.held)[2])

    # Those that found this socket's queue full.
    def dropped(self):
        return struct.unpack('II', self.inlet.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))[1]


hosts = ports()
# What an interrupted run left.
run('nft', 'delete', 'table', 'netdev', 'bad_line', check=False)
run('ip', 'link', 'delete', IN, check=False)
run('ip', 'link', 'add', IN, 'type', 'veth', 'peer', 'name', OUT)
try:
    # Whole packets with whole checksums come out at the other end: they leave this script as plain bytes.
    for device in (IN, OUT):
        run('ethtool', '-K', device, 'tx', 'off', 'tso', 'off', 'gso', 'off', 'sg', 'off')
        run('sysctl', '-qw', 'net.ipv6.conf.%s.disable_ipv6=1' % device)
        run('ip', 'link', 'set', device, 'up')
    chains = ''.join(
        'chain %s { type filter hook ingress device "%s" priority 0; ether daddr & ff:ff:00:00:00:00 == 02:77:00:00:00:00 '
        'meta l4proto udp numgen random mod 30 == 0 fwd to "%s"; }\n' % (host, host, IN) for host in hosts)
    line = Line(hosts)
    run('nft', '-f', '-', text='table netdev bad_line {\n%s\n}\n' % chains)
    try:
        line.work(time.monotonic() + seconds)
    finally:
        run('nft', 'delete', 'table', 'netdev', 'bad_line')
    # The rule is gone. What it gave before is still handed on: none is lost with the veth.
    line.work(time.monotonic() + HELD + 0.2)
    print(line.came, line.lost + line.dropped())
finally:
    run('ip', 'link', 'delete', IN)
