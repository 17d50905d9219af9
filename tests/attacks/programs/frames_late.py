# A thread sends rubbish into the next call.
# after: any
# state: any

import os
import threading
import time


def later():
    time.sleep(0.05)
    os.write(3, b"\xff" * 64)


threading.Thread(target=later, daemon=True).start()
