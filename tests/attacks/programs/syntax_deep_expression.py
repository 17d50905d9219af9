# An expression that is deep and legal.
# status: error ok crashed
# state: any
# timeout: 8

exec("x = " + "-" * 100_000 + "1")
