# A child that returns from the program comes back into the runner.
# value: True

import os

pid = os.fork()
os.getpid() > 0
