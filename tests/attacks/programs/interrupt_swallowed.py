# Every exception is caught, without end.
# timeout: 0.5
# status: timeout
# state: lost

while True:
    try:
        while True:
            pass
    except BaseException:
        pass
