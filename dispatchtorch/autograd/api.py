"""``torch.autograd.backward`` and ``torch.autograd.grad``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dispatchtorch.autograd.engine import run_backward
from dispatchtorch.dispatch import state
from dispatchtorch.dispatch.keys import AUTOGRAD, PYTHON
from dispatchtorch.dtypes import DTYPE_MASK
from dispatchtorch.ops._common import torch
from dispatchtorch.tensor import Tensor, new_tensor

__all__ = ["backward", "grad"]


def _as_tuple(value: Any) -> tuple[Any, ...]:
    return (value,) if isinstance(value, Tensor) else tuple(value)


def _root_grads(
    roots: Sequence[Tensor], grads: Sequence[Any], batched: bool = False
) -> list[Tensor | None]:
    """The gradients to start from: ones for scalars, checked against the roots."""
    made: list[Tensor | None] = []
    if len(grads) != len(roots):
        raise RuntimeError(
            f"Mismatch in length of grad_tensors: got {len(grads)} gradients for "
            f"{len(roots)} tensors"
        )
    for i, (root, grad) in enumerate(zip(roots, grads, strict=True)):
        if not root.requires_grad:
            raise RuntimeError(
                f"element {i} of tensors does not require grad and does not have a "
                "grad_fn"
            )
        if isinstance(grad, Tensor):
            shape = grad._shape[1:] if batched else grad._shape
            if shape != root._shape:
                raise RuntimeError(
                    f"Mismatch in shape: grad_output[{i}] has a shape of "
                    f"{grad.shape} and output[{i}] has a shape of {root.shape}."
                )
            if grad.is_complex() != root.is_complex():
                raise RuntimeError(
                    "For complex Tensors, both grad_output and output are required to "
                    f"have the same dtype. Mismatch in dtype: grad_output[{i}] has a "
                    f"dtype of {grad.dtype} and output[{i}] has a dtype of {root.dtype}."
                )
            made.append(grad)
        elif grad is None:
            if root._shape and root.numel() != 1:
                raise RuntimeError(
                    "grad can be implicitly created only for scalar outputs"
                )
            if not root.is_floating_point():
                raise RuntimeError(
                    "grad can be implicitly created only for real scalar outputs but "
                    f"got {root.dtype}"
                )
            backend = root._backend
            one = backend.scalar(1, root.dtype, backend.index(root._data))
            if root._keys & PYTHON:
                with state.exclude(AUTOGRAD):
                    made.append(torch.ones_like(root))
                continue
            made.append(
                new_tensor(one, backend.key | root._keys & DTYPE_MASK)
                if not root._shape
                else root.new_ones(root._shape)
            )
        else:
            raise TypeError(
                f"gradients can be either Tensors or None, but got {type(grad).__name__}"
            )
    return made


def backward(
    tensors: Any,
    grad_tensors: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    grad_variables: Any = None,
    inputs: Any = None,
) -> None:
    """Adds the gradients of the leaves of ``tensors`` to their ``.grad``.

    Follows https://docs.pytorch.org/docs/stable/generated/torch.autograd.backward.html.
    """
    if grad_variables is not None:
        if grad_tensors is not None:
            raise RuntimeError(
                "`grad_tensors` and `grad_variables` (deprecated) arguments both passed "
                "to `backward()`. Please only use `grad_tensors`."
            )
        grad_tensors = grad_variables
    targets = None
    if inputs is not None:
        targets = _as_tuple(inputs)
        if not targets:
            raise RuntimeError("`inputs` argument to `backward()` cannot be empty.")
        for t in targets:
            if not t.requires_grad:
                raise RuntimeError(
                    "One of the differentiated Tensors does not require grad"
                )
    roots = _as_tuple(tensors)
    grads = (None,) * len(roots) if grad_tensors is None else _as_tuple(grad_tensors)
    keep = create_graph if retain_graph is None else retain_graph
    run_backward(roots, _root_grads(roots, grads), keep, create_graph, targets, True)


def grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[Tensor, ...]:
    """The gradients of ``outputs`` with respect to ``inputs``.

    Follows https://docs.pytorch.org/docs/stable/generated/torch.autograd.grad.html.
    """
    if materialize_grads and allow_unused is False:
        raise ValueError(
            "Expected allow_unused to be True or not passed when materialize_grads=True, "
            "but got: allow_unused=False."
        )
    if allow_unused is None:
        allow_unused = materialize_grads
    roots, targets = _as_tuple(outputs), _as_tuple(inputs)
    for t in targets:
        if not t.requires_grad:
            raise RuntimeError(
                "One of the differentiated Tensors does not require grad"
            )
    grads = (None,) * len(roots) if grad_outputs is None else _as_tuple(grad_outputs)
    keep = create_graph if retain_graph is None else retain_graph
    starts = _root_grads(roots, grads, is_grads_batched)
    if is_grads_batched:
        return _batched(
            roots, targets, starts, keep, create_graph, allow_unused, materialize_grads
        )
    found = run_backward(roots, starts, keep, create_graph, targets)
    return _checked(found, targets, allow_unused, materialize_grads)


def _checked(
    found: list[Tensor | None],
    targets: tuple[Tensor, ...],
    allow_unused: bool,
    materialize: bool,
) -> tuple[Tensor, ...]:
    result = []
    for i, (made, target) in enumerate(zip(found, targets, strict=True)):
        if made is None and not allow_unused:
            raise RuntimeError(
                f"The differentiated Tensor at index {i} appears to not have been used "
                "in the graph. Set allow_unused=True if this is the desired behavior."
            )
        if made is None and materialize:
            made = target.new_zeros(target._shape)
        result.append(made)
    return tuple(result)  # type: ignore[arg-type]


def _batched(
    roots: tuple[Tensor, ...],
    targets: tuple[Tensor, ...],
    starts: list[Tensor | None],
    keep: bool,
    create_graph: bool,
    allow_unused: bool,
    materialize: bool,
) -> tuple[Tensor, ...]:
    """One backward pass for each row of the batch; rows are stacked at the end."""
    import dispatchtorch as torch

    size = next(s._shape[0] for s in starts if s is not None)
    rows = []
    for i in range(size):
        row = [None if s is None else s[i] for s in starts]
        found = run_backward(roots, row, keep or i < size - 1, create_graph, targets)
        rows.append(_checked(found, targets, allow_unused, materialize))
    return tuple(
        None if column[0] is None else torch.stack(column)  # type: ignore[misc]
        for column in zip(*rows, strict=True)
    )
