"""What a sample is: arguments that any module of PyTorch's interface can be called with.

A sample holds no tensor. Its tensors are :class:`Array` descriptions (host values, dtype,
memory layout), which :meth:`Sample.build` makes into tensors of a module on a device. So
one sample runs on every device, and on PyTorch where that is installed.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

__all__ = [
    "DEVICE",
    "Array",
    "DType",
    "Draw",
    "Failure",
    "OperatorSamples",
    "Sample",
    "expand_dtypes",
    "find",
]

#: Letters that rows name dtypes with: f(loat), h(alf), c(omplex), i(nt), b(ool).
_LETTERS = {
    "f": ("float32", "float64"),
    "h": ("bfloat16", "float16"),
    "c": ("complex64", "complex128"),
    "i": ("int64", "int32", "int16", "int8", "uint8"),
    "b": ("bool",),
}
_KIND = {name: letter for letter, names in _LETTERS.items() for name in names}
_REAL = {"complex64": "float32", "complex128": "float64"}


def expand_dtypes(letters: str) -> tuple[str, ...]:
    """The names of the dtypes that letters stand for: "fi" is all floats and ints."""
    return tuple(name for letter in letters for name in _LETTERS[letter])


def find(module: Any, name: str) -> Any:
    """The callable of a row's name in ``module``; None where the module hasn't it."""
    found = module
    for part in name.split("."):
        found = getattr(found, part, None)
        if found is None:
            return None
    return found


class _Named:
    """A constant of a module's: a dtype, a memory format; looked up when built."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"torch.{self.name}"


class DType(_Named):
    """A dtype (or another constant of the module) by name, as an argument."""

    __slots__ = ()


class _Device:
    def __repr__(self) -> str:
        return "DEVICE"


#: Stands for the device that a sample is built on (factories take it as ``device=``).
DEVICE = _Device()


class Array:
    """A tensor of a sample: host values, dtype and memory layout.

    ``layout``: "contiguous"; "transposed" (the last two dims swapped in memory);
    "strided" (every second element of a longer row); "offset" (starts inside its
    memory); "expanded" (the first dim has stride 0).
    """

    __slots__ = ("dtype", "grad", "layout", "values")

    def __init__(
        self,
        values: np.ndarray[Any, Any],
        dtype: str,
        layout: str = "contiguous",
        grad: bool = True,
    ) -> None:
        self.values = np.asarray(values)
        self.dtype = dtype
        self.layout = layout
        self.grad = grad and _KIND.get(dtype, "") in ("f", "h", "c")

    @property
    def shape(self) -> tuple[int, ...]:
        return self.values.shape

    def build(self, module: Any, device: str | None, grad: bool) -> Any:
        """The tensor; a leaf of the graph that requires grad where that is asked."""
        values, layout = self.values, self.layout
        if layout == "transposed":
            memory = values.swapaxes(-1, -2)
        elif layout == "strided":
            memory = np.repeat(values, 2, axis=-1)
        elif layout == "offset":
            memory = np.concatenate([values[:1], values]) if len(values) else values
        elif layout == "expanded":
            memory = values[:1]
        else:
            memory = values
        memory = np.array(memory, order="C")
        if self.dtype == "bfloat16":  # by its bits: conversions treat NaN as they like
            bits = np.right_shift(memory.view(np.uint32), 16, dtype=np.uint32)
            bits = np.asarray(bits).astype(np.int16)
            tensor = module.from_numpy(bits).view(module.bfloat16).clone()
        else:
            tensor = module.from_numpy(memory)
        if device is not None:
            tensor = tensor.to(device)
        if layout == "transposed":
            tensor = tensor.transpose(-1, -2)
        elif layout == "strided":
            tensor = tensor[..., ::2]
        elif layout == "offset":
            tensor = tensor[1:]
        elif layout == "expanded":
            tensor = tensor.expand(values.shape)
        if layout != "contiguous":
            tensor = tensor.detach()
        return tensor.requires_grad_() if grad and self.grad else tensor

    def __repr__(self) -> str:
        size = "x".join(map(str, self.shape)) or "0-d"
        layout = "" if self.layout == "contiguous" else f", {self.layout}"
        return f"<{size} {self.dtype}{layout}>"


