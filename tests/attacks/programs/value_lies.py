# A value whose text is no text, and one that asks for the future.
# status: error

class Liar:
    def __repr__(self):
        return 7


Liar()
