"""What every lift stands on: unwrapping, guarded calls, wrapping, compiled closures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dispatchtorch import dtypes
from dispatchtorch.backend import Backend, Kernel
from dispatchtorch.dispatch import keys as K
from dispatchtorch.dispatch.operator import Operator

__all__ = [
    "WRAP",
    "Function",
    "Lift",
    "guard_constants",
    "guarded",
    "native_as",
    "out_of_memory",
    "plain_number",
    "result_keys",
    "run_guarded",
    "shape_mismatch",
]

Function = Callable[..., Any]

WRAP = """
t = new(Tensor)
t._data = r
t._keys = {keys}
t._edge = None
t._ver = None
t._base = None
t._meta = None
return t
"""


def result_keys(backend: Backend, dtype: dtypes.dtype, keys: int) -> int:
    """The keyset of a result: device, dtype, and the mark of inference mode."""
    mark = K.INFERENCE if keys & K.INFERENCE_MODE else 0
    return backend.key | dtype.bit | mark


def guarded(backend: Backend, call: str, failure: str | None) -> list[str]:
    """The lines of ``r = fn(…)``, run in the backend's context where it has one.

    ``failure`` is an expression of the exception to raise instead of ``error``.
    """
    run = call.replace("= fn(", "= run(fn, ") if backend.guard is not None else call
    if failure is None and backend.guard is None:
        return [call]
    raised = failure or "error"
    lines = ["try:", f"    {run}", "except Exception as error:"]
    if backend.guard is not None:
        lines += [
            "    if not is_busy(error): raise " + raised + " from None",
            f"    {call.replace('= fn(', '= guard.copy().run(fn, ')}",
        ]
    else:
        lines.append(f"    raise {raised} from None")
    return lines


def is_busy(error: Exception) -> bool:
    """Whether a context couldn't be entered because another thread is inside it."""
    return type(error) is RuntimeError and "cannot enter context" in str(error)


def run_guarded(backend: Backend, function: Function, *args: Any) -> Any:
    """Calls a native function in the backend's context; for paths that aren't hot."""
    guard = backend.guard
    return function(*args) if guard is None else guard.copy().run(function, *args)


def guard_constants(backend: Backend) -> dict[str, Any]:
    guard = backend.guard
    if guard is None:
        return {}
    return {"run": guard.run, "guard": guard, "is_busy": is_busy}


class Lift:
    """A family of operators that take tensors in the same manner."""

    has_out = True

    def bind(
        self,
        op: Operator,
        keys: int,
        backend: Backend,
        kernel: Kernel,
        declined: Function,
    ) -> Function:
        """A closure over tensors. ``declined(*args)`` runs the next candidate."""
        raise NotImplementedError

    def bind_inplace(
        self,
        op: Operator,
        keys: int,
        backend: Backend,
        kernel: Kernel,
        declined: Function,
    ) -> Function | None:
        """As :meth:`bind`, writing to the first argument; None if it can't be direct."""
        return None


def native_as(value: Any, dtype: dtypes.dtype, backend: Backend, index: int = 0) -> Any:
    """An operand's native array in ``dtype``: cast, or made from a Python number."""
    keys = getattr(value, "_keys", None)
    if keys is None:
        return backend.scalar(plain_number(value), dtype, index)
    if keys & dtype.bit:
        return value._data
    return run_guarded(backend, backend.cast, value._data, dtype)


def plain_number(value: Any) -> Any:
    item = getattr(value, "item", None)
    return item() if item is not None else value


def shape_mismatch(own: tuple[int, ...], common: tuple[int, ...]) -> RuntimeError:
    return RuntimeError(
        f"output with shape {list(own)} doesn't match the broadcast shape {list(common)}"
    )


def out_of_memory(error: MemoryError) -> RuntimeError:
    return RuntimeError(
        f"DefaultCPUAllocator: can't allocate memory: {error}. Error code 12 (Cannot "
        "allocate memory)"
    )
