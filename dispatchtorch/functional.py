"""torch.functional: functions of tensors that take several of them, or none at all."""

from __future__ import annotations

import itertools
from typing import Any

from dispatchtorch.interception import overridable as _overridable
from dispatchtorch.lift import broadcast_shapes as _broadcast_shapes
from dispatchtorch.ops._common import torch
from dispatchtorch.signatures import type_name
from dispatchtorch.size import Size

__all__ = [
    "atleast_1d",
    "atleast_2d",
    "atleast_3d",
    "block_diag",
    "broadcast_shapes",
    "broadcast_tensors",
    "cartesian_prod",
    "chain_matmul",
    "einsum",
    "lu",
    "meshgrid",
    "split",
    "unravel_index",
]

# Operators that PyTorch lists in this module.
_OPERATORS = ("cdist istft norm stft tensordot unique unique_consecutive").split()


def __getattr__(name: str) -> Any:
    if name in _OPERATORS:
        return getattr(torch, name)
    if name in ("pca_lowrank", "svd_lowrank"):
        from dispatchtorch.linalg import _lowrank

        return getattr(_lowrank, name)
    raise AttributeError(f"module 'torch.functional' has no attribute '{name}'")


def _listed(tensors: Any) -> list[Any]:
    """Tensors given one by one, or as one list."""
    if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)):
        tensors = tensors[0]
    return _checked(tensors)


def _checked(tensors: Any) -> list[Any]:
    """A list of tensors; TypeError that names the first item that is none."""
    for i, each in enumerate(tensors):
        if not hasattr(each, "_keys"):
            raise TypeError(
                f"expected Tensor as element {i} in argument 0, but got "
                f"{type_name(each)}"
            )
    return list(tensors)


def broadcast_shapes(*shapes: Any) -> Size:
    """The shape that tensors of ``shapes`` broadcast to; RuntimeError if there is none."""
    listed = [(s,) if isinstance(s, int) else tuple(s) for s in shapes]
    for shape in listed:
        for size in shape:
            if size < 0:
                raise RuntimeError(
                    f"Trying to create tensor with negative dimension ({size}): ({size})"
                )
    try:
        return Size(_broadcast_shapes(listed))
    except RuntimeError:
        raise RuntimeError(
            "Shape mismatch: objects cannot be broadcast to a single shape"
        ) from None


def broadcast_tensors(*tensors: Any) -> tuple[Any, ...]:
    """The tensors expanded to their common shape."""
    listed = _listed(tensors)
    shape = _broadcast_shapes([t._shape for t in listed])
    return tuple([t.expand(shape) for t in listed])


def meshgrid(*tensors: Any, indexing: str | None = None) -> tuple[Any, ...]:
    """The coordinates of a grid, from vectors (or numbers) of coordinates along axes."""
    listed = _listed(tensors)
    if indexing is not None and not isinstance(indexing, str):
        raise TypeError(
            f"meshgrid(): argument 'indexing' must be str, not {type_name(indexing)}"
        )
    if indexing is None:
        import warnings

        warnings.warn(
            "torch.meshgrid: in an upcoming release, it will be required to pass the "
            "indexing argument.",
            UserWarning,
            stacklevel=2,
        )
        indexing = "ij"
    if indexing not in ("ij", "xy"):
        raise RuntimeError(
            'torch.meshgrid: indexing must be one of "xy" or "ij", but received: '
            f"{indexing}"
        )
    if not listed:
        raise RuntimeError("meshgrid expects a non-empty TensorList")
    for t in listed:
        if t.ndim > 1:
            raise RuntimeError(
                "torch.meshgrid: Expected 0D or 1D tensor in the tensor list but got: "
                f"{list(t._shape)}"
            )
        if t.dtype is not listed[0].dtype:
            raise RuntimeError(
                "torch.meshgrid expects all tensors to have the same dtype"
            )
    swap = indexing == "xy" and len(listed) > 1
    if swap:
        listed[:2] = listed[1::-1]
    shape = tuple(t.numel() for t in listed)
    grids = []
    for i, t in enumerate(listed):
        own = [1] * len(shape)
        own[i] = shape[i]
        grids.append(t.reshape(own).expand(shape))
    if swap:
        grids[:2] = grids[1::-1]
    return tuple(grids)


def cartesian_prod(*tensors: Any) -> Any:
    """All choices of one element of each vector, one row each."""
    for t in _checked(tensors):
        if t.ndim != 1:
            raise RuntimeError(
                "Expect a 1D vector, but got shape " + str(list(t._shape))
            )
    if len(tensors) == 1:
        return tensors[0]
    grids = meshgrid(*tensors, indexing="ij")
    return torch.stack([g.reshape(-1) for g in grids], 1)


def block_diag(*tensors: Any) -> Any:
    """The matrix with matrices (or vectors, numbers) along its diagonal."""
    return torch._block_diag(list(tensors))


