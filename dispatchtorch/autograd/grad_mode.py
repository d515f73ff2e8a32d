"""Grad modes: context managers and decorators that mask the autograd layer."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from dispatchtorch.dispatch import state
from dispatchtorch.dispatch.keys import AUTOGRAD, INFERENCE_MODE, VIEW

__all__ = [
    "enable_grad",
    "inference_mode",
    "is_grad_enabled",
    "no_grad",
    "set_grad_enabled",
]

is_grad_enabled = state.grad_enabled


class _Mode:
    """A context manager that can also decorate functions and generators."""

    __slots__ = ("before",)

    def _masks(self) -> tuple[int, int]:
        raise NotImplementedError

    def clone(self) -> _Mode:
        return type(self)()

    def __enter__(self) -> None:
        self.before = (state.tls.mask, state.tls.include)
        state.update(*self._masks())

    def __exit__(self, *exc_info: object) -> None:
        mask, include = self.before
        ours = AUTOGRAD | VIEW
        # Only what this mode owns goes back; other layers' switches nest freely.
        mask = state.tls.mask & ~ours | mask & ours
        include = state.tls.include & ~INFERENCE_MODE | include & INFERENCE_MODE
        state.update(mask, include)

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        if isinstance(function, type):
            function.__init__ = self(function.__init__)  # type: ignore[misc]
            return function
        code = getattr(function, "__code__", None)
        if code is not None and code.co_flags & 0x20:
            return self._generator(function)

        @functools.wraps(function)
        def decorated(*args: Any, **kwargs: Any) -> Any:
            with self.clone():
                return function(*args, **kwargs)

        return decorated

    def _generator(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The mode holds inside the generator, and not where it is consumed."""

        @functools.wraps(function)
        def decorated(*args: Any, **kwargs: Any) -> Any:
            generator = function(*args, **kwargs)
            send, value = generator.send, None
            try:
                while True:
                    with self.clone():
                        try:
                            made = send(value)
                        except StopIteration as stop:
                            return stop.value
                    try:
                        value = yield made
                        send = generator.send
                    except GeneratorExit:
                        with self.clone():
                            generator.close()
                        raise
                    except BaseException as error:
                        send, value = generator.throw, error
            finally:
                generator.close()

        return decorated


class no_grad(_Mode):
    """A block, or a function, in which no history is recorded."""

    __slots__ = ()

    def __new__(cls, function: Callable[..., Any] | None = None) -> Any:
        made = object.__new__(cls)
        return made if function is None else made(function)

    def __init__(self, function: Any = None) -> None:
        pass

    def _masks(self) -> tuple[int, int]:
        return state.tls.mask & ~(AUTOGRAD | VIEW), state.tls.include


class enable_grad(no_grad):
    """A block, or a function, in which history is recorded (again)."""

    __slots__ = ()

    def _masks(self) -> tuple[int, int]:
        return state.tls.mask | AUTOGRAD | VIEW, state.tls.include


class set_grad_enabled(_Mode):
    """Sets the grad mode at once; as a context manager, for the block only."""

    __slots__ = ("mode",)

    def __init__(self, mode: bool) -> None:
        if not isinstance(mode, bool):
            raise TypeError(
                "set_grad_enabled(): argument 'enabled' (position 1) must be bool, not "
                f"{type(mode).__name__}"
            )
        self.before = (state.tls.mask, state.tls.include)
        self.mode = mode
        state.set_grad_enabled(mode)

    def clone(self) -> _Mode:
        return type(self)(self.mode)

    def _masks(self) -> tuple[int, int]:
        ours = AUTOGRAD | VIEW
        mask = state.tls.mask
        return (mask | ours if self.mode else mask & ~ours), state.tls.include

    def __enter__(self) -> None:
        state.update(*self._masks())

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        _Mode.__exit__(self)
        return super().__call__(function)


class inference_mode(_Mode):
    """As ``no_grad``, and the tensors made have no version counters."""

    __slots__ = ("mode",)

    def __new__(cls, mode: Any = True) -> Any:
        made = object.__new__(cls)
        if isinstance(mode, bool):
            return made
        made.mode = True
        return made(mode)

    def __init__(self, mode: bool = True) -> None:
        self.mode = mode

    def clone(self) -> _Mode:
        return type(self)(self.mode)

    def _masks(self) -> tuple[int, int]:
        mask, include = state.tls.mask, state.tls.include
        if self.mode:
            return mask & ~(AUTOGRAD | VIEW), include | INFERENCE_MODE
        return mask | AUTOGRAD | VIEW, include & ~INFERENCE_MODE
