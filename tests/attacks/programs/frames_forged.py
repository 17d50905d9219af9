# A result with a guessed token, and one of a call that will come.
# value: 'mine'

import json
import os
import struct

for token in ("", "0" * 16, None, 7):
    head = {"op": "result", "token": token, "status": "ok", "value": "forged"}
    data = json.dumps(head).encode()
    os.write(3, struct.pack(">II", len(data), 0) + data)
"mine"
