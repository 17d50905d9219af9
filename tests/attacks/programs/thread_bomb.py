# Threads until the limit of processes.
# output: refused

import threading

stop = threading.Event()
threads = []
try:
    while len(threads) < 10_000:
        threads.append(threading.Thread(target=stop.wait, daemon=True))
        threads[-1].start()
    print("ESCAPED: 10000 threads")
except RuntimeError:
    print("refused after", len(threads) < 64)
stop.set()
