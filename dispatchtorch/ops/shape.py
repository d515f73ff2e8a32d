"""Shapes rearranged: repeating, joining, splitting, stacking, triangles and diagonals."""

from __future__ import annotations

from typing import Any

from dispatchtorch import dtypes
from dispatchtorch.dispatch.derivative import derive
from dispatchtorch.dispatch.operator import operator
from dispatchtorch.lift import Plain
from dispatchtorch.memory_format import contiguous_format
from dispatchtorch.ops._common import (
    as_ints,
    infer_size,
    numel_of,
    refuse,
    torch,
    wrap_dim,
    wrap_dims,
)
from dispatchtorch.ops._formats import with_gaps

__all__: list[str] = []

# Repetition.


@operator("repeat(Tensor self, int[] repeats) -> Tensor", variants="method")
def repeat(self, repeats):
    """The tensor laid side by side with itself, ``repeats`` times along each dim."""
    times = as_ints(repeats)
    if len(times) < self.ndim:
        raise RuntimeError(
            "Number of dimensions of repeat dims can not be smaller than number of "
            "dimensions of tensor"
        )
    shape = _padded(self, times)
    whole = [n * m for n, m in zip(times, shape, strict=True)]
    if any(n < 0 for n in whole):
        raise RuntimeError(
            f"Trying to create tensor with negative dimension {min(whole)}: {whole}"
        )
    apart, wide, made = [], [], []
    for n, m in zip(times, shape, strict=True):
        apart += [1, m]
        wide += [n, m]
        made.append(n * m)
    return (
        self.reshape(apart)
        .expand(wide)
        .clone(memory_format=contiguous_format)
        .reshape(made)
    )


def _padded(self: Any, dims: Any) -> tuple[int, ...]:
    return (1,) * (len(dims) - self.ndim) + self._shape


def _repeat_backward(grad: Any, self_sizes: Any, repeats: Any) -> Any:
    times = as_ints(repeats)
    shape = (1,) * (len(times) - len(self_sizes)) + tuple(self_sizes)
    if 0 in times or 0 in shape:
        return grad.new_zeros(self_sizes)
    apart = [size for pair in zip(times, shape, strict=True) for size in pair]
    if not apart:
        return grad
    summed = grad.reshape(apart).sum(tuple(range(0, len(apart), 2)))
    return summed.reshape(self_sizes)


derive(repeat, self=_repeat_backward)


@operator("tile(Tensor self, int[] dims) -> Tensor")
def tile(self, dims):
    """As ``repeat``; missing repetitions count as 1."""
    times = as_ints(dims)
    return self.repeat((1,) * (self.ndim - len(times)) + times)


@operator(
    "repeat_interleave.self_int(Tensor self, int repeats, int? dim=None, *, "
    "int? output_size=None) -> Tensor"
)
def repeat_interleave(self, repeats, dim, *, output_size):
    """Each element (or slice of a dim) ``repeats`` times in a row."""
    if dim is None:
        self, dim = self.reshape(-1), 0
    if repeats < 0:
        raise RuntimeError("Repeats must be non-negative")
    if self.ndim == 0:
        self = self.reshape(1)
    dim = wrap_dim(dim, self.ndim)
    shape = self._shape
    wide = (*shape[: dim + 1], repeats, *shape[dim + 1 :])
    made = self.unsqueeze(dim + 1).expand(wide).clone(memory_format=contiguous_format)
    return made.reshape((*shape[:dim], shape[dim] * repeats, *shape[dim + 1 :]))


@operator(
    "repeat_interleave.self_Tensor(Tensor self, Tensor repeats, int? dim=None, *, "
    "int? output_size=None) -> Tensor"
)
def repeat_interleave_each(self, repeats, dim, *, output_size):
    """Each element (or slice of a dim) as often as ``repeats`` says."""
    if dim is None:
        self, dim = self.reshape(-1), 0
    if self.ndim == 0:
        self = self.reshape(1)
    dim = wrap_dim(dim, self.ndim)
    if repeats.ndim == 0 or (repeats.ndim == 1 and repeats._shape[0] == 1):
        repeats = repeats.reshape(1).expand(self._shape[dim])
    elif repeats.ndim == 1 and repeats._shape[0] != self._shape[dim]:
        raise RuntimeError(
            "repeats must have the same size as input along dim, but got "
            f"repeats.size(0) = {repeats._shape[0]} and input.size({dim}) = "
            f"{self._shape[dim]}"
        )
    elif repeats.ndim != 1:
        raise RuntimeError("repeats must be 0-dim or 1-dim tensor")
    return self.index_select(
        dim, torch.repeat_interleave(repeats, output_size=output_size)
    )


