"""``assert_close``: compare numbers, tensors and containers of them.

Two passes. The first walks both containers together and gives one ``_Leaf`` for
every pair of items; a difference in structure ends it. The second asks each leaf
in turn what differs.
"""

from __future__ import annotations

import cmath
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import dispatchtorch as torch

__all__ = ["assert_close"]

Path = tuple[Any, ...]

_EXACT = (0.0, 0.0)

# Default (rtol, atol) by the dtype's name; others are compared exactly.
_TOLERANCES: dict[str, tuple[float, float]] = {
    "float16": (1e-3, 1e-5),
    "bfloat16": (1.6e-2, 1e-5),
    "float32": (1.3e-6, 1e-5),
    "float64": (1e-7, 1e-7),
    "complex32": (1e-3, 1e-5),
    "complex64": (1.3e-6, 1e-5),
    "complex128": (1e-7, 1e-7),
}

# A Python number is compared like a tensor of this dtype.
_DTYPE_OF_NUMBER: dict[type, str] = {
    bool: "bool",
    int: "int64",
    float: "float64",
    complex: "complex128",
}

# Names of a sparse layout's index tensors, as found by their accessors.
_SPARSE_INDICES: dict[str, tuple[str, ...]] = {
    "coo": ("_indices",),
    "csr": ("crow_indices", "col_indices"),
    "bsr": ("crow_indices", "col_indices"),
    "csc": ("ccol_indices", "row_indices"),
    "bsc": ("ccol_indices", "row_indices"),
}


class _Mismatch(Exception):
    """Something differs, or can't be compared; becomes ``kind(text)``."""

    def __init__(
        self, text: str, kind: type[Exception] = AssertionError, path: Path = ()
    ) -> None:
        super().__init__(text)
        self.text, self.kind, self.path = text, kind, path

    def to_error(self, msg: Any = None) -> Exception:
        """The exception the caller sees, its text changed by the caller's ``msg``."""
        text = self.text
        if self.path:
            where = "".join(f"[{key!r}]" for key in self.path)
            text += f"\n\nThe failure occurred for item {where}"
        if isinstance(msg, str):
            text = msg
        elif callable(msg):
            text = msg(text)
        return self.kind(text)


class _Rules:
    """The options of one call."""

    def __init__(self, **options: Any) -> None:
        self.rtol: float | None = options["rtol"]
        self.atol: float | None = options["atol"]
        self.equal_nan: bool = options["equal_nan"]
        self.allow_subclasses: bool = options["allow_subclasses"]
        self.check_device: bool = options["check_device"]
        self.check_dtype: bool = options["check_dtype"]
        self.check_layout: bool = options["check_layout"]
        self.check_stride: bool = options["check_stride"]

    def tolerances(self, *dtypes: str) -> tuple[float, float]:
        """(rtol, atol): what the caller gave, else the loosest of the dtypes'."""
        rtol, atol = self.rtol, self.atol
        if rtol is not None and atol is not None:
            return rtol, atol
        if rtol is not None or atol is not None:
            raise _Mismatch(
                "Both 'rtol' and 'atol' must be either specified or omitted, but got "
                f"no {'rtol' if rtol is None else 'atol'}.",
                ValueError,
            )
        defaults = [_TOLERANCES.get(name, _EXACT) for name in dtypes]
        return max(r for r, _ in defaults), max(a for _, a in defaults)


# --- text ------------------------------------------------------------------


def _report(
    subject: str, facts: list[str], differences: list[str], rtol: float, atol: float
) -> str:
    """The paragraph about numbers that differ by more than is allowed."""
    if exact := rtol == 0 and atol == 0:
        bounds = ["", ""]
    else:
        bounds = [f" (up to {atol} allowed)", f" (up to {rtol} allowed)"]
    lines = [d + b for d, b in zip(differences, bounds, strict=True)]
    head = f"{subject} are not {'equal' if exact else 'close'}!\n"
    return "\n".join([head, *facts, *lines])


def _report_numbers(actual: Any, expected: Any, rtol: float, atol: float) -> str:
    absolute = abs(actual - expected)
    if expected == 0:
        relative = float("nan") if cmath.isnan(absolute) else float("inf")
    else:
        relative = absolute / abs(expected)
    differences = [
        f"Absolute difference: {absolute}",
        f"Relative difference: {relative}",
    ]
    facts = [f"Expected {expected} but got {actual}."]
    return _report("Scalars", facts, differences, rtol, atol)


def _count(matches: Any) -> str:
    total = matches.numel()
    wrong = total - int(matches.sum())
    return f"Mismatched elements: {wrong} / {total} ({wrong / total:.1%})"


