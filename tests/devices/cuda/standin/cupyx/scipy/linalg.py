# ruff: noqa: F401, F403, N803, ARG001
"""``cupyx.scipy.linalg`` by SciPy's."""

from cupy_standin import _new
from scipy import linalg


def lu_factor(a, overwrite_a=False, check_finite=True):
    made, rows = linalg.lu_factor(a._a)
    return _new(made), _new(rows)


def solve_triangular(a, b, trans=0, lower=False, unit_diagonal=False,
                     overwrite_b=False, check_finite=False):  # fmt: skip
    return _new(
        linalg.solve_triangular(a._a, b._a, lower=lower, unit_diagonal=unit_diagonal)
    )
