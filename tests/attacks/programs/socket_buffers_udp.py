# Datagrams that nobody reads.
# output: bounded
# timeout: 8

import socket

held, delivered = [], 0
try:
    while True:
        sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        held.append(sink)
        sink.bind(("127.0.0.1", 0))
        sink.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 30)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as source:
            source.connect(sink.getsockname())
            for _ in range(10):
                source.send(bytes(60_000))
except OSError:
    pass
for sink in held:
    sink.setblocking(False)
    try:
        while True:
            delivered += len(sink.recv(65_536))
    except OSError:
        pass
print("bounded" if delivered < 200 << 20 else f"ESCAPED: {delivered >> 20} MiB")
