"""The layer: it looks at what each operator returns, and reports who made a NaN or Inf.

An operator *makes* one if no tensor and no number that it was given had one. What only
passes them on isn't reported, nor are operators that read no tensors (``torch.full``),
uninitialised memory and views.
"""

from __future__ import annotations

import linecache
import math
import sys
import warnings
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from dispatchtorch.dispatch.layer import Layer

__all__ = ["ACTIONS", "Finding", "NonFiniteError", "Sanitizer", "sanitizer"]

#: What may be done about a finding; a function that is called with it may be given too.
ACTIONS = ("raise", "warn", "record")
_KEY = "dispatchtorch_sanitizer"
_PACKAGES = ("dispatchtorch", "dispatchtorch_numpy", "dispatchtorch_sanitizer", "runpy")
_UNINITIALISED = {"empty_like", "new_empty", "new_empty_strided", "resize_", "empty"}


class NonFiniteError(FloatingPointError):
    """An operator made a NaN or an infinity; ``finding`` says which, and where."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(str(finding))
        self.finding = finding


class Finding:
    """One operator's call that made values that aren't finite."""

    def __init__(
        self, operator: str, nans: int, infs: int, elements: int, inputs: list[str]
    ) -> None:
        self.operator = operator
        self.nans = nans
        self.infs = infs
        self.elements = elements
        self.inputs = inputs
        self.file, self.line = _user_line()
        #: (operator, file, line) of the forward call, where this is its backward pass.
        self.forward: tuple[str, str, int] | None = _forward_call()

    def __str__(self) -> str:
        made = " and ".join(
            f"{count} {name}"
            for count, name in ((self.nans, "NaN"), (self.infs, "Inf"))
            if count
        )
        lines = [
            f"operator '{self.operator}' made {made} (of {self.elements} elements)",
            *_shown("at", self.file, self.line),
        ]
        if self.forward is not None:
            operator, file, line = self.forward
            lines += _shown(
                f"in the backward pass of '{operator}', called at", file, line
            )
        lines += [f"  given {each}" for each in self.inputs]
        return "\n".join(lines)


class Sanitizer(Layer):
    """Looks for NaN and Inf in every result."""

    name = "sanitizer"
    order = 70  # outside autograd, so that results have their nodes

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self.configure()

    def configure(
        self,
        action: str | Callable[[Finding], None] = "raise",
        *,
        nan: bool = True,
        inf: bool = True,
    ) -> None:
        """What to look for, and what to do: "raise", "warn", "record" or a function."""
        if not callable(action) and action not in ACTIONS:
            raise ValueError(f"action {action!r} isn't one of {', '.join(ACTIONS)}")
        self.action, self.nan, self.inf = action, nan, inf

    def enabled(
        self,
        action: str | Callable[[Finding], None] = "raise",
        *,
        nan: bool = True,
        inf: bool = True,
    ) -> Any:
        """A block in which this thread's calls are looked at."""
        return _Block(self, action, nan, inf)

    def bind(self, op: Any, keys: int, inner: Callable[..., Any]) -> Callable[..., Any]:
        if "view" in op.tags or op.name.rstrip("_") in _UNINITIALISED:
            return inner
        writes = "inplace" in op.tags

        def checked(*args: Any) -> Any:
            # What is written in place can't be looked at later.
            clean = not writes or not self._bad(args)
            result = inner(*args)
            if clean and self._bad(result) and (writes or not self._bad(args)):
                if any(True for _ in _tensors(args)):
                    self._report(op, args, result)
            self._note(op, result)
            return result

        return checked

    def describe(self, op: Any, keys: int) -> str:
        return "looks for NaN and Inf in the result"

    def _bad(self, value: Any) -> bool:
        """Whether there is what we look for in tensors or numbers."""
        for each in _leaves(value):
            if type(each) is float:
                found = (self.nan and math.isnan(each)) or (
                    self.inf and math.isinf(each)
                )
            elif hasattr(each, "_keys") and _is_float(each):
                nans, infs = self._counts(each)
                found = bool((self.nan and nans) or (self.inf and infs))
            else:
                continue
            if found:
                return True
        return False

    def _counts(self, tensor: Any) -> tuple[int, int]:
        import dispatchtorch as torch

        with self.disabled(), torch.no_grad():
            if bool(torch.isfinite(tensor).all()):
                return 0, 0
            nans = int(torch.isnan(tensor).sum())
            return nans, int(tensor.numel()) - nans - int(torch.isfinite(tensor).sum())

    def _report(self, op: Any, args: Any, result: Any) -> None:
        nans = infs = elements = 0
        for each in _tensors(result):
            if _is_float(each):
                found = self._counts(each)
                nans, infs = nans + found[0], infs + found[1]
                elements += each.numel()
        names = [argument.name for argument in op.schema.arguments]
        with self.disabled():
            inputs = [
                f"{name}: {_summary(value)}"
                for name, value in zip(names, args, strict=False)
                if value is not None and ("inplace" not in op.tags or name != names[0])
            ]
        finding = Finding(op.full_name, nans, infs, elements, inputs)
        self.findings.append(finding)
        if callable(self.action):
            self.action(finding)
        elif self.action == "raise":
            raise NonFiniteError(finding)
        elif self.action == "warn":
            warnings.warn(str(finding), RuntimeWarning, stacklevel=3)

    def _note(self, op: Any, result: Any) -> None:
        """Leaves the line of the call with the node, for the backward pass."""
        for each in _tensors(result):
            node = each.grad_fn
            if node is not None and _KEY not in node.metadata:
                node.metadata[_KEY] = (op.full_name, *_user_line())


