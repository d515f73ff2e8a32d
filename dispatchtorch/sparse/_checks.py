"""Whether constructors check what they are given."""

from __future__ import annotations

import functools
from typing import Any

__all__ = ["check_sparse_tensor_invariants"]


class check_sparse_tensor_invariants:
    """Switches the checks of sparse constructors: a block, a decorator or ``enable()``."""

    _enabled = False

    def __init__(self, enable: bool = True) -> None:
        self.wanted = enable
        self.before: bool | None = None

    @classmethod
    def is_enabled(cls) -> bool:
        return check_sparse_tensor_invariants._enabled

    @classmethod
    def enable(cls) -> None:
        check_sparse_tensor_invariants._enabled = True

    @classmethod
    def disable(cls) -> None:
        check_sparse_tensor_invariants._enabled = False

    def __enter__(self) -> None:
        if self.before is not None:
            raise RuntimeError(
                "This context manager instance is already activated. Use a different "
                "context manager instance for context nesting."
            )
        self.before = self.is_enabled()
        check_sparse_tensor_invariants._enabled = self.wanted

    def __exit__(self, *exc_info: object) -> None:
        check_sparse_tensor_invariants._enabled = bool(self.before)
        self.before = None

    def __call__(self, function: Any) -> Any:
        @functools.wraps(function)
        def checked(*args: Any, **kwargs: Any) -> Any:
            with type(self)(self.wanted):
                return function(*args, **kwargs)

        return checked
