# The first to die when memory ends: one may go back to PID 1's score, never below.
# output: refused

try:
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write("-1000")
    print("ESCAPED")
except OSError as error:
    print("refused", error)
