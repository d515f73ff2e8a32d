"""Default devices as a function mode.

``with torch.device(...)`` and ``torch.set_default_device`` don't need one here, where
factories ask for the default device themselves. The mode is for code that uses it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import dispatchtorch as torch
from dispatchtorch.overrides import TorchFunctionMode

__all__ = ["DeviceContext", "device_decorator", "set_device"]

_CONSTRUCTORS = """
    empty empty_permuted empty_strided ones arange bartlett_window blackman_window eye
    fft.fftfreq fft.rfftfreq full hamming_window hann_window kaiser_window linspace
    logspace nested.nested_tensor rand randn randint randperm range
    sparse_coo_tensor sparse_compressed_tensor sparse_csr_tensor sparse_csc_tensor
    sparse_bsr_tensor sparse_bsc_tensor tril_indices triu_indices zeros asarray tensor
    as_tensor scalar_tensor
""".split()


@functools.cache
def _device_constructors() -> set[Callable[..., Any]]:
    found = set()
    for path in _CONSTRUCTORS:
        value: Any = torch
        for part in path.split("."):
            value = getattr(value, part, None)
        if value is not None:
            found.add(value)
    return found


class DeviceContext(TorchFunctionMode):
    """A block in which functions that make tensors make them on a device."""

    def __init__(self, device: Any) -> None:
        self.device = torch.device(device)

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if func in _device_constructors() and kwargs.get("device") is None:
            kwargs["device"] = self.device
        return func(*args, **kwargs)


def device_decorator(device: Any, func: Callable[..., Any]) -> Callable[..., Any]:
    """The function, called within ``device()``, which gives a context manager."""

    @functools.wraps(func)
    def on_device(*args: Any, **kwargs: Any) -> Any:
        with device():
            return func(*args, **kwargs)

    return on_device


def set_device(device: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorates a function to run with a default device."""
    return lambda func: device_decorator(lambda: torch.device(device), func)
