# Sockets that reach past the network: raw, packet, netlink, vsock, crypto, bluetooth and others.
# output: refused

import socket

opened = []
for family in (*range(3, 10), *range(11, 50)):
    for kind in (1, 2, 3, 5):
        try:
            socket.socket(family, kind).close()
            opened.append((family, kind))
        except OSError:
            pass
for kind, protocol in ((3, 1), (3, 255), (2, 1), (1, 132), (1, 262), (2, 136), (6, 33)):
    for family in (2, 10):
        try:
            socket.socket(family, kind, protocol).close()
            opened.append((family, kind, protocol))
        except OSError:
            pass
print("ESCAPED" if opened else "refused", opened)
