# The program's own module is replaced.
# state: any

import sys
import types

sys.modules["__main__"] = types.ModuleType("__main__")
sys.stdout = sys.stderr = sys.stdin = None
sys.argv = sys.path = None
