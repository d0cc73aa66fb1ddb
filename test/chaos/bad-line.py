# Holds back some of the packets of the lab's wire and sends some twice: what netem would do where the kernel has it. bad-line.py MODE SECONDS
# Runs outside the hosts, at the switch. MODE: reorder, duplicate, or both. A rule of nftables picks one packet of a tunnel
# in thirty and gives it to a veth of this script's, which sends it on to the port of the host that it is for.
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


def run(*words, text=None):
    subprocess.run(words, input=text, text=True, check=True, capture_output=True)


def ports():
    listing = subprocess.run(['ip', '-o', 'link', 'show', 'type', 'veth'], capture_output=True, text=True, check=True).stdout
    names = [line.split(': ')[1].split('@')[0] for line in listing.splitlines()]
    return [name for name in names if name.startswith('host')]


hosts = ports()
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
    wires = {int(host[4:]): socket.socket(socket.AF_PACKET, socket.SOCK_RAW) for host in hosts}
    for number, wire in wires.items():
        wire.bind(('host%d' % number, 0))
    inlet = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    inlet.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    inlet.bind((OUT, 0))
    run('nft', '-f', '-', text='table netdev bad_line {\n%s\n}\n' % chains)
    try:
        held = []
        end = time.monotonic() + seconds
        count = 0

        def send(frame):
            wire = wires.get(frame[5])
            if wire is None:
                return
            try:
                wire.send(frame)
            except OSError:
                pass

        while time.monotonic() < end or held:
            now = time.monotonic()
            wait = max(0, held[0][0] - now) if held else 0.05
            if select.select([inlet], [], [], wait)[0]:
                frame, (_, _, kind, _, _) = inlet.recvfrom(65535)
                if kind != socket.PACKET_OUTGOING:
                    count += 1
                    if mode in ('duplicate', 'both'):
                        send(frame)
                    delay = random.uniform(0.002, 0.03) if mode in ('reorder', 'both') else 0
                    heapq.heappush(held, (time.monotonic() + delay, count, frame))
            while held and held[0][0] <= time.monotonic():
                send(heapq.heappop(held)[2])
        print(count)
    finally:
        run('nft', 'delete', 'table', 'netdev', 'bad_line')
finally:
    run('ip', 'link', 'delete', IN)