class _Block:
    def __init__(self, layer: Sanitizer, action: Any, nan: bool, inf: bool) -> None:
        self.layer, self.options = layer, (action, nan, inf)

    def __enter__(self) -> Sanitizer:
        layer = self.layer
        self.before = (layer.action, layer.nan, layer.inf)
        action, nan, inf = self.options
        layer.configure(action, nan=nan, inf=inf)
        layer.findings.clear()
        self.block = Layer.enabled(layer)
        self.block.__enter__()
        return layer

    def __exit__(self, *exc_info: object) -> None:
        self.block.__exit__(*exc_info)
        self.layer.action, self.layer.nan, self.layer.inf = self.before


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, (tuple, list)):
        for each in value:
            yield from _leaves(each)
    else:
        yield value


def _tensors(value: Any) -> Iterator[Any]:
    return (each for each in _leaves(value) if hasattr(each, "_keys"))


def _is_float(tensor: Any) -> bool:
    dtype = tensor.dtype
    return bool(dtype.is_floating_point or dtype.is_complex)


def _summary(value: Any) -> str:
    if not hasattr(value, "_keys"):
        return repr(value)
    text = f"{value.dtype} {list(value.shape)} on {value.device}"
    if value.numel() and not value.dtype.is_complex:
        values = value.detach()
        text += f", from {values.min().item()} to {values.max().item()}"
    return text


def _shown(before: str, file: str, line: int) -> list[str]:
    text = linecache.getline(file, line).strip()
    return [f"  {before} {file}:{line}", *([f"    {text}"] if text else [])]


def _frames() -> Iterator[FrameType]:
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        yield frame
        frame = frame.f_back


def _user_line() -> tuple[str, int]:
    """The innermost line that isn't this plugin's or the framework's."""
    for frame in _frames():
        package = frame.f_globals.get("__name__", "").partition(".")[0]
        generated = frame.f_code.co_filename.startswith("<generated")
        if package not in _PACKAGES and not generated:
            return frame.f_code.co_filename, frame.f_lineno
    return "<unknown>", 0


def _forward_call() -> tuple[str, str, int] | None:
    """What the node was made by whose backward pass is running, if one is."""
    for frame in _frames():
        if frame.f_globals.get("__name__") == "dispatchtorch.autograd.engine":
            node = frame.f_locals.get("node")
            found: tuple[str, str, int] | None = getattr(node, "metadata", {}).get(_KEY)
            if found is not None:
                return found
    return None


sanitizer = Sanitizer()
