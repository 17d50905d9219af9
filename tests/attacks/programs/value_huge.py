# The value of the last expression has 200 MB.
# value: 200000000 in all

"x" * 200_000_000
