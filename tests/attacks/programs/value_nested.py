# A value whose text takes 200 MB although nothing in it is long.
# value: …
# timeout: 10

[[["y" * 1000] * 100] * 50] * 40
