# Errors that come from errors, ten thousand deep.
# status: error

error = None
for number in range(10_000):
    following = ValueError(number)
    following.__cause__, following.__context__ = error, following
    error = following
raise error
