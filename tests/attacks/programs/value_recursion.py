# A structure that contains itself, and one that is deeper than the stack.
# status: ok error

deep = []
for _ in range(100_000):
    deep = [deep]
deep.append(deep)
deep
