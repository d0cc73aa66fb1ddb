"""Request and response of one byte each over TCP, one after the other. `serve PORT`, or `ask ADDRESS PORT SECONDS`, which prints JSON."""
import json
import socket
import sys
import time


def serve(port):
    listener = socket.create_server(("", port))
    while True:
        connection, _ = listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while data := connection.recv(1):
            connection.send(data)


def ask(address, port, seconds):
    connection = socket.create_connection((address, port), timeout=5)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    times = []
    now = began = time.perf_counter()
    while now - began < seconds:
        connection.send(b"x")
        connection.recv(1)
        last, now = now, time.perf_counter()
        times.append(now - last)
    times.sort()
    at = lambda share: times[int(share * (len(times) - 1))] * 1e6
    print(json.dumps({"perSecond": len(times) / (now - began), "p50": at(0.5), "p99": at(0.99)}))


if sys.argv[1] == "serve":
    serve(int(sys.argv[2]))
else:
    ask(sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
