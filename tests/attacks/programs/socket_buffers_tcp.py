# Buffers of TCP connections to itself, as large and as many as can be had.
# output: bounded
# timeout: 8

import os
import resource
import socket
import sys


def fill():
    pairs, total = [], 0
    listener = socket.create_server(("127.0.0.1", 0), backlog=200)
    try:
        while True:
            one = socket.socket()
            one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 30)
            one.connect(listener.getsockname())
            other, _ = listener.accept()
            other.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 30)
            one.setblocking(False)
            pairs.append((one, other))
            try:
                while True:
                    total += one.send(bytes(1 << 20))
            except BlockingIOError:
                pass
    except OSError:
        pass
    return total


try:
    total = fill()
except PermissionError:
    total = 0
print("bounded" if total < 200 << 20 else f"ESCAPED: {total >> 20} MiB")
