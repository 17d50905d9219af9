# There is one interface, and no route to anywhere.
# output: none; none

import os

print("none" if os.listdir("/sys/class/net") == ["lo"] else "ESCAPED")
lines = open("/proc/net/route").read().splitlines()[1:]
print("none" if not lines else f"ESCAPED {lines}")
