"""What the modules of ``torch.backends`` share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

__all__ = ["has_device", "switching"]


def has_device(device_type: str) -> bool:
    """Whether a plugin provides the device, and it is usable."""
    from dispatchtorch.backend import get_backend

    try:
        return get_backend(device_type).is_available()
    except RuntimeError:
        return False


def switching(
    module: dict[str, Any], **defaults: Any
) -> Callable[..., AbstractContextManager[None]]:
    """The context manager ``flags`` over a module's switches, which it restores."""

    @contextmanager
    def flags(**values: Any) -> Iterator[None]:
        unknown = next((name for name in values if name not in defaults), None)
        if unknown is not None:
            raise TypeError(f"flags() got an unexpected keyword argument '{unknown}'")
        before = {name: module[name] for name in defaults}
        module.update(defaults | values)
        try:
            yield
        finally:
            module.update(before)

    return flags
