# A thread ends the process when the program is over.
# state: any
# status: ok crashed
# after: any

import os
import threading
import time

threading.Thread(target=lambda: (time.sleep(0.02), os._exit(4)), daemon=True).start()
