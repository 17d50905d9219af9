# Buffers of local sockets count as memory of the sandbox.
# status: crashed ok
# state: any
# timeout: 8

import socket

pairs, total = [], 0
try:
    while True:
        one, other = socket.socketpair()
        for name in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            one.setsockopt(socket.SOL_SOCKET, name, 1 << 30)
        one.setblocking(False)
        pairs.append((one, other))
        try:
            while True:
                total += one.send(bytes(1 << 16))
        except BlockingIOError:
            pass
except OSError:
    pass
print("bounded" if total < 512 << 20 else f"ESCAPED: {total >> 20} MiB")
