"""``torch.backends.opt_einsum``: in which order ``einsum`` multiplies its operands."""

from __future__ import annotations

from typing import Any

from dispatchtorch.backends._common import switching

__all__ = ["flags", "get_opt_einsum", "is_available"]

enabled = True
strategy: str | None = "auto"

flags = switching(globals(), enabled=None, strategy=None)


def get_opt_einsum() -> Any:
    """The package of that name, or None where it isn't installed."""
    try:
        import opt_einsum
    except ImportError:
        return None
    return opt_einsum


def is_available() -> bool:
    """Whether the package of that name is installed."""
    return get_opt_einsum() is not None
