# The workspace itself is taken away, or becomes a link.
# output: refused; refused; refused

import os

for name, attempt in (
    ("remove", lambda: os.rmdir("/workspace")),
    ("rename", lambda: os.rename("/workspace", "/tmp/w")),
    ("link", lambda: os.symlink("/etc", "/workspace")),
):
    try:
        attempt()
        print("ESCAPED", name)
    except OSError as error:
        print("refused", name, error)
