# ruff: noqa: F401, F403, N803, ARG001
from cupy_standin import SPECIAL as _functions

globals().update(_functions)
