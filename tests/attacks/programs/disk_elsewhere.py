# Every other place of the file system.
# output: refused

import os

wrote = []
for folder, _, _ in os.walk("/"):
    if folder.startswith(("/workspace", "/tmp", "/dev/shm", "/proc", "/sys", "/dev/mqueue")):
        continue
    try:
        with open(os.path.join(folder, ".x"), "w") as file:
            file.write("x")
        wrote.append(folder)
    except OSError:
        pass
print("ESCAPED" if wrote else "refused", wrote)
