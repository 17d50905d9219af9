# The runner's own modules are changed in memory.
# after: any
# state: any
# status: ok error crashed

import json
import os
import struct
import sys

for name, module in list(sys.modules.items()):
    if name.startswith("agentkit_sandbox"):
        for key in list(vars(module)):
            if callable(vars(module)[key]):
                setattr(module, key, lambda *a, **k: None)
json.dumps = json.loads = lambda *a, **k: "{}"
struct.Struct.pack = None if False else struct.Struct.pack
os.getpid = lambda: 1
