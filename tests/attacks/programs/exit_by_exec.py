# Another program takes the kernel's place and its channel.
# status: crashed
# state: lost

import os

for number in (3, 4, 5):
    os.set_inheritable(number, True)
os.execv("/bin/sh", ["sh", "-c", "echo instead; head -c 100 /dev/zero >&3"])
