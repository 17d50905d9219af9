# Recursion inside the interpreter's own code.
# status: error crashed ok
# state: any

key = ()
for _ in range(200_000):
    key = (key,)
hash(key)
