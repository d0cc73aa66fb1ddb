"""name-server.py ADDRESS: the outside world's names, for the lab. A of *.example.org is 192.0.2.1; everything else does not exist."""
import socket
import sys

server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
server.bind((sys.argv[1], 53))
while True:
    query, client = server.recvfrom(2048)
    at, labels = 12, []
    while query[at]:
        labels.append(query[at + 1 : at + 1 + query[at]].decode("latin1").lower())
        at += query[at] + 1
    question = query[12 : at + 5]
    known = labels[-2:] == ["example", "org"]
    address = known and question[-4:-2] == b"\0\1"
    flags = b"\x81\x80" if known else b"\x81\x83"
    record = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + bytes([192, 0, 2, 1]) if address else b""
    server.sendto(query[:2] + flags + b"\0\1" + (b"\0\1" if address else b"\0\0") + b"\0\0\0\0" + question + record, client)
