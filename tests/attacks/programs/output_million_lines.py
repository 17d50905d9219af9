# A million lines: the first and the last are there.
# output: line 0; line 999999; left out
# timeout: 40

for number in range(1_000_000):
    print("line", number)
