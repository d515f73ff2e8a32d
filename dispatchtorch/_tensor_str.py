"""How tensors print: formats of numbers, layout of brackets, suffixes.

The values come to the host once, as one flat list of Python numbers. A
``_Formatter`` looks at the whole list, chooses a notation and returns one text
for each number; ``_brackets`` then lays the texts out in the tensor's shape.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import dispatchtorch as torch

__all__ = ["get_printoptions", "printoptions", "set_printoptions", "tensor_str"]

_DEFAULTS: dict[str, Any] = {
    "precision": 4,
    "threshold": 1000,
    "edgeitems": 3,
    "linewidth": 80,
    "sci_mode": None,
}
_PROFILES: dict[str, dict[str, Any]] = {
    "default": {"precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 80},
    "short": {"precision": 2, "threshold": 1000, "edgeitems": 2, "linewidth": 80},
    "full": {"precision": 4, "threshold": math.inf, "edgeitems": 3, "linewidth": 80},
}
_options = dict(_DEFAULTS)

# Beyond these a fixed-point column would be unreadable.
_MAX_RATIO = 1000.0
_MAX_FIXED = 1.0e8
_MIN_FIXED = 1.0e-4

# A tensor of this device type prints without a device suffix.
_HOST = "cpu"


# --- options ---------------------------------------------------------------


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Set how tensors print.

    Args:
        precision: digits after the decimal point (4).
        threshold: a tensor with more elements than this is summarised (1000).
        edgeitems: items kept at each end of a summarised dimension (3).
        linewidth: columns of a line (80).
        profile: ``"default"``, ``"short"`` or ``"full"``; the other arguments
            refine it.
        sci_mode: force scientific notation on or off; ``None`` lets the values
            decide.

    See https://pytorch.org/docs/stable/generated/torch.set_printoptions.html
    """
    _options.update(_PROFILES.get(profile or "", {}))
    given = {
        "precision": precision,
        "threshold": threshold,
        "edgeitems": edgeitems,
        "linewidth": linewidth,
    }
    _options.update({k: v for k, v in given.items() if v is not None})
    _options["sci_mode"] = sci_mode


def get_printoptions() -> dict[str, Any]:
    """The print options in force, as a new dictionary."""
    return dict(_options)


@contextmanager
def printoptions(**kwargs: Any) -> Iterator[None]:
    """Context manager around ``set_printoptions``; restores what was set before."""
    before = get_printoptions()
    set_printoptions(**kwargs)
    try:
        yield
    finally:
        _options.update(before)


# --- numbers ---------------------------------------------------------------


def _whole(value: float) -> str:
    text = f"{value:.0f}"
    return text + "." if math.isfinite(value) else text


class _Formatter:
    """Texts of one column of numbers: same notation, padded to one width."""

    def __init__(self, values: list[Any], *, floating: bool) -> None:
        write: Callable[[Any], str] = str
        telling = values
        if floating:
            # zeros, infinities and NaNs neither choose a notation nor widen it
            telling = [v for v in values if v and math.isfinite(v)]
            write = self._notation(telling)
        texts = {v: write(v) for v in telling}
        self.width = max(map(len, texts.values()), default=1)
        self.texts = [(texts.get(v) or write(v)).rjust(self.width) for v in values]

    @staticmethod
    def _notation(telling: list[float]) -> Callable[[float], str]:
        """The notation that shows these nonzero finite values best."""
        if not telling:
            return _whole
        precision = _options["precision"]
        whole = all(map(float.is_integer, telling))
        scientific = _options["sci_mode"]
        if scientific is None:
            sizes = [abs(v) for v in telling]
            low, high = min(sizes), max(sizes)
            scientific = high / low > _MAX_RATIO or high > _MAX_FIXED
            scientific = scientific or (low < _MIN_FIXED and not whole)
        spec = "e" if scientific else "f"
        return _whole if spec == "f" and whole else f"{{:.{precision}{spec}}}".format


