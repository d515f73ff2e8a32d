"""``torch.fft``: the operators ``fft_*`` under their public names."""

from __future__ import annotations

from typing import Any

from dispatchtorch.tensor import Tensor

__all__ = [
    "fft",
    "ifft",
    "fft2",
    "ifft2",
    "fftn",
    "ifftn",
    "rfft",
    "irfft",
    "rfft2",
    "irfft2",
    "rfftn",
    "irfftn",
    "hfft",
    "ihfft",
    "fftfreq",
    "rfftfreq",
    "fftshift",
    "ifftshift",
    "Tensor",
]

# PyTorch has these too, though not in its `__all__`.
_UNLISTED = ("hfft2", "ihfft2", "hfftn", "ihfftn")


def __getattr__(name: str) -> Any:
    if name not in __all__ and name not in _UNLISTED:
        raise AttributeError(f"module 'torch.fft' has no attribute '{name}'")
    from dispatchtorch.dispatch.operator import packets

    made = globals()[name] = packets[f"fft_{name}"].callable("function")
    return made


def __dir__() -> list[str]:
    return [*__all__, *_UNLISTED]
