# Limits of PID 1.
# output: refused; refused

import resource

for number in (resource.RLIMIT_NOFILE, resource.RLIMIT_CPU):
    try:
        resource.prlimit(1, number, (1, 1))
        print("ESCAPED")
    except OSError as error:
        print("refused", error)
