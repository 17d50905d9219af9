# A file that is a link every other moment.
# skipped: any
# artifacts: any
# writes_on: yes

import os
import threading

os.symlink("/etc/passwd", "spare")


def swap():
    for _ in range(100_000):
        open("turn.txt", "w").close()
        os.rename("turn.txt", "goal.txt")
        os.symlink("/etc/passwd", "turn.txt")
        os.rename("turn.txt", "goal.txt")


threading.Thread(target=swap, daemon=True).start()
