"""Building a module without paying for its initialisation."""

from __future__ import annotations

from typing import Any

import dispatchtorch as torch

__all__ = ["skip_init"]


def skip_init(module_cls: type, *args: Any, **kwargs: Any) -> Any:
    """An instance of `module_cls` whose parameters are allocated but not initialised.

    The module is built on the meta device and then given memory on `device` (a keyword
    argument, the default device when left out). Raises RuntimeError for a class that
    is no Module or whose constructor takes no `device`.
    """
    if not issubclass(module_cls, torch.nn.Module):
        raise RuntimeError(f"Expected a Module; got {module_cls}")
    from inspect import signature

    if "device" not in signature(module_cls).parameters:
        raise RuntimeError("Module must support a 'device' arg to skip initialization")
    device = kwargs.pop("device", None)
    if device is None:
        device = torch.get_default_device()
    return module_cls(*args, device="meta", **kwargs).to_empty(device=device)
