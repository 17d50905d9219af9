# The host by its bridge and by the loopback address, where a listener waits.
# output: refused; refused

import os
import socket

# The test puts the addresses of its listeners here.
text = open("listeners.txt").read() if os.path.exists("listeners.txt") else "172.17.0.1:9 127.0.0.1:9"
for each in text.split():
    address, _, port = each.rpartition(":")
    try:
        socket.create_connection((address, int(port)), timeout=1).close()
        print("ESCAPED", each)
    except OSError as error:
        print("refused", each, error)