@operator(
    "repeat_interleave.Tensor(Tensor repeats, *, int? output_size=None) -> Tensor",
    tags="nondifferentiable",
)
def repeat_interleave_counts(repeats, *, output_size):
    """Each index as often as ``repeats`` says."""
    if repeats.ndim != 1:
        raise RuntimeError("repeat_interleave only accept 1D vector as repeat")
    if repeats.dtype not in (dtypes.int32, dtypes.int64):
        raise RuntimeError("repeats has to be Long or Int tensor")
    if repeats.numel() and int(repeats.min()) < 0:
        raise RuntimeError("repeats can not be negative")
    ends = repeats.cumsum(0)
    total = int(ends[-1]) if repeats.numel() else 0
    if output_size is not None and output_size != total:
        raise RuntimeError("allocated size does not match required size")
    # The index at a place is the number of runs that end before or at it.
    steps = torch.zeros(total + 1, dtype=dtypes.int64, device=repeats.device)
    steps = steps.scatter_add(
        0, ends.to(dtypes.int64), torch.ones_like(ends, dtype=dtypes.int64)
    )
    return steps[:total].cumsum(0).to(repeats.dtype)


@operator("flip(Tensor self, int[] dims) -> Tensor", lift=Plain())
def flip(self, dims):
    """The elements in reverse order along dims."""
    made = self
    for dim in wrapped_flip_dims(self, dims):
        size = self._shape[dim]
        order = (
            torch.arange(size - 1, -1, -1, device=self.device)
            if size
            else torch.arange(0, device=self.device)
        )
        made = made.index_select(dim, order)
    return made.clone() if made is self else made


def wrapped_flip_dims(self: Any, dims: Any) -> tuple[int, ...]:
    wrapped = wrap_dims(as_ints(dims), self.ndim)
    return wrapped if self.ndim else ()


flip.prepare = lambda self, dims: (self, wrapped_flip_dims(self, dims))
derive(flip, self=lambda grad, dims: grad.flip(dims))


@operator("roll(Tensor self, int[1] shifts, int[1] dims=[]) -> Tensor")
def roll(self, shifts, dims=()):
    """Elements moved along dims; what leaves at the end comes back at the start."""
    shifts, dims = as_ints(shifts), as_ints(dims)
    if not shifts:
        raise RuntimeError("`shifts` required")
    if not dims and len(shifts) == 1:
        return self.reshape(-1).roll(shifts, (0,)).reshape(self._shape)
    if len(shifts) != len(dims):
        raise RuntimeError(
            f"shifts and dimensions must align. shifts: {len(shifts)}, dims:{len(dims)}"
        )
    made = self
    for shift, dim in zip(shifts, dims, strict=True):
        dim = wrap_dim(dim, self.ndim, wrap_scalar=False)
        size = self._shape[dim]
        if size and shift % size:
            cut = size - shift % size
            made = torch.cat(
                [made.narrow(dim, cut, size - cut), made.narrow(dim, 0, cut)], dim
            )
    return made.clone(memory_format=contiguous_format) if made is self else made


derive(
    roll, self=lambda grad, shifts, dims: grad.roll([-n for n in as_ints(shifts)], dims)
)

# Triangles and diagonals.


def _triangle(name: str, keep: Any) -> None:
    def body(self, diagonal=0):  # type: ignore[no-untyped-def]
        if self.ndim < 2:
            raise RuntimeError(f"{name}: input tensor must have at least 2 dimensions")
        rows, columns = self._shape[-2:]
        i = torch.arange(rows, device=self.device).unsqueeze(1)
        j = torch.arange(columns, device=self.device)
        made = torch.where(keep(i, j, diagonal), self, self.new_zeros(()))
        return made.contiguous()

    body.__doc__ = (
        f"The {'lower' if name == 'tril' else 'upper'} triangles of matrices."
    )
    op = operator(
        f"{name}(Tensor self, int diagonal=0) -> Tensor", tags="out", inplace=True
    )(body)
    derive(op, self=lambda grad, diagonal: getattr(grad, name)(diagonal))

    def indices(row, col, offset, *, dtype, layout, device, pin_memory):  # type: ignore[no-untyped-def]
        for n, label in ((row, "row"), (col, "col")):
            if n < 0:
                raise RuntimeError(f"{label} must be non-negative, got{n}")
        i = torch.arange(row, device=device).unsqueeze(1)
        j = torch.arange(col, device=device)
        made = torch.stack(torch.nonzero(keep(i, j, offset), as_tuple=True))
        return made if dtype is None else made.to(dtype)

    indices.__doc__ = f"The places of a matrix that {name} keeps, one column each."
    operator(
        f"{name}_indices(int row, int col, int offset=0, *, ScalarType? dtype=None, "
        "Layout? layout=None, Device? device=None, bool? pin_memory=None) -> Tensor",
        tags="factory", variants="function",
    )(indices)  # fmt: skip


