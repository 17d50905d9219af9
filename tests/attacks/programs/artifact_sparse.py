# A file of 100 GB that takes no room, and one of 100 MB.
# skipped: larger than
# output: refused

try:
    open("sparse.bin", "wb").truncate(100 << 30)
    print("ESCAPED: above the limit of a file")
except OSError as error:
    print("refused", error)
open("sparse.bin", "wb").truncate(100 << 20)
