# A datagram socket that is connected sends nothing; without a route it cannot even be connected.
# output: refused; refused; refused; refused

import socket

for family, address in (
    (socket.AF_INET, "192.0.2.1"),
    (socket.AF_INET, "169.254.169.254"),
    (socket.AF_INET, "172.17.0.1"),
    (socket.AF_INET6, "2001:db8::1"),
):
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.connect((address, 53))
        print("ESCAPED", address)
    except OSError as error:
        print("refused", address, error)
