# Address zero.
# status: crashed
# state: lost
# detail: SIGSEGV

import ctypes

ctypes.string_at(0)
