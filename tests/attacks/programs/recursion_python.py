# Deeper than the stack.
# status: error crashed
# state: any

import sys

sys.setrecursionlimit(10**9)


def deeper(number):
    return deeper(number + 1) + deeper(number + 2)


deeper(0)
