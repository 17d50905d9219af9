# A file that is rewritten while it is handed out.
# skipped: changed while it was read

import threading

with open("moving.bin", "wb") as file:
    file.truncate(9 << 20)


def rewrite():
    for _ in range(200_000):
        with open("moving.bin", "r+b") as moving:
            moving.write(b"x")


threading.Thread(target=rewrite, daemon=True).start()
