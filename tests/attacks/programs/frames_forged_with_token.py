# The program finds its own token and answers for itself, with more text than fits into a frame.
# status: ok error

import gc
import json
import os
import struct

for found in gc.get_objects():
    if isinstance(found, dict) and found.get("op") == "run" and "token" in found:
        for text in ("\U0001f600" * 30_000, {"a": 1}, "\ud800" * 30_000):
            head = {"op": "result", "token": found["token"], "status": "ok"}
            head |= {"value": text, "error": text, "detail": text, "state_lost": True}
            data = json.dumps(head, ensure_ascii="\ud800" in str(text)).encode()
            if len(data) < 500_000:
                os.write(3, struct.pack(">II", len(data), 0) + data)
