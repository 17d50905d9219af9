# Output and channel are put in each other's place.
# status: crashed ok
# state: any

import os

os.dup2(1, 3)
os.dup2(4, 5)
print("where does this go")
