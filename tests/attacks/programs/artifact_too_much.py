# Files that are small enough each and too much in all.
# artifacts: 5
# skipped: bytes in one call

for number in range(12):
    open(f"large{number:02}.bin", "wb").write(bytes(10 << 20))
