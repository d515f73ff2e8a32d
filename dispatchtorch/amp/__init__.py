"""``torch.amp``: mixed precision, which isn't there yet and says so when it is asked for."""

from __future__ import annotations

from typing import Any

from dispatchtorch._absent import explanation

__all__ = ["autocast", "is_autocast_available"]


def is_autocast_available(device_type: str) -> bool:
    """False: no device has autocast yet."""
    return False


class autocast:
    """Autocast switched off; NotImplementedError where it is to be on."""

    def __init__(
        self,
        device_type: str,
        dtype: Any = None,
        enabled: bool = True,
        cache_enabled: bool | None = None,
    ) -> None:
        if enabled:
            raise NotImplementedError("autocast isn't supported yet")

    def __enter__(self) -> autocast:
        return self

    def __exit__(self, *exc_info: object) -> None:
        pass

    def __call__(self, function: Any) -> Any:
        return function


def __getattr__(name: str) -> Any:
    raise AttributeError(
        f"module 'torch.amp' has no attribute '{name}'"
        f"{'' if name.startswith('__') else explanation('amp')}"
    )
