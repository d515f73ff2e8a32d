"""``torch.signal.windows``: the window functions of signal processing.

See https://docs.pytorch.org/docs/stable/signal.html. ``sym=False`` gives a window of a
period ``M``, for spectra; ``sym=True`` a symmetric one, for filters.
"""

from dispatchtorch.signal.windows.windows import (
    bartlett,
    blackman,
    cosine,
    exponential,
    gaussian,
    general_cosine,
    general_hamming,
    hamming,
    hann,
    kaiser,
    nuttall,
)

__all__ = [
    "bartlett",
    "blackman",
    "cosine",
    "exponential",
    "gaussian",
    "general_cosine",
    "general_hamming",
    "hamming",
    "hann",
    "kaiser",
    "nuttall",
]
