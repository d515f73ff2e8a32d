"""``torch.sparse_coo_tensor`` and its compressed kin."""

from __future__ import annotations

from typing import Any

import dispatchtorch as torch
from dispatchtorch.ops._common import torch as operators
from dispatchtorch.sparse._checks import check_sparse_tensor_invariants
from dispatchtorch.tensor import Tensor

__all__ = [
    "sparse_bsc_tensor",
    "sparse_bsr_tensor",
    "sparse_compressed_tensor",
    "sparse_coo_tensor",
    "sparse_csc_tensor",
    "sparse_csr_tensor",
]


def _values(values: Any, dtype: Any, device: Any) -> Tensor:
    if isinstance(values, Tensor):
        return values.to(device=device, dtype=dtype)
    return torch.tensor(values, dtype=dtype, device=device)


def _indices(indices: Any, device: Any) -> Tensor:
    made = indices if isinstance(indices, Tensor) else torch.tensor(indices)
    if made.is_floating_point() and made.numel() == 0:
        made = made.to(torch.int64)
    return made.to(device)


def sparse_coo_tensor(
    indices: Any = None,
    values: Any = None,
    size: Any = None,
    *more: Any,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
    check_invariants: bool | None = None,
    is_coalesced: bool | None = None,
) -> Tensor:
    """A tensor by coordinates.

    Follows https://docs.pytorch.org/docs/stable/generated/torch.sparse_coo_tensor.html.
    ``indices``: (sparse dims, nnz); ``values``: (nnz, *dense dims); ``size``: found from
    the indices where it isn't given.
    """
    if layout not in (None, torch.sparse_coo):
        raise RuntimeError(f"expected sparse_coo layout, but got layout {layout}")
    if values is None or isinstance(values, int):
        sizes = (
            indices
            if values is None
            else (indices, values, *(() if size is None else (size,)), *more)
        )
        shape = tuple(size if sizes is None else sizes)
        kind = torch.get_default_dtype() if dtype is None else dtype
        place = torch.empty(0, device=device).device
        at = torch.empty([len(shape), 0], dtype=torch.int64, device=place)
        made = operators._sparse_coo_tensor_with_dims_and_tensors(
            at, torch.empty([0], dtype=kind, device=place), shape, is_coalesced=True
        )
        return made.requires_grad_(requires_grad)
    if device is None and isinstance(values, Tensor):
        device = values.device
    stored = _values(values, dtype, device)
    at = _indices(indices, stored.device)
    if at.is_floating_point() or at.is_complex() or at.dtype is torch.bool:
        raise TypeError("indices must be an int64 tensor")
    at = at.to(torch.int64)
    if at.dim() != 2:
        raise RuntimeError(
            f"indices must be sparse_dim x nnz, but got: {list(at.shape)}"
        )
    if not isinstance(values, Tensor) and stored.dim() == 0:
        stored = stored.expand([at.shape[1]])
    if (stored.dim() and stored.shape[0] != at.shape[1]) or not stored.dim():
        raise RuntimeError(
            "indices and values must have same nnz, but got nnz from indices: "
            f"{at.shape[1]}, nnz from values: {stored.shape[0] if stored.dim() else 0}"
        )
    sparse = at.shape[0]
    if size is None:
        if at.shape[1] == 0:
            lead = [0] * sparse
        else:
            if bool((at < 0).any()):
                raise RuntimeError(
                    f"found negative index {int(at.min())} for dim "
                    f"{int((at < 0).any(1).to(torch.int64).argmax())}"
                )
            lead = (at.amax(1) + 1).tolist()
        shape = (*lead, *stored.shape[1:])
    else:
        shape = tuple(int(n) for n in size)
        _check_coo(at, stored, shape, check_invariants)
    made = operators._sparse_coo_tensor_with_dims_and_tensors(
        at, stored, shape, is_coalesced=is_coalesced
    )
    if requires_grad:
        made = made.detach().requires_grad_()
    return made  # type: ignore[no-any-return]


def _check_coo(at: Tensor, stored: Tensor, shape: Any, check: bool | None) -> None:
    sparse, dense = at.shape[0], stored.dim() - 1
    if len(shape) != sparse + dense:
        raise RuntimeError(
            "'len(size) == sparse_dim + dense_dim' is not satisfied: len(size) = "
            f"{len(shape)}, sparse_dim = {sparse}, dense_dim = {dense}"
        )
    if tuple(stored.shape[1:]) != tuple(shape[sparse:]):
        raise RuntimeError(
            f"values has incorrect size, expected "
            f"{[stored.shape[0], *shape[sparse:]]}, got {list(stored.shape)}"
        )
    if check is None:
        check = check_sparse_tensor_invariants.is_enabled()
    if check and at.numel():
        for d, (low, high) in enumerate(
            zip(at.amin(1).tolist(), at.amax(1).tolist(), strict=True)
        ):
            if low < 0:
                raise RuntimeError(f"found negative index {low} for dim {d}")
            if high >= shape[d]:
                raise RuntimeError(
                    f"size is inconsistent with indices: for dim {d}, size is {shape[d]} "
                    f"but found index {high}"
                )