def _unravel(flat: int, shape: Sequence[int]) -> tuple[int, ...]:
    """The index of the element at position ``flat`` in row-major order."""
    index: tuple[int, ...] = ()
    for size in reversed(shape):
        flat, position = divmod(flat, size)
        index = (position, *index)
    return index


def _report_bits(matches: Any, subject: str) -> str:
    first = _unravel(matches.reshape(-1).tolist().index(False), matches.shape)
    return (
        f"{subject} are not 'equal'!\n\n{_count(matches)}\n"
        f"The first mismatched element is at index {first}."
    )


def _report_elements(
    a: Any, e: Any, matches: Any, subject: str, rtol: float, atol: float
) -> str:
    absolute = torch.abs(a - e)
    found = []
    for title, values in (
        ("absolute", absolute),
        ("relative", absolute / torch.abs(e)),
    ):
        # what matches may still give NaN: equal infinities, zero by zero
        flat = values.masked_fill(matches, 0).reshape(-1)
        where = int(flat.argmax())
        found.append(
            f"Greatest {title} difference: {flat[where].item()} "
            f"at index {_unravel(where, matches.shape)}"
        )
    return _report(subject, [_count(matches)], found, rtol, atol)


# --- leaves ----------------------------------------------------------------


class _Leaf:
    """One pair of values that is compared as a whole."""

    def __init__(self, actual: Any, expected: Any, rules: _Rules) -> None:
        self.actual, self.expected, self.rules = actual, expected, rules

    @staticmethod
    def accepts(actual: Any, expected: Any, rules: _Rules) -> bool:
        raise NotImplementedError

    def difference(self) -> str | None:
        """What differs, None where nothing does."""
        raise NotImplementedError

    def __repr__(self) -> str:
        pair = f"    actual={self.actual},\n    expected={self.expected},\n"
        return f"{type(self).__name__.strip('_')}(\n{pair})"


class _NonePair(_Leaf):
    """None, and whatever stands opposite to it."""

    @staticmethod
    def accepts(actual: Any, expected: Any, rules: _Rules) -> bool:
        return actual is None or expected is None

    def difference(self) -> str | None:
        if self.actual is self.expected:
            return None
        return f"None mismatch: {self.actual} is not {self.expected}"


class _BooleanPair(_Leaf):
    @staticmethod
    def accepts(actual: Any, expected: Any, rules: _Rules) -> bool:
        return isinstance(actual, bool) and isinstance(expected, bool)

    def difference(self) -> str | None:
        if self.actual is self.expected:
            return None
        return f"Booleans mismatch: {self.actual} is not {self.expected}"


class _NumberPair(_Leaf):
    """Python numbers; a number of another type is a mismatch of dtypes."""

    @staticmethod
    def accepts(actual: Any, expected: Any, rules: _Rules) -> bool:
        numbers = (int, float, complex)
        return isinstance(actual, numbers) and isinstance(expected, numbers)

    def __init__(self, actual: Any, expected: Any, rules: _Rules) -> None:
        super().__init__(actual, expected, rules)
        kinds = [
            next(k for k in _DTYPE_OF_NUMBER if isinstance(n, k))
            for n in (actual, expected)
        ]
        names = [_DTYPE_OF_NUMBER[k] for k in kinds]
        self.rtol, self.atol = rules.tolerances(*names)

    def _close(self) -> bool:
        actual, expected = self.actual, self.expected
        if actual == expected:
            return True
        if self.rtol == self.atol == 0 and isinstance(actual - expected, int):
            # integers of any size, where a float would overflow
            return False
        if self.rules.equal_nan and cmath.isnan(actual) and cmath.isnan(expected):
            return True
        absolute = abs(actual - expected)
        if isinstance(absolute, float) and not cmath.isfinite(absolute):
            return False
        return absolute <= self.atol + self.rtol * abs(expected)

    def difference(self) -> str | None:
        types = type(self.actual), type(self.expected)
        if self.rules.check_dtype and types[0] is not types[1]:
            return f"The (d)types do not match: {types[0]} != {types[1]}."
        if self._close():
            return None
        return _report_numbers(self.actual, self.expected, self.rtol, self.atol)


def _name(dtype: Any) -> str:
    return str(dtype).removeprefix("torch.")


def _is_narrow(dtype: Any) -> bool:
    """8 bits and less: there is no sensible tolerance."""
    return _name(dtype).startswith(("float8", "float4"))


def _is_integral(dtype: Any) -> bool:
    return not (dtype.is_floating_point or dtype.is_complex)