def _column(values: list[Any], dtype: Any) -> tuple[list[str], int]:
    """One text for each value, and the width reserved for one."""
    if not dtype.is_complex:
        column = _Formatter(values, floating=dtype.is_floating_point)
        return column.texts, column.width
    real = _Formatter([v.real for v in values], floating=True)
    imag = _Formatter([v.imag for v in values], floating=True)
    texts = []
    for re, im in zip(real.texts, imag.texts, strict=True):
        im = im.lstrip()
        texts.append(f"{re}{im}j" if im[0] in "+-" else f"{re}+{im}j")
    return texts, real.width + imag.width + 1


# --- layout ----------------------------------------------------------------


def _to_host(t: Any) -> list[Any]:
    """The tensor's values as a flat list of Python numbers, in one transfer."""
    if t.device.type != _HOST:
        t = t.cpu()
    if t.dtype.is_complex:
        t = t.to(torch.complex64) if t.dtype.itemsize < 8 else t
    elif t.dtype.is_floating_point and t.dtype.itemsize < 4:
        t = t.to(torch.float32)
    return t.reshape(-1).tolist()


def _edges(t: Any, edge: int) -> Any:
    """Only what a summary shows: ``edge`` items at both ends of every long axis."""
    for dim, size in enumerate(t.shape):
        if size > 2 * edge:
            ends = t.narrow(dim, 0, edge), t.narrow(dim, size - edge, edge)
            t = torch.cat(ends, dim)
    return t