def sparse_compressed_tensor(
    compressed_indices: Any,
    plain_indices: Any,
    values: Any,
    size: Any = None,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
    check_invariants: bool | None = None,
) -> Tensor:
    """A tensor with compressed rows or columns: CSR, CSC, BSR or BSC by ``layout``.

    Follows
    https://docs.pytorch.org/docs/stable/generated/torch.sparse_compressed_tensor.html.
    """
    if layout is None:
        raise RuntimeError("expected sparse compressed tensor layout but got Strided")
    if device is None and isinstance(values, Tensor):
        device = values.device
    stored = _values(values, dtype, device)
    compressed = _indices(compressed_indices, stored.device)
    plain = _indices(plain_indices, stored.device)
    batch = plain.dim() - 1
    blocked = layout in (torch.sparse_bsr, torch.sparse_bsc)
    by_row = layout in (torch.sparse_csr, torch.sparse_bsr)
    height, width = stored.shape[batch + 1 : batch + 3] if blocked else (1, 1)
    if size is None:
        major = compressed.shape[-1] - 1
        minor = int(plain.max()) + 1 if plain.numel() else 0
        rows, columns = (major, minor) if by_row else (minor, major)
        tail = stored.shape[batch + 1 + (2 if blocked else 0) :]
        size = (*plain.shape[:-1], rows * height, columns * width, *tail)
    if check_invariants is None:
        check_invariants = check_sparse_tensor_invariants.is_enabled()
    _check_compressed(compressed, plain, stored, tuple(size), layout, (height, width))
    if check_invariants:
        _check_places(compressed, plain, tuple(size), layout, (height, width))
    made = operators._sparse_compressed(
        compressed, plain, stored, tuple(size), layout=layout
    )
    if requires_grad:
        made = made.detach().requires_grad_()
    return made  # type: ignore[no-any-return]


def _check_compressed(
    compressed: Tensor,
    plain: Tensor,
    stored: Tensor,
    size: Any,
    layout: Any,
    block: Any,
) -> None:
    by_row = layout in (torch.sparse_csr, torch.sparse_bsr)
    first, second = ("crow", "col") if by_row else ("ccol", "row")
    batch = plain.dim() - 1
    at = batch if by_row else batch + 1
    count = size[at] // block[0 if by_row else 1]
    if compressed.shape[-1] != count + 1:
        name = "nrows" if by_row else "ncols"
        raise RuntimeError(
            f"{first}_indices.shape[-1] must be equal to the number of "
            f"{'rows' if by_row else 'columns'} + 1 as specified by {name} + 1 (={count + 1}),"
            f" but got {compressed.shape[-1]}"
        )
    if stored.shape[batch] != plain.shape[-1]:
        raise RuntimeError(
            f"number of values ({stored.shape[batch]}) must be equal to the number of "
            f"{second}_indices ({plain.shape[-1]})"
        )


def _check_places(
    compressed: Tensor, plain: Tensor, size: Any, layout: Any, block: Any
) -> None:
    by_row = layout in (torch.sparse_csr, torch.sparse_bsr)
    first, second = ("crow", "col") if by_row else ("ccol", "row")
    batch = plain.dim() - 1
    if plain.numel():
        limit = size[batch + (1 if by_row else 0)] // block[1 if by_row else 0]
        low, high = int(plain.min()), int(plain.max())
        if low < 0 or high >= limit:
            raise RuntimeError(
                f"`0 <= {second}_indices < {'ncols' if by_row else 'nrows'}` is not satisfied."
            )
    if bool((compressed[..., 0] != 0).any()):
        raise RuntimeError(f"`{first}_indices[..., 0] == 0` is not satisfied.")
    if bool((compressed[..., -1] != plain.shape[-1]).any()):
        raise RuntimeError(f"`{first}_indices[..., -1] == nnz` is not satisfied.")


def _of_layout(name: str, by_row: bool) -> Any:
    layout = getattr(torch, f"sparse_{name}")
    first, second = (
        ("crow_indices", "col_indices") if by_row else ("ccol_indices", "row_indices")
    )

    def construct(*args: Any, **options: Any) -> Tensor:
        names = (first, second, "values", "size")
        given = dict(zip(names, args, strict=False))
        given.update({k: options.pop(k) for k in names if k in options})
        if options.pop("layout", None) not in (None, layout):
            raise RuntimeError(f"expected {layout} layout")
        return sparse_compressed_tensor(
            given[first], given[second], given["values"], given.get("size"),
            layout=layout, **options,
        )  # fmt: skip

    construct.__name__ = construct.__qualname__ = f"sparse_{name}_tensor"
    construct.__doc__ = f"A tensor in the layout sparse_{name}."
    return construct


sparse_csr_tensor = _of_layout("csr", True)
sparse_csc_tensor = _of_layout("csc", False)
sparse_bsr_tensor = _of_layout("bsr", True)
sparse_bsc_tensor = _of_layout("bsc", False)
