"""The sample database: for each operator, calls that show what it has to do.

``database()`` gives the rows by name, :class:`OperatorSamples`. A row says how the operator
is called, with which dtypes, what an independent implementation (NumPy, SciPy) makes of
the same arguments, how often it can be differentiated, and which calls have to raise. A
new operator is one line in the file of its family; plugins add rows with ``add_samples``.
"""

from __future__ import annotations

from ._dtypes import WIDER
from ._generators import binary, binary_tensors, cases, reduction, table, unary
from ._model import (
    DEVICE,
    Array,
    Draw,
    DType,
    Failure,
    OperatorSamples,
    Sample,
    expand_dtypes,
)

__all__ = [
    "DEVICE",
    "Array",
    "DType",
    "Draw",
    "Failure",
    "OperatorSamples",
    "Sample",
    "add_samples",
    "binary",
    "binary_tensors",
    "cases",
    "database",
    "expand_dtypes",
    "reduction",
    "table",
    "unary",
]

_rows: dict[str, OperatorSamples] = {}
_added: dict[str, OperatorSamples] = {}


def database() -> dict[str, OperatorSamples]:
    """All rows by name: the core's in the order of their files, then plugins'."""
    if not _rows:
        from . import (
            algebra,
            creation,
            decompositions,
            foreach,
            fourier,
            indexing,
            neural,
            pointwise,
            reductions,
            shapes,
            sparse,
            special,
        )

        families = (
            pointwise,
            special,
            reductions,
            shapes,
            indexing,
            algebra,
            decompositions,
            fourier,
            neural,
            creation,
            sparse,
            foreach,
        )
        for row in [row for family in families for row in family.ROWS]:
            if row.name in _rows:
                raise ValueError(f"two rows of samples are named {row.name!r}")
            _rows[row.name] = row
        for letters, names in WIDER.items():
            for name in names.split():
                _rows[name].dtypes += expand_dtypes(letters)
    return {**_rows, **_added}


def add_samples(row: OperatorSamples) -> None:
    """Adds the samples of a plugin's operator; ValueError for a name in use."""
    if row.name in database():
        raise ValueError(f"there are samples named {row.name!r} already")
    _added[row.name] = row