def _brackets(
    texts: Iterator[str],
    shape: tuple[int, ...],
    edge: int | None,
    per_line: int,
    indent: int,
) -> str:
    """Lay ``texts`` out as nested brackets.

    ``shape`` is the tensor's own; where an axis is longer than ``2 * edge``
    only the ends of it are in ``texts`` (``edge`` None: everything is).
    """
    size = shape[0]
    cut = edge is not None and size > 2 * edge
    shown = 2 * edge if cut and edge is not None else size
    rows: list[str]
    if len(shape) == 1:
        items = [next(texts) for _ in range(shown)]
        if cut:
            items.insert(shown // 2, " ...")
        starts = range(0, len(items), per_line)
        rows = [", ".join(items[i : i + per_line]) for i in starts]
        newline = ",\n"
    else:
        inner = shape[1:]
        rows = [
            _brackets(texts, inner, edge, per_line, indent + 1) for _ in range(shown)
        ]
        if cut:
            rows.insert(shown // 2, "...")
        newline = "," + "\n" * len(inner)
    return "[" + (newline + " " * (indent + 1)).join(rows) + "]"


def _body(t: Any, indent: int) -> str:
    """The values of a dense tensor, ``indent`` columns from the left."""
    shape = tuple(t.shape)
    if 0 in shape:
        return "[]"
    edge: int | None = None
    if t.numel() > _options["threshold"]:
        edge = _options["edgeitems"]
        if edge == 0 and shape:
            return "[...]"
        t = _edges(t, edge)
    texts, width = _column(_to_host(t), t.dtype)
    if not shape:
        return texts[0]
    # The innermost brackets stand len(shape) - 1 columns further right.
    room = _options["linewidth"] - (indent + len(shape) - 1)
    per_line = max(1, math.floor(room / (width + 2)))
    return _brackets(iter(texts), shape, edge, per_line, indent)


def _fields(parts: list[tuple[str, Any]], indent: int) -> str:
    """The component tensors of a sparse tensor, one below the other."""
    lines = []
    for name, part in parts:
        prefix = f"{name}=tensor("
        part = part.detach()
        body = "..." if part.is_meta else _body(part, indent + len(prefix))
        if part.is_meta or part.numel() == 0:
            body += f", size={tuple(part.shape)}"
        lines.append(f"{prefix}{body})")
    return (",\n" + " " * indent).join(lines)


# --- suffixes --------------------------------------------------------------

# Accessors of a compressed layout's two index tensors, by the layout's name.
_COMPRESSED = {
    "sparse_csr": ("crow_indices", "col_indices"),
    "sparse_bsr": ("crow_indices", "col_indices"),
    "sparse_csc": ("ccol_indices", "row_indices"),
    "sparse_bsc": ("ccol_indices", "row_indices"),
}


def _is_expected(dtype: Any, *, shown: bool) -> bool:
    """Whether reading the text back would give this dtype.

    Without values to be seen (``shown`` False) only the default dtype would.
    """
    default = torch.get_default_dtype()
    if shown and dtype.is_complex:
        double = default == torch.float64
        return dtype == (torch.complex128 if double else torch.complex64)
    return dtype == default or (shown and dtype in (torch.int64, torch.bool))


def _history(t: Any) -> str | None:
    try:
        node = t.grad_fn
    except RuntimeError:
        # the graph of a view that was invalidated can't be rebuilt
        return "grad_fn=<Invalid>"
    if node is not None:
        return f"grad_fn=<{node.name()}>"
    return "requires_grad=True" if t.requires_grad else None


def _tangent(t: Any) -> Any:
    """The forward-mode tangent of ``t``, None outside forward mode."""
    forward = sys.modules.get(f"{torch.autograd.__name__}.forward_ad")
    return None if forward is None else forward.unpack_dual(t).tangent


def _with_suffixes(text: str, suffixes: list[str], indent: int, own_line: bool) -> str:
    """Append the suffixes, on a new line when one would pass the line's end."""
    column = len(text) - text.rfind("\n") + 1
    for suffix in suffixes:
        if own_line or column + len(suffix) + 2 > _options["linewidth"]:
            text += ",\n" + " " * indent + suffix
            column, own_line = indent + len(suffix), False
        else:
            text += ", " + suffix
            column += len(suffix) + 2
    return text + ")"


def _suffixes(t: Any, layout: str) -> list[str]:
    """What stands between the values and the closing parenthesis."""
    found = []
    empty, unknown = t.numel() == 0, t.is_meta
    sparse = layout.startswith("sparse")
    elided = t.dim() != 1 if empty else _options["edgeitems"] == 0
    if t.device.type != _HOST:
        found.append(f"device='{t.device}'")
    if sparse or unknown or elided:
        found.append(f"size={tuple(t.shape)}")
    if sparse and not unknown:
        found.append(f"nnz={t._nnz()}")
    if not _is_expected(t.dtype, shown=sparse or not (empty or unknown)):
        found.append(f"dtype={t.dtype}")
    if layout != "strided":
        found.append(f"layout={t.layout}")
    history, tangent = _history(t), _tangent(t)
    if history is not None:
        found.append(history)
    if tangent is not None:
        found.append(f"tangent={tangent}")
    return found


def tensor_str(t: Any, *, tensor_contents: str | None = None) -> str:
    """The text that ``repr`` of a tensor returns.

    Args:
        t: a tensor of any dtype, layout and device.
        tensor_contents: stands in the place of the values where given.
    """
    parameter = None if type(t) is torch.Tensor else torch.nn.Parameter
    plain = parameter is None or type(t) is parameter
    prefix = "tensor(" if plain else f"{type(t).__name__}("
    indent = len(prefix)
    layout = str(t.layout).removeprefix("torch.")
    values = t.detach()
    if tensor_contents is not None:
        body = tensor_contents
    elif layout == "sparse_coo":
        parts = [("indices", values._indices()), ("values", values._values())]
        body = _fields(parts, indent)
    elif layout in _COMPRESSED:
        parts = [(name, getattr(values, name)()) for name in _COMPRESSED[layout]]
        body = _fields([*parts, ("values", values.values())], indent)
    else:
        body = "..." if t.is_meta else _body(values, indent)
    own_line = layout == "sparse_coo"
    text = _with_suffixes(prefix + body, _suffixes(t, layout), indent, own_line)
    if not plain and isinstance(t, torch.nn.Parameter):
        return f"Parameter({text})"
    return text
