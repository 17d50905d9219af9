# More files than a call may hand over.
# artifacts: 20
# skipped: more than 20 files

for number in range(500):
    open(f"file{number:03}.txt", "w").write("x")
