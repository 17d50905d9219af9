# Every way to keep the processors busy at once.
# timeout: 1
# status: timeout

import os
import threading


def burn():
    while True:
        pass


for _ in range(6):
    if os.fork() == 0:
        burn()
for _ in range(4):
    threading.Thread(target=burn, daemon=True).start()
burn()