def split(tensor: Any, split_size_or_sections: Any, dim: int = 0) -> tuple[Any, ...]:
    """Pieces of one length along a dim (the last may be shorter), or of given lengths."""
    pieces = split_size_or_sections
    if isinstance(pieces, int) or hasattr(pieces, "_keys"):
        return tensor.split(pieces, dim)  # type: ignore[no-any-return]
    if not hasattr(tensor, "_keys"):
        return tensor.split(pieces, dim)  # type: ignore[no-any-return]
    return torch.split_with_sizes(tensor, pieces, dim)  # type: ignore[no-any-return]


def _at_least(n: int) -> Any:
    from dispatchtorch.ops.joining import at_least

    def function(*tensors: Any) -> Any:
        if len(tensors) == 1 and not isinstance(tensors[0], (list, tuple)):
            return at_least(n, tensors[0])
        return tuple([at_least(n, t) for t in _listed(tensors)])

    function.__name__ = function.__qualname__ = f"atleast_{n}d"
    function.__doc__ = f"Each tensor with at least {n} dims."
    return function


atleast_1d, atleast_2d, atleast_3d = _at_least(1), _at_least(2), _at_least(3)


def unravel_index(indices: Any, shape: Any) -> tuple[Any, ...]:
    """Places in a flattened tensor as one index tensor for each dim of ``shape``."""
    sizes = [shape] if isinstance(shape, int) else [int(n) for n in shape]
    if indices.is_floating_point() or indices.is_complex():
        raise ValueError(
            f"expected 'indices' to be integer dtype, but got {indices.dtype}"
        )
    if any(n < 0 for n in sizes):
        raise ValueError(f"'shape' cannot have negative values, but got {tuple(sizes)}")
    if not sizes:
        return ()
    steps = list(itertools.accumulate([*sizes[:0:-1]], lambda a, b: a * b, initial=1))
    from dispatchtorch.factory import tensor

    options: dict[str, Any] = {"dtype": torch.int64, "device": indices.device}
    by_dim = indices.unsqueeze(-1).div(
        tensor(steps[::-1], **options), rounding_mode="floor"
    )
    places: tuple[Any, ...] = (by_dim % tensor(sizes, **options)).unbind(-1)
    return places


def einsum(*args: Any) -> Any:
    """Sums of products in Einstein's notation: an equation, or lists of dim numbers."""
    if len(args) < 2:
        raise ValueError(
            "einsum(): must specify the equation string and at least one operand, or at "
            "least one operand and its subscripts list"
        )
    if isinstance(args[0], str):
        equation, operands = args[0], _listed(args[1:])
    else:
        letters = [_letters(each) for each in args[1::2]]
        operands = list(args[: len(args) - len(args) % 2 : 2])
        equation = ",".join(letters)
        if len(args) % 2:
            equation += "->" + _letters(args[-1])
    path: list[int] | None = None
    if len(operands) > 2:
        from dispatchtorch.backends import opt_einsum as setting

        library = setting.get_opt_einsum() if setting.enabled else None
        if library is not None:
            found = library.contract_path(
                equation,
                *[tuple(t._shape) for t in operands],
                shapes=True,
                optimize=setting.strategy or "auto",
            )[0]
            pairs = [p if len(p) == 2 else None for p in found]
            path = None if None in pairs else [i for p in pairs for i in p or ()]
    return torch._einsum(equation, operands, path=path)


def _letters(subscripts: Any) -> str:
    made = ""
    for n in subscripts:
        if n is Ellipsis:
            made += "..."
        elif 0 <= n < 52:
            made += chr(ord("A") + n) if n < 26 else chr(ord("a") + n - 26)
        else:
            raise ValueError(
                "einsum(): subscript in subscript list is not within the valid range "
                "[0, 52)"
            )
    return made


def chain_matmul(*matrices: Any, out: Any = None) -> Any:
    """The product of several matrices, as ``linalg.multi_dot``, which replaces it."""
    return torch.chain_matmul(_listed(matrices), out=out)


def lu(
    A: Any, pivot: bool = True, get_infos: bool = False, out: Any = None
) -> tuple[Any, ...]:
    """L and U in one matrix and the rows swapped, as ``linalg.lu_factor``."""
    made = torch._lu_with_info(A, pivot=pivot, check_errors=not get_infos)
    if out is None:
        return made if get_infos else (made[0], made[1])  # type: ignore[no-any-return]
    wanted = 3 if get_infos else 2
    if not isinstance(out, (tuple, list)):
        raise TypeError(
            f"argument 'out' must be tuple of Tensors, not {type(out).__name__}"
        )
    if len(out) != wanted:
        raise TypeError(f"expected tuple of {wanted} elements but got {len(out)}")
    for target, source in zip(out, made, strict=False):
        target.resize_as_(source).copy_(source)
    return tuple(out)


for _name in __all__:
    if _name != "broadcast_shapes":
        globals()[_name].__module__ = __name__
        globals()[_name] = _overridable(globals()[_name])
