"""What runs inside a sandbox: a supervisor as PID 1 and the kernel that it forks.

Standard library only. The host sends these files as one argument (see bundle.py), so that any
image with Python serves.
"""
