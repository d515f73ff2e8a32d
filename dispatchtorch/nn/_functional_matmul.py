"""Products of groups of matrices and of scaled ones, of ``torch.nn.functional``."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Any

from dispatchtorch.ops._common import torch as operators

if TYPE_CHECKING:
    from dispatchtorch import Tensor, dtype

__all__ = [
    "ScalingType",
    "SwizzleType",
    "assert_int_or_pair",
    "grouped_mm",
    "scaled_grouped_mm",
    "scaled_mm",
]


class ScalingType(IntEnum):
    """What one scale belongs to: a tensor, a row, or a block of it."""

    TensorWise = 0
    RowWise = 1
    BlockWise1x16 = 2
    BlockWise1x32 = 3
    BlockWise1x128 = 4
    BlockWise128x128 = 5


class SwizzleType(IntEnum):
    """How block scales are ordered in memory."""

    NO_SWIZZLE = 0
    SWIZZLE_32_4_4 = 1


def assert_int_or_pair(arg: list[int], arg_name: str, message: str) -> None:
    """AssertionError with ``message`` unless ``arg`` is an int or has two items."""
    assert isinstance(arg, int) or len(arg) == 2, message.format(arg_name)


def grouped_mm(
    mat_a: Tensor,
    mat_b: Tensor,
    *,
    offs: Tensor | None = None,
    bias: Tensor | None = None,
    out_dtype: dtype | None = None,
) -> Tensor:
    """The products of groups of matrices.

    Two (G, …) stacks are multiplied one by one. A matrix in place of a stack holds the
    groups side by side, which end at ``offs`` (int32): along its rows for ``mat_a``
    (M, K), its columns for ``mat_b`` (K, N), and along K where both are matrices.
    """
    if bias is not None:
        raise RuntimeError("Bias not supported yet")
    ranks = (mat_a.dim(), mat_b.dim())
    if not all(rank in (2, 3) for rank in ranks):
        raise RuntimeError("mat_a and mat_b have to be 2 or 3 dimensional")
    if (offs is None) != (ranks == (3, 3)):
        raise RuntimeError(
            "Have to provide offsets if there is a 2d matrix, or no offset if both "
            "matrices are 3d"
        )
    if out_dtype is not None and out_dtype is not mat_a.dtype:
        raise RuntimeError("Grouped gemm output dtype must match `mat_a` dtype")
    if ranks != (2, 2) and mat_a.shape[-1] != mat_b.shape[-2]:
        raise RuntimeError("contraction dimension of mat_a and mat_b must match")
    if offs is None:
        return mat_a.bmm(mat_b)
    if offs.dtype is not operators.int32:
        raise RuntimeError("Offsets have to be int32")
    ends = offs.tolist()
    parts = list(zip([0, *ends], ends))
    if ranks == (2, 2):
        products = [mat_a[:, i:j].mm(mat_b[i:j]) for i, j in parts]
        return operators.stack(products)
    if ranks == (2, 3):
        made = [mat_a[i:j].mm(mat_b[g]) for g, (i, j) in enumerate(parts)]
        return operators.cat(made, 0)
    made = [mat_a[g].mm(mat_b[:, i:j]) for g, (i, j) in enumerate(parts)]
    return operators.cat(made, 1)


def _only(value: Any) -> Any:
    """The one item of a list argument; NotImplementedError for several scales."""
    if not isinstance(value, (list, tuple)):
        return value
    if len(value) != 1:
        raise NotImplementedError(
            "scaled_mm: more than one scale for a matrix isn't supported"
        )
    return value[0]


def _unscaled(matrix: Any, scale: Any, recipe: Any, side: str) -> Any:
    """A matrix times its scale, in float32."""
    scale, recipe = _only(scale), _only(recipe)
    if recipe not in (ScalingType.TensorWise, ScalingType.RowWise):
        raise NotImplementedError(
            f"scaled_mm: {ScalingType(recipe).name} scales aren't supported, only "
            "TensorWise and RowWise ones"
        )
    if recipe == ScalingType.RowWise:
        scale = scale.reshape((-1, 1) if side == "a" else (1, -1))
    return matrix.to(operators.float32) * scale


def scaled_mm(
    mat_a: Tensor,
    mat_b: Tensor,
    scale_a: Tensor | list[Tensor],
    scale_recipe_a: ScalingType | list[ScalingType],
    scale_b: Tensor | list[Tensor],
    scale_recipe_b: ScalingType | list[ScalingType],
    swizzle_a: SwizzleType | list[SwizzleType] | None = None,
    swizzle_b: SwizzleType | list[SwizzleType] | None = None,
    bias: Tensor | None = None,
    output_dtype: dtype | None = operators.bfloat16,
    contraction_dim: list[int] | tuple[int, ...] = (),
    use_fast_accum: bool = False,
) -> Tensor:
    """``(scale_a * mat_a) @ (scale_b * mat_b) + bias``, for matrices in small floats.

    Scales are of the whole matrix or of rows of ``mat_a`` and columns of ``mat_b``.
    Raises NotImplementedError for block scales, swizzles and contraction dims. Sums are
    always accurate, so that ``use_fast_accum`` changes nothing.
    """
    for swizzle in (swizzle_a, swizzle_b):
        if swizzle is not None and _only(swizzle) != SwizzleType.NO_SWIZZLE:
            raise NotImplementedError("scaled_mm: swizzled scales aren't supported")
    if len(contraction_dim):
        raise NotImplementedError("scaled_mm: contraction_dim isn't supported")
    made = _unscaled(mat_a, scale_a, scale_recipe_a, "a").mm(
        _unscaled(mat_b, scale_b, scale_recipe_b, "b")
    )
    if bias is not None:
        made = made + bias
    return made if output_dtype is None else made.to(output_dtype)


def scaled_grouped_mm(
    mat_a: Tensor,
    mat_b: Tensor,
    scale_a: Tensor | list[Tensor],
    scale_recipe_a: ScalingType | list[ScalingType],
    scale_b: Tensor | list[Tensor],
    scale_recipe_b: ScalingType | list[ScalingType],
    swizzle_a: SwizzleType | list[SwizzleType] | None = None,
    swizzle_b: SwizzleType | list[SwizzleType] | None = None,
    bias: Tensor | None = None,
    offs: Tensor | None = None,
    output_dtype: dtype | None = operators.bfloat16,
    contraction_dim: list[int] | tuple[int, ...] = (),
    use_fast_accum: bool = False,
) -> Tensor:
    """:func:`grouped_mm` of scaled matrices: NotImplementedError on every device."""
    raise NotImplementedError(
        "scaled_grouped_mm isn't supported; multiply by the scales and use grouped_mm"
    )