_triangle("tril", lambda i, j, diagonal: j - i <= diagonal)
_triangle("triu", lambda i, j, diagonal: j - i >= diagonal)


@operator("diag_embed(Tensor self, int offset=0, int dim1=-2, int dim2=-1) -> Tensor")
def diag_embed(self, offset=0, dim1=-2, dim2=-1):
    """Zeros with the last dim on a diagonal of two new dims."""
    ndim = self.ndim + 1
    a, b = wrap_dim(dim1, ndim), wrap_dim(dim2, ndim)
    if a == b:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    size = self._shape[-1] + abs(offset)
    shape = list(self._shape[:-1])
    for d in sorted((a, b)):
        shape.insert(d, size)
    zeros = self.new_zeros(shape)
    return torch.diagonal_scatter(zeros, self, offset, a, b)


@operator("diag(Tensor self, int diagonal=0) -> Tensor", tags="out")
def diag(self, diagonal=0):
    """The diagonal of a matrix, or the matrix with a vector on its diagonal."""
    if self.ndim == 1:
        return self.diag_embed(diagonal)
    if self.ndim == 2:
        return torch.diagonal_copy(self, diagonal)
    raise RuntimeError(f"diag(): Supports 1D or 2D tensors. Got {self.ndim}D")


@operator("diagflat(Tensor self, int offset=0) -> Tensor")
def diagflat(self, offset=0):
    """The matrix with all elements on its diagonal."""
    return self.contiguous().view(-1).diag(offset)


@operator("trace(Tensor self) -> Tensor")
def trace(self):
    """The sum of the diagonal of a matrix."""
    if self.ndim != 2:
        raise RuntimeError(
            f"trace: expected a matrix, but got tensor with dim {self.ndim}"
        )
    refuse(self, "\"trace\" not implemented for '{dtype}'", dtypes.BOOL)
    return self.diagonal().sum()


derive(
    trace,
    self=lambda grad, self_sizes: torch.diagonal_scatter(
        grad.new_zeros(self_sizes), grad.expand(min(self_sizes))
    ),
)

# Parts replaced in a copy.


def _replacement(name: str, schema: str, view: Any) -> None:
    def body(self, src, *args):  # type: ignore[no-untyped-def]
        made = with_gaps(self)
        part = view(made, *args)
        if part._shape != src._shape:
            raise RuntimeError(
                "expected src to have a size equal to the slice of self. src size = "
                f"{list(src._shape)}, slice size = {list(part._shape)}"
            )
        part.copy_(src)
        return made

    body.__doc__ = "A copy with a part replaced by ``src``."
    op = operator(
        f"{name}(Tensor self, Tensor src, {schema}) -> Tensor",
        tags="out" if name == "slice_scatter" else "",
    )(body)
    names = [part.split("=")[0].split()[-1] for part in schema.split(",")]
    listed = ", ".join(names)
    from dispatchtorch.dispatch.codegen import compile_function

    derive(
        op,
        self=compile_function(
            f"def own(grad, src_sizes, {listed}):\n"
            f"    return op(grad, grad.new_zeros(src_sizes), {listed})",
            "own", {"op": op},
        ),
        src=compile_function(
            f"def other(grad, {listed}):\n    return view(grad, {listed})",
            "other", {"view": view},
        ),
    )  # fmt: skip


_replacement("select_scatter", "int dim, int index", lambda t, *a: t.select(*a))
_replacement(
    "slice_scatter",
    "int dim=0, int? start=None, int? end=None, int step=1",
    lambda t, *a: torch.slice(t, *a),
)
_replacement(
    "diagonal_scatter",
    "int offset=0, int dim1=0, int dim2=1",
    lambda t, *a: t.diagonal(*a),
)

# Other names and orders of dims.


