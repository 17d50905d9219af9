# An error that ends the process, or never ends, while it is described.
# status: timeout
# timeout: 1
# state: lost

class Hostile(Exception):
    def __str__(self):
        while True:
            try:
                while True:
                    pass
            except BaseException:
                pass


raise Hostile
