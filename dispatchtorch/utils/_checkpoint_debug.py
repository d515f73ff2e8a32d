"""What two runs of a checkpointed function called, for ``checkpoint(debug=True)``."""

from __future__ import annotations

import traceback
from typing import Any

import dispatchtorch as torch

__all__ = ["Recorder"]

_RUNS = ("the original forward", "recomputation")


class _Run:
    def __init__(self, calls: list[str]) -> None:
        self.calls = calls

    def __enter__(self) -> None:
        self.calls.clear()
        self.mode = _log_mode(self.calls)
        self.mode.__enter__()

    def __exit__(self, *error: Any) -> None:
        self.mode.__exit__(*error)


class Recorder:
    """Lists the functions called on tensors in each run, with the lines they are on."""

    def __init__(self) -> None:
        self.calls: tuple[list[str], list[str]] = ([], [])

    def contexts(self) -> tuple[_Run, _Run]:
        """A context for each run, to be entered as often as the run is made."""
        return _Run(self.calls[0]), _Run(self.calls[1])

    def explain(self, error: Exception) -> str:
        """A report on both runs that ends with ``error``."""
        parts = [
            "An error happened while unpacking tensors; dumping logs of latest "
            "computation\nbecause you passed `debug=True` to "
            "`torch.utils.checkpoint.checkpoint()`.\n"
        ]
        for number, (run, calls) in enumerate(zip(_RUNS, self.calls, strict=True), 1):
            rule = "-" * 78
            parts.append(f"{rule}\n{number}. Functions called during {run}\n{rule}")
            for i, call in enumerate(calls, 1):
                parts.append(f"({i} of {len(calls)}) {call}")
        first, second = self.calls
        for i in range(max(len(first), len(second))):
            a, b = (c[i].split("\n")[0] if i < len(c) else None for c in self.calls)
            if a != b:
                parts.append(f"They part at call {i + 1}: {a} against {b}")
                break
        return "\n".join([*parts, "", f"The error: {error}"])


def _log_mode(calls: list[str]) -> Any:
    class LogMode(torch.overrides.TorchFunctionMode):  # type: ignore[misc]
        def __torch_function__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            kwargs = kwargs or {}
            out = func(*args, **kwargs)
            name = getattr(func, "__name__", str(func))
            if name == "__get__":
                return out  # reading an attribute computes nothing
            shown = [_show(x) for x in args]
            shown += [f"{key}={_show(x)}" for key, x in kwargs.items()]
            where = "".join(traceback.format_list(traceback.extract_stack()[-6:-1]))
            calls.append(f"{_show(out)} = {name}({', '.join(shown)})\n{where}")
            return out

    return LogMode()


def _show(value: Any) -> str:
    if isinstance(value, torch.Tensor):
        return f"{str(value.dtype).rpartition('.')[2]}{list(value.shape)}"
    return repr(value)
