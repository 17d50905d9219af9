# An address or a route of one's own.
# output: refused; refused

import fcntl
import socket
import struct

try:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
except OSError:
    sock = socket.socketpair()[0]
request = struct.pack("16sH2s4s8s", b"lo", socket.AF_INET, b"", socket.inet_aton("10.0.0.1"), b"")
for name, number in (("address", 0x8916), ("route", 0x890B)):
    try:
        fcntl.ioctl(sock, number, request + bytes(128))
        print("ESCAPED", name)
    except OSError as error:
        print("refused", name, error)
