# Source that is nested deeper than the parser goes.
# status: error crashed
# state: any

exec("(" * 200_000)
