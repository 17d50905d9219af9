# Programs that run as their owner: those of the image, and one of its own.
# output: none
# artifacts: 1

import os
import shutil
import subprocess

found = []
for folder, _, names in os.walk("/usr"):
    for name in names:
        path = os.path.join(folder, name)
        if not os.path.islink(path) and os.stat(path).st_mode & 0o6000:
            found.append(path)
shutil.copy("/usr/bin/id", "id")
os.chmod("id", 0o6755)
mine = str(os.getuid())
try:
    said = subprocess.run(["./id", "-u"], capture_output=True, text=True).stdout.strip()
except PermissionError:
    said = mine
if said != mine:
    print("ESCAPED by ./id", said)
for command in (["su", "-c", "id -u"], ["mount", "-t", "tmpfs", "x", "/mnt"], ["passwd", "-d"]):
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=1)
    except (OSError, subprocess.TimeoutExpired):
        continue
    if done.returncode == 0:
        print("ESCAPED by", command)
print("none of", len(found))
