from cupy_standin import SPECIAL as _functions

globals().update(_functions)
