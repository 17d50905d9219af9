# An error whose message has 100 MB.
# status: error

raise ValueError("m" * 100_000_000)
