# A child keeps the channel and the pipes when its parent is gone.
# status: crashed
# state: lost

import os
import time

if os.fork() == 0:
    os.setsid()
    for number in (3, 4, 5):
        os.set_inheritable(number, True)
    while True:
        time.sleep(1)
os._exit(0)
