# /dev/shm until it is full.
# output: refused

try:
    with open("/dev/shm/x", "wb", buffering=0) as file:
        for _ in range(1024):
            file.write(bytes(1 << 20))
    print("ESCAPED: 1 GiB")
except OSError as error:
    print("refused", error)
