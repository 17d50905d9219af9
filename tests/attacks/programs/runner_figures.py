# A matplotlib of its own that never ends.
# timeout: 1
# status: timeout
# state: any

import sys
import types


class Endless(types.ModuleType):
    def get_fignums(self):
        while True:
            pass


sys.modules["matplotlib.pyplot"] = Endless("matplotlib.pyplot")
