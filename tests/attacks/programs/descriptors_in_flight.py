# Descriptors that are on their way through a socket count for no process.
# output: refused

import os
import socket

a, b = socket.socketpair()
count = 0
try:
    while count < 20_000:
        socket.send_fds(a, [b"x"], [0] * 100)
        count += 100
    print("ESCAPED: 20000 descriptors in flight")
except OSError as error:
    print("refused", error)
a.close()
b.close()