def _movedim_order(ndim: int, source: Any, destination: Any) -> list[int]:
    given, wanted = as_ints(source), as_ints(destination)
    if len(given) != len(wanted):
        raise RuntimeError(
            "movedim: Invalid source or destination dims: source "
            f"({list(given)} dims) should contain the same number of dims as destination "
            f"({list(wanted)} dims)"
        )
    src = [wrap_dim(d, ndim) for d in given]
    dst = [wrap_dim(d, ndim) for d in wanted]
    for label, dims, shown in (("source", src, given), ("destination", dst, wanted)):
        if len(set(dims)) != len(dims):
            raise RuntimeError(f"movedim: repeated dim in `{label}` ({list(shown)})")
    if not ndim:
        return []
    order = [-1] * ndim
    for a, b in zip(src, dst, strict=True):
        order[b] = a
    rest = iter(i for i in range(ndim) if i not in src)
    return [next(rest) if d == -1 else d for d in order]


@operator(
    "movedim.intlist(Tensor(a) self, int[1] source, int[1] destination) -> Tensor(a)"
)
def movedim(self, source, destination):
    """Moves dims to other places; the rest keep their order."""
    return self.permute(_movedim_order(self.ndim, source, destination))


@operator(
    "flatten.using_ints(Tensor(a) self, int start_dim=0, int end_dim=-1) -> Tensor(a)"
)
def flatten(self, start_dim=0, end_dim=-1):
    """Several dims as one."""
    shape = self._shape
    start, end = wrap_dim(start_dim, len(shape)), wrap_dim(end_dim, len(shape))
    if start > end:
        raise RuntimeError(
            "flatten() has invalid args: start_dim cannot come after end_dim"
        )
    if not shape:
        return self.reshape((1,))
    if start == end:
        return self
    size = numel_of(shape[start : end + 1])
    return self.reshape((*shape[:start], size, *shape[end + 1 :]))


@operator("unflatten.int(Tensor(a) self, int dim, int[] sizes) -> Tensor(a)")
def unflatten(self, dim, sizes):
    """One dim as several."""
    shape = self._shape
    dim = wrap_dim(dim, len(shape))
    sizes = as_ints(sizes)
    if not sizes:
        raise RuntimeError("unflatten: sizes must be non-empty")
    try:
        new = infer_size(sizes, shape[dim])
    except RuntimeError as error:
        if "one dimension" in str(error):
            raise RuntimeError(f"unflatten got an unexpected error:\n{error}") from None
        raise RuntimeError(
            f"unflatten: Provided sizes {list(sizes)} don't multiply up to the size of "
            f"dim {dim} ({shape[dim]}) in the input tensor"
        ) from None
    return self.view((*shape[:dim], *new, *shape[dim + 1 :]))


@operator("expand_as(Tensor(a) self, Tensor other) -> Tensor(a)", variants="method")
def expand_as(self, other):
    """Expanded to the shape of another tensor."""
    return self.expand(other._shape)


@operator("view_as(Tensor(a) self, Tensor other) -> Tensor(a)", variants="method")
def view_as(self, other):
    """Viewed in the shape of another tensor."""
    return self.view(other._shape)


@operator("reshape_as(Tensor(a) self, Tensor other) -> Tensor(a)", variants="method")
def reshape_as(self, other):
    """Reshaped to the shape of another tensor."""
    return self.reshape(other._shape)


@operator("swapaxes(Tensor(a) self, int axis0, int axis1) -> Tensor(a)")
def swapaxes(self, axis0, axis1):
    """Two dims swapped."""
    return self.transpose(axis0, axis1)


@operator(
    "moveaxis.intlist(Tensor(a) self, int[1] source, int[1] destination) -> Tensor(a)"
)
def moveaxis(self, source, destination):
    """Moves dims to other places; the rest keep their order."""
    return self.movedim(source, destination)


@operator("ravel(Tensor(a) self) -> Tensor(a)")
def ravel(self):
    """All elements as a vector."""
    return self.contiguous().view(-1)


@operator("broadcast_to(Tensor(a) self, int[] size) -> Tensor(a)")
def broadcast_to(self, size):
    """Expanded to a shape."""
    return self.expand(as_ints(size))


@operator("fliplr(Tensor self) -> Tensor")
def fliplr(self):
    """Columns in reverse order."""
    if self.ndim < 2:
        raise RuntimeError("Input must be >= 2-d.")
    return self.flip(1)


@operator("flipud(Tensor self) -> Tensor")
def flipud(self):
    """Rows in reverse order."""
    if self.ndim < 1:
        raise RuntimeError("Input must be >= 1-d.")
    return self.flip(0)


