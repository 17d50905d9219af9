# The built-in functions are gone.
# after: any
# state: any
# status: ok error crashed

import builtins

for name in ("compile", "exec", "eval", "isinstance", "len", "print", "repr"):
    setattr(builtins, name, None)
