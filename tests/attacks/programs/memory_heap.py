# More memory than the limit, page by page.
# status: crashed
# state: lost
# detail: out of memory

block = bytearray(2 << 30)
block[::4096] = b"1" * len(block[::4096])
print("ESCAPED: 2 GiB")