@operator("rot90(Tensor self, int k=1, int[] dims=[0, 1]) -> Tensor")
def rot90(self, k=1, dims=(0, 1)):
    """Turned by 90 degrees ``k`` times, from the first towards the second dim."""
    dims = as_ints(dims)
    if len(dims) != 2:
        raise RuntimeError(
            f"expected total rotation dims == 2, but got dims = {len(dims)}"
        )
    if self.ndim < 2:
        raise RuntimeError(
            f"expected total dims >= 2, but got total dims = {self.ndim}"
        )
    if dims[0] == dims[1] or abs(dims[0] - dims[1]) == self.ndim:
        raise RuntimeError(
            "expected rotation dims to be different, but got dim0 = "
            f"{dims[0]} and dim1 = {dims[1]}"
        )
    a, b = wrap_dims(dims, self.ndim)
    turns = k % 4
    if turns == 1:
        return self.flip(b).transpose(a, b)
    if turns == 2:
        return self.flip(dims)
    if turns == 3:
        return self.flip(a).transpose(a, b)
    return self.clone(memory_format=contiguous_format)


derive(rot90, self=lambda grad, k, dims: grad.rot90(-k, dims))


# Views as copies.

for _name, _schema in {
    "view": "int[] size", "t": "", "permute": "int[] dims",
    "transpose.int": "int dim0, int dim1", "squeeze": "", "squeeze.dim": "int dim",
    "squeeze.dims": "int[] dim", "unsqueeze": "int dim",
    "select.int": "int dim, int index",
    "slice.Tensor": "int dim=0, int? start=None, int? end=None, int step=1",
    "expand": "int[] size, *, bool implicit=False",
    "diagonal": "int offset=0, int dim1=0, int dim2=1", "alias": "", "detach": "",
    "unfold": "int dimension, int size, int step", "view_as_real": "",
    "view_as_complex": "", "_conj": "", "_neg_view": "",
    "as_strided": "int[] size, int[] stride, int? storage_offset=None",
}.items():  # fmt: skip

    def _copy(view: str) -> Any:
        def body(self, *args):  # type: ignore[no-untyped-def]
            if view == "expand":
                args = args[:1]
            if view == "alias":
                return self.clone()
            if view == "view" and not (args and hasattr(args[0], "is_complex")):
                # What can't be viewed is copied first.
                return self.reshape(*args).clone(memory_format=contiguous_format)
            if view in ("slice", "view_as_real", "view_as_complex"):  # no methods
                part = getattr(torch, view)(self, *args)
            else:
                part = getattr(self, view)(*args)
            return part.clone(memory_format=contiguous_format)

        body.__doc__ = f"The result of {view} as a copy."
        return body

    _view, _, _overload = _name.partition(".")
    _full = f"{_view}_copy" + (f".{_overload}" if _overload else "")
    operator(
        f"{_full}(Tensor self{', ' if _schema else ''}{_schema}) -> Tensor",
        tags="out",
        variants="function",
    )(_copy(_view))


@operator(
    "narrow_copy(Tensor self, int dim, int start, int length) -> Tensor", tags="out"
)
def narrow_copy(self, dim, start, length):
    """The result of narrow as a copy."""
    if self.ndim and dim >= self.ndim:
        raise RuntimeError(
            "Expected dim < static_cast<int64_t>(self_sizes.size()) to be true, but got "
            "false.  (Could this error message be improved?  If so, please report an "
            "enhancement request to PyTorch.)"
        )
    if self.ndim and length < 0:
        raise RuntimeError(
            f"start ({start}) + length ({length}) exceeds dimension size "
            f"({self._shape[dim]})."
        )
    return self.narrow(dim, start, length).clone(memory_format=contiguous_format)


derive(
    narrow_copy,
    self=lambda grad, self_sizes, dim, start, length: torch.slice_backward(
        grad, self_sizes, dim, start, start % self_sizes[dim] + length, 1
    ),
)


@operator("combinations(Tensor self, int r=2, bool with_replacement=False) -> Tensor")
def combinations(self, r=2, with_replacement=False):
    """All ways to choose ``r`` elements of a vector, one row each."""
    from itertools import combinations as choose
    from itertools import combinations_with_replacement as choose_again

    if self.ndim != 1:
        raise RuntimeError(f"Expect a 1D vector, but got shape {list(self._shape)}")
    if r < 0:
        raise RuntimeError(f"Expect a non-negative number, but got {r}")
    if r == 0:
        return self.new_empty((0,))
    from dispatchtorch.factory import tensor

    pick = choose_again if with_replacement else choose
    rows = list(pick(range(self._shape[0]), r))
    columns = [
        tensor(list(column), dtype=dtypes.int64, device=self.device)
        for column in zip(*rows, strict=True)
    ] or [torch.zeros(0, dtype=dtypes.int64, device=self.device)] * r
    return torch.stack([self.index_select(0, each) for each in columns], 1)
