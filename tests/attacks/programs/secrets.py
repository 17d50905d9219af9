# What the environment and the file system tell.
# output: none

import os

found = [name for name in os.environ if any(word in name for word in ("KEY", "TOKEN", "SECRET", "PASS"))]
for folder in ("/root", "/home", "/var/run/secrets", "/run/secrets", "/var/lib/docker"):
    try:
        found += [os.path.join(folder, name) for name in os.listdir(folder)]
    except OSError:
        pass
print("ESCAPED" if found else "none", found)
