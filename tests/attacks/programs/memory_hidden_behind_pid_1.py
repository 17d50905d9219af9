# A small process with the score of PID 1 fills memory that counts for nobody.
# status: crashed ok error timeout
# state: any
# ends: sandbox
# timeout: 8

import os

with open("/proc/self/oom_score_adj", "w") as file:
    file.write("0")
code = """
import os
held = []
for number in range(40):
    held.append(os.memfd_create('x'))
    for _ in range(50): os.write(held[-1], bytes(1 << 20))
print('ESCAPED: 2 GiB')
"""
os.system(f'python3 -I -S -c "{code}"')
