# Hooks that fail at every step.
# after: any
# state: any
# status: ok error crashed timeout
# timeout: 2

import sys
import threading


def refuse(*arguments):
    raise RuntimeError("no")


sys.excepthook = sys.unraisablehook = sys.displayhook = refuse
threading.settrace(refuse)
sys.setprofile(refuse)
sys.addaudithook(refuse)
