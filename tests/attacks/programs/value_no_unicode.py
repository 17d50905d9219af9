# Half a surrogate pair in value and output breaks whoever writes it to a file.

class Odd:
    def __repr__(self):
        return "\ud800\udfff\x00\x1b[2J"


print("\ud800", "\udcff")
Odd()
