# What is no file: fifo, socket, folder, device.
# output: refused

import os
import socket
import stat

os.mkfifo("fifo.txt")
os.mkdir("folder.txt")
server = socket.socket(socket.AF_UNIX)
server.bind("socket.txt")
try:
    os.mknod("device.txt", 0o600 | stat.S_IFCHR, os.makedev(1, 5))
    print("ESCAPED")
except OSError as error:
    print("refused", error)
