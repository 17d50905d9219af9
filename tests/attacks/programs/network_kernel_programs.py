# A program in the kernel at a socket, and a module of the kernel by a socket's option.
# output: refused; refused

import ctypes
import socket
import struct

code = struct.pack("HBBI", 6, 0, 0, 0xFFFF)
memory = ctypes.create_string_buffer(code)
program = struct.pack("HL", 1, ctypes.addressof(memory))
one, other = socket.socketpair()
for name, sock, level, option, value in (
    ("filter", one, socket.SOL_SOCKET, 26, program),
    ("reuseport", one, socket.SOL_SOCKET, 51, program),
):
    try:
        sock.setsockopt(level, option, value)
        print("ESCAPED", name)
    except OSError as error:
        print("refused", name, error)