def _to_tensor(value: Any) -> Any:
    """``value`` as a detached tensor, None where it isn't a tensor-like."""
    if not isinstance(value, torch.Tensor):
        try:
            value = torch.as_tensor(value)
        except (TypeError, ValueError, RuntimeError, OverflowError):
            return None
    return value.detach()


class _TensorLikePair(_Leaf):
    """Tensors, and what ``torch.as_tensor`` makes one of."""

    @staticmethod
    def accepts(actual: Any, expected: Any, rules: _Rules) -> bool:
        kinds = type(actual), type(expected)
        if kinds[0] is not kinds[1] and not rules.allow_subclasses:
            return False
        related = isinstance(actual, kinds[1]) or isinstance(expected, kinds[0])
        return related and all(_to_tensor(v) is not None for v in (actual, expected))

    def __init__(self, actual: Any, expected: Any, rules: _Rules) -> None:
        super().__init__(_to_tensor(actual), _to_tensor(expected), rules)
        names = _name(self.actual.dtype), _name(self.expected.dtype)
        self.rtol, self.atol = rules.tolerances(*names)

    def _attributes(self) -> Iterator[tuple[str, Any, Any]]:
        """The attributes that must agree, most telling first."""
        a, e, rules = self.actual, self.expected, self.rules
        yield "shape", a.shape, e.shape
        if rules.check_layout:
            yield "layout", a.layout, e.layout
        if rules.check_stride and a.layout == e.layout == torch.strided:
            yield "stride()", a.stride(), e.stride()
        if rules.check_device:
            yield "device", a.device, e.device
        if rules.check_dtype:
            yield "dtype", a.dtype, e.dtype

    def _equalized(self) -> tuple[Any, Any]:
        """Both tensors with one layout, device and dtype."""
        a, e = self.actual, self.expected
        if a.layout != e.layout:
            a, e = (t if t.layout == torch.strided else t.to_dense() for t in (a, e))
        if a.device != e.device:
            a, e = a.cpu(), e.cpu()
        if a.dtype != e.dtype:
            # wide unsigned dtypes have no common one with most others
            dtypes = (torch.int64 if _is_integral(t.dtype) else t.dtype for t in (a, e))
            dtype = torch.promote_types(*dtypes)
            a, e = a.to(dtype), e.to(dtype)
        return a, e

    def difference(self) -> str | None:
        for name, a, e in self._attributes():
            if a != e:
                return f"The values for attribute '{name}' do not match: {a} != {e}."
        if self.actual.is_meta or self.expected.is_meta:
            return None
        a, e = self._equalized()
        layout = _name(a.layout)
        if layout.startswith("sparse_"):
            return self._sparse(a, e, layout.removeprefix("sparse_"))
        return self._dense(a, e, "Tensor-likes", self.rtol, self.atol)

    def _sparse(self, a: Any, e: Any, layout: str) -> str | None:
        subject = f"Sparse {layout.upper()}"
        if a._nnz() != e._nnz():
            return (
                f"The number of specified values in {subject[0].lower()}{subject[1:]} "
                f"tensors does not match: {a._nnz()} != {e._nnz()}"
            )
        values = "_values" if layout == "coo" else "values"
        parts = [
            *((name, 0.0, 0.0) for name in _SPARSE_INDICES[layout]),
            (values, self.rtol, self.atol),
        ]
        for name, rtol, atol in parts:
            part = f"{subject} {name.removeprefix('_')}"
            mine, theirs = getattr(a, name)(), getattr(e, name)()
            found = self._dense(mine, theirs, part, rtol, atol)
            if found is not None:
                return found
        return None

    def _dense(
        self, a: Any, e: Any, subject: str, rtol: float, atol: float
    ) -> str | None:
        """Compare two strided tensors of one shape, device and dtype."""
        narrow, was_bool = _is_narrow(a.dtype), a.dtype == torch.bool
        if narrow and (rtol or atol):
            return (
                f"Rtol={rtol} and atol={atol} are not supported for bitwise "
                "comparison of low dimensional floats. Please use rtol=0.0 and "
                "atol=0.0."
            )
        if narrow:
            a, e = a.to(torch.float32), e.to(torch.float32)
        elif _is_integral(a.dtype):
            # differences of narrow or unsigned integers would wrap around
            a, e = a.to(torch.int64), e.to(torch.int64)
        equal_nan = self.rules.equal_nan
        matches = torch.isclose(a, e, rtol=rtol, atol=atol, equal_nan=equal_nan)
        if bool(matches.all()):
            return None
        if a.dim() == 0:
            numbers = a.item(), e.item()
            actual, expected = map(bool, numbers) if was_bool else numbers
            return _report_numbers(actual, expected, rtol, atol)
        if narrow:
            return _report_bits(matches, subject)
        return _report_elements(a, e, matches, subject, rtol, atol)


