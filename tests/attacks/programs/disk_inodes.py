# Empty files until there is no inode left.
# output: refused
# artifacts: 20
# skipped: more than 20 files

try:
    for number in range(100_000):
        open(f"{number:05}", "w").close()
    print("ESCAPED: 100000 files")
except OSError as error:
    print("refused", error)
