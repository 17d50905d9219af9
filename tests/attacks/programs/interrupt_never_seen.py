# One step that takes hours and looks at no signal.
# timeout: 0.5
# status: timeout
# state: lost

sum(range(10**13))
