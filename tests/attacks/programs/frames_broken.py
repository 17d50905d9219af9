# What is no frame, on the kernel's channel.
# status: crashed
# state: lost

import os
import time

os.write(3, b"\xff" * 64)
time.sleep(5)