_LEAVES: tuple[type[_Leaf], ...] = (
    _NonePair,
    _BooleanPair,
    _NumberPair,
    _TensorLikePair,
)


# --- containers ------------------------------------------------------------


def _number_of(value: Any) -> Any:
    """A NumPy scalar as the Python number it stands for; anything else itself."""
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(value, (numpy.number, numpy.bool_)):
        return value.item()
    return value


def _is_sequence(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _in_order(keys: Any) -> list[Any]:
    try:
        return sorted(keys)
    except TypeError:
        return list(keys)


def _leaves(
    actual: Any, expected: Any, rules: _Rules, path: Path
) -> Iterator[tuple[Path, _Leaf]]:
    """Walk two structures together; raises ``_Mismatch`` where they part."""
    if _is_sequence(actual) and _is_sequence(expected):
        if len(actual) != len(expected):
            raise _Mismatch(
                "The length of the sequences mismatch: "
                f"{len(actual)} != {len(expected)}",
                path=path,
            )
        for i in range(len(actual)):
            yield from _leaves(actual[i], expected[i], rules, (*path, i))
    elif isinstance(actual, Mapping) and isinstance(expected, Mapping):
        if actual.keys() != expected.keys():
            missing = _in_order(set(expected) - set(actual))
            additional = _in_order(set(actual) - set(expected))
            raise _Mismatch(
                "The keys of the mappings do not match:\n"
                f"Missing keys in the actual mapping: {missing}\n"
                f"Additional keys in the actual mapping: {additional}",
                path=path,
            )
        for key in _in_order(actual):
            yield from _leaves(actual[key], expected[key], rules, (*path, key))
    else:
        pair = _number_of(actual), _number_of(expected)
        for leaf in _LEAVES:
            # NumPy scalars and tensors aren't related: the originals decide
            if leaf.accepts(*pair, rules):
                try:
                    yield path, leaf(*pair, rules)
                except _Mismatch as error:
                    error.path = path
                    raise
                return
        raise _Mismatch(
            "No comparison pair was able to handle inputs of type "
            f"{type(actual)} and {type(expected)}.",
            TypeError,
            path,
        )


def _failure(actual: Any, expected: Any, rules: _Rules, msg: Any) -> Exception | None:
    """The exception that tells of the first difference, if there is one."""
    try:
        pairs = list(_leaves(actual, expected, rules, ()))
    except _Mismatch as mismatch:
        return mismatch.to_error()
    for path, leaf in pairs:
        try:
            text = leaf.difference()
        except Exception as error:
            raise RuntimeError(
                f"Comparing\n\n{leaf!r}\n\nresulted in the unexpected exception above."
            ) from error
        if text is not None:
            return _Mismatch(text, path=path).to_error(msg)
    return None


def assert_close(
    actual: Any,
    expected: Any,
    *,
    allow_subclasses: bool = True,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = False,
    check_device: bool = True,
    check_dtype: bool = True,
    check_layout: bool = True,
    check_stride: bool = False,
    msg: str | Callable[[str], str] | None = None,
) -> None:
    r"""Assert that two numbers, tensors or containers of them are close.

    Numbers are close where ``|actual - expected| <= atol + rtol * |expected|``;
    non-finite ones must be equal. Sequences are compared item by item, mappings
    key by key.

    Args:
        actual: what was computed.
        expected: what should have been.
        allow_subclasses: accept types of which one inherits from the other.
        rtol: relative tolerance; given together with ``atol`` or not at all, in
            which case the dtypes decide (exact for integers and booleans).
        atol: absolute tolerance.
        equal_nan: two NaNs are close.
        check_device: tensors must be on one device; else they are compared on the
            host.
        check_dtype: tensors must have one dtype; else they are promoted.
        check_layout: tensors must have one layout; else they are made strided.
        check_stride: strided tensors must have the same strides.
        msg: replaces the text about a difference, or a function that gets this
            text and returns another.

    Raises:
        AssertionError: where something differs.
        TypeError: where the types can't be compared.
        ValueError: where only one of the tolerances is given.

    See https://pytorch.org/docs/stable/testing.html
    """
    __tracebackhide__ = True
    rules = _Rules(
        rtol=rtol,
        atol=atol,
        equal_nan=equal_nan,
        allow_subclasses=allow_subclasses,
        check_device=check_device,
        check_dtype=check_dtype,
        check_layout=check_layout,
        check_stride=check_stride,
    )
    failure = _failure(actual, expected, rules, msg)
    if failure is not None:
        raise failure
