# A name is asked for, by the resolver and by hand.
# output: refused

import socket

try:
    print("ESCAPED", socket.getaddrinfo("localhost.invalid", 80))
except OSError as error:
    print("refused", error)