class Sample:
    """The arguments of one call."""

    __slots__ = ("args", "kwargs")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.args = args
        self.kwargs = kwargs

    def arrays(self) -> list[Array]:
        """All tensors among the arguments, in order."""
        return [a for a in _walk((self.args, self.kwargs)) if isinstance(a, Array)]

    def size(self) -> int:
        """The number of elements of all tensors: what "the smallest sample" means."""
        return sum(a.values.size for a in self.arrays())

    def build(
        self, module: Any, device: str | None = None, grad: bool = False
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """(args, kwargs) of ``module``, on ``device`` (None: the module's default)."""
        made: dict[int, Any] = {}

        def leaf(value: Any) -> Any:
            if isinstance(value, Array):
                if id(value) not in made:  # one description is one tensor
                    made[id(value)] = value.build(module, device, grad)
                return made[id(value)]
            if isinstance(value, _Named):
                return getattr(module, value.name)
            return (device or "cpu") if value is DEVICE else value

        return _map(leaf, self.args), _map(leaf, self.kwargs)

    def host(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """(args, kwargs) with NumPy arrays in place of tensors, for references."""

        def leaf(value: Any) -> Any:
            if isinstance(value, Array):
                return value.values
            return value.name if isinstance(value, _Named) else value

        return _map(leaf, self.args), _map(leaf, self.kwargs)

    def __repr__(self) -> str:
        listed = [*map(repr, self.args)]
        listed += [f"{name}={value!r}" for name, value in self.kwargs.items()]
        return f"({', '.join(listed)})"


class Failure:
    """A call that has to raise: the exception's class, and words of its message."""

    __slots__ = ("exception", "sample", "words")

    def __init__(self, sample: Sample, exception: str, words: str) -> None:
        self.sample = sample
        self.exception = exception
        self.words = words


def _walk(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for each in value:
            yield from _walk(each)
    else:
        yield value


def _map(leaf: Callable[[Any], Any], value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _map(leaf, each) for name, each in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_map(leaf, each) for each in value)
    return leaf(value)


class Draw:
    """Draws the tensors of a row's samples: ``g(2, 3)`` is a tensor of the row's dtype.

    The same row and dtype draw the same values always. Floats keep a distance from the
    multiples of one half, where many operators have kinks.
    """

    def __init__(
        self, name: str, dtype: str, domain: tuple[float, float] | None = None
    ) -> None:
        self.dtype = dtype
        self.kind = _KIND[dtype]
        self.domain = domain
        self._rng = np.random.default_rng(zlib.crc32(f"{name}:{dtype}".encode()))

    @property
    def is_float(self) -> bool:
        return self.kind in "fh"

    def __call__(
        self,
        *shape: int,
        low: float | None = None,
        high: float | None = None,
        dtype: str | None = None,
        layout: str = "contiguous",
        grad: bool = True,
    ) -> Array:
        dtype = dtype or self.dtype
        if low is None and high is None and self.domain is not None:
            low, high = self.domain
        values = self._values(shape, dtype, low, high)
        if layout == "expanded":
            values = np.broadcast_to(values[:1], shape).copy()
        return Array(values, dtype, layout, grad)

    def _values(
        self, shape: tuple[int, ...], dtype: str, low: float | None, high: float | None
    ) -> np.ndarray[Any, Any]:
        kind = _KIND[dtype]
        if kind == "b":
            return self._rng.random(shape) < 0.5
        if kind == "i":
            first = 0 if dtype == "uint8" else -5
            first = first if low is None else int(np.ceil(low))
            last = 6 if high is None else max(int(high), first + 1)
            if dtype == "uint8":
                first = max(first, 0)
                last = max(last, first + 1)
            return self._rng.integers(first, last, shape).astype(dtype)
        bounds = -3.0 if low is None else low, 3.0 if high is None else high
        values = self._real(shape, *bounds)
        if kind == "c":
            values = values + 1j * self._real(shape, *bounds)
        return rounded(values, dtype)

    def _real(self, shape: tuple[int, ...], low: float, high: float) -> Any:
        values = self._rng.uniform(low, high, shape)
        if high - low > 1.5:
            steps = np.floor(values * 2)
            values = (steps + 0.15 + 0.7 * (values * 2 - steps)) / 2
        return values

    def of(self, values: Any, dtype: str | None = None, grad: bool = True) -> Array:
        """A tensor of given values."""
        dtype = dtype or self.dtype
        return Array(rounded(np.asarray(values), dtype), dtype, grad=grad)

    def special(self) -> Array:
        """NaN, infinities and zeros of both signs."""
        values = [0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 0.5]
        return self.of(values, grad=False)

    def index(self, *shape: int, high: int, low: int = 0) -> Array:
        """int64 indices below ``high``."""
        return Array(self._rng.integers(low, high, shape), "int64")

    def mask(self, *shape: int) -> Array:
        """A bool tensor."""
        return Array(self._rng.random(shape) < 0.5, "bool")

    def permutation(self, size: int) -> Array:
        """Each of 0…size-1 once, as int64."""
        return Array(self._rng.permutation(size), "int64")

    def positive_definite(self, *shape: int) -> Array:
        """Symmetric (Hermitian) positive definite matrices, well conditioned."""
        values = self._values(shape, self.dtype, -1.0, 1.0)
        square = values @ values.conj().swapaxes(-1, -2)
        return self.of(square + np.eye(shape[-1]) * 2)

    def invertible(self, *shape: int) -> Array:
        """Square matrices far from singular, eigenvalues apart."""
        values = 0.3 * self._values(shape, self.dtype, -1.0, 1.0)
        return self.of(values + np.diag(np.arange(1.0, shape[-1] + 1)))


def rounded(values: np.ndarray[Any, Any], dtype: str) -> np.ndarray[Any, Any]:
    """Values as ``dtype`` holds them, in a dtype that NumPy has."""
    if dtype == "bfloat16":
        import ml_dtypes

        with np.errstate(all="ignore"):
            return values.astype(ml_dtypes.bfloat16).astype(np.float32)
    with np.errstate(all="ignore"):
        return values.astype(dtype)


Generate = Callable[[Draw], Iterable[Any]]


class OperatorSamples:
    """One row of the database.

    ``name``        where the callable is: "add", "Tensor.view", "nn.functional.gelu"
    ``generate``    Draw -> samples (and failures, calls that have to raise)
    ``dtypes``      the dtypes that the operator takes, as letters or names
    ``reference``   "np.exp", "scipy.special.erf" or a function over NumPy arrays; one
                    that can't say returns NotImplemented, and "~np.sign" is one for
                    finite numbers alone
    ``grads``       how many times it is differentiated (0, 1 or 2)
    ``random``      the values differ from device to device: only shape and dtype count
    ``undefined``   the values mean nothing (``empty``)
    ``domain``      (low, high) that inputs are drawn from
    ``loose``       factor on the tolerances
    ``covers``      further operators that the row is the sample of
    ``around``      function -> function: calls it so that results are what is defined
                    (decompositions leave signs open)
    """

    def __init__(
        self,
        name: str,
        generate: Generate,
        dtypes: str | tuple[str, ...] = "fhcib",
        reference: Any = None,
        *,
        grads: int = 2,
        random: bool = False,
        undefined: bool = False,
        domain: tuple[float, float] | None = None,
        loose: float = 1.0,
        inplace: bool = True,
        out: bool = True,
        covers: str = "",
        around: Callable[[Callable[..., Any]], Callable[..., Any]] | None = None,
    ) -> None:
        self.name = name
        self._generate = generate
        self.dtypes = expand_dtypes(dtypes) if isinstance(dtypes, str) else dtypes
        self._reference = reference
        self.grads = grads
        self.random = random
        self.undefined = undefined
        self.domain = domain
        self.loose = loose
        self.around = around
        self.inplace = inplace and around is None
        self.out = out and around is None
        self.covers = tuple(covers.split())

    @property
    def operator(self) -> str:
        """The name of the operator (of its overloads) that the row is about."""
        head, dot, tail = self.name.rpartition(".")
        if head in ("special", "linalg", "fft"):
            return f"{head}_{tail}"
        return tail if dot else self.name

    def _drawn(self, dtype: str) -> list[Any]:
        return list(self._generate(Draw(self.name, dtype, self.domain)))

    def samples(self, dtype: str) -> list[Sample]:
        """The calls that have to work, for tensors of ``dtype``."""
        return [s for s in self._drawn(dtype) if isinstance(s, Sample)]

    def failures(self, dtype: str) -> list[Failure]:
        """The calls that have to raise."""
        return [f for f in self._drawn(dtype) if isinstance(f, Failure)]

    def reference(self) -> Callable[..., Any] | None:
        """The function over NumPy arrays; None without one (or without SciPy)."""
        found = self._reference
        if not isinstance(found, str):
            return found  # type: ignore[no-any-return]
        finite = found.startswith("~")
        head, _, tail = found.removeprefix("~").partition(".")
        if head == "scipy":
            try:
                import scipy.special  # noqa: F401
            except ImportError:
                return None
        import importlib

        function = find(importlib.import_module({"np": "numpy"}.get(head, head)), tail)

        def on_positional(*args: Any, **kwargs: Any) -> Any:
            if kwargs or (finite and not all(np.isfinite(a).all() for a in args)):
                return NotImplemented
            return function(*args)

        return on_positional

    def find(self, module: Any) -> Any:
        """The callable in ``module``; None where it isn't there."""
        found = find(module, self.name)
        if found is not None and self.around is not None:
            return self.around(found)
        return found

    def find_inplace(self, module: Any) -> Any:
        """The method that works in place; None where there is none."""
        if not self.inplace:
            return None
        name = self.name.rpartition(".")[2]
        return getattr(module.Tensor, f"{name}_", None)

    def __repr__(self) -> str:
        return f"<samples of {self.name}>"
