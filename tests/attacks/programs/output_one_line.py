# A line of 50 MB.
# output: left out

print("x" * 50_000_000)
