# ruff: noqa: F401, F403, N803, ARG001
"""``cupy.fft`` by NumPy's."""

import numpy as np
from cupy_standin import _new


def _transform(name):
    function = getattr(np.fft, name)

    def run(a, *args, **options):
        made = function(a._a, *args, **options)
        single = a.dtype.char in "fFe"
        return _new(
            made.astype("F" if made.dtype.kind == "c" else "f") if single else made
        )

    return run


fft, ifft, rfft, irfft, fftn, ifftn, rfftn, irfftn = map(
    _transform, "fft ifft rfft irfft fftn ifftn rfftn irfftn".split()
)
