# There is nothing to read, so nobody waits.
# status: error

input("? ")
