# The calls of 32-bit programs have other numbers; a filter must not be passed by that door.
# status: crashed ok
# state: any

import ctypes
import mmap
import os

if os.uname().machine != "x86_64":
    print("there is no such door")
else:
    memory = mmap.mmap(-1, 4096, prot=7)
    # mov eax, 20 (getpid); int 0x80; ret
    memory.write(b"\xb8\x14\x00\x00\x00\xcd\x80\xc3")
    function = ctypes.CFUNCTYPE(ctypes.c_int)(
        ctypes.addressof(ctypes.c_char.from_buffer(memory))
    )
    print("ESCAPED" if function() > 0 else "refused", flush=True)
