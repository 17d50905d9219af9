# Frames as the supervisor sends them to the host, on every descriptor.
# status: ok crashed
# state: any

import json
import os
import struct

head = json.dumps({"op": "done", "nonce": "0" * 16, "status": "ok", "value": "forged"}).encode()
for descriptor in (1, 2, 4, 5):
    os.write(descriptor, struct.pack(">II", len(head), 0) + head)
