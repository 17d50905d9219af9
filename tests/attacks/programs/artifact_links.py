# Links to what the host, PID 1 or the image has, and to itself.

import os

for number, target in enumerate(
    ("/etc/passwd", "/proc/1/environ", "/proc/1/mem", "../etc/shadow", "loop.txt", "/dev/zero")
):
    os.symlink(target, f"link{number}.txt")
os.symlink("loop.txt", "loop.txt")
