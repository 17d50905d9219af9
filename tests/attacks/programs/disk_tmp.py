# The same in /tmp, in many files.
# output: refused

try:
    for number in range(1000):
        with open(f"/tmp/{number}", "wb") as file:
            file.write(bytes(4 << 20))
    print("ESCAPED: 4 GiB")
except OSError as error:
    print("refused", error)
