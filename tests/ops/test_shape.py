"""Rearranging, joining, splitting, products over dims: as PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import dispatchtorch as torch

from .oracle import compare, spec

oracle = pytest.importorskip("torch")
r = np.random.default_rng(0)


def X(*shape: int, dt: str = "float64", g: bool = True) -> Any:
    return spec(r.standard_normal(shape), dt, g)


def I(values: Any, **options: Any) -> Any:
    return spec(np.array(values), **options)


def check(fn: Any, *args: Any, **options: Any) -> None:
    compare(fn, *args, **{"gradgrad": True, "grad_fn": True, **options})


g = dict(grad_fn=False)


@pytest.mark.oracle
def test_repeat_as_pytorch() -> None:
    check(lambda m, x: x.repeat(2, 3), X(3, 4))
    check(lambda m, x: x.repeat(2, 1, 1), X(3))
    check(lambda m, x: x.repeat(2, 0), X(3))
    check(lambda m, x: x.repeat(()), X())
    check(lambda m, x: x.repeat(2), X(3, 4))


@pytest.mark.oracle
def test_tile_as_pytorch() -> None:
    check(lambda m, x: m.tile(x, (2,)), X(3, 4))
    check(lambda m, x: x.tile(2, 2, 2), X(3, 4))


@pytest.mark.oracle
def test_repeat_interleave_as_pytorch() -> None:
    check(lambda m, x: m.repeat_interleave(x, 2), X(3, 4), grad_fn=False)
    check(lambda m, x: x.repeat_interleave(2, dim=1), X(3, 4), grad_fn=False)
    check(lambda m, x: x.repeat_interleave(m.tensor([1, 0, 2]), dim=0), X(3, 4))
    check(lambda m, x: m.repeat_interleave(m.tensor([1, 0, 2])), X(3, 4))
    check(lambda m, x: x.repeat_interleave(m.tensor([1, 0]), dim=0), X(3, 4))


@pytest.mark.oracle
def test_roll_as_pytorch() -> None:
    for a in ((1,), (2, 0), ((1, -1), (0, 1)), ((1, 2), (0,)), (5, -1)):
        check(lambda m, x: m.roll(x, *a), X(3, 4))


@pytest.mark.oracle
def test_tril_as_pytorch() -> None:
    for f in ("tril", "triu"):
        for d in (0, 1, -1):
            check(lambda m, x: getattr(m, f)(x, d), X(3, 4))
            check(lambda m, x: getattr(x, f)(d), X(2, 3, 4))
        check(lambda m, x: getattr(x, f)(), X(4))
        check(lambda m: getattr(m, f + "_indices")(3, 4, 1), strides=False)
        check(lambda m, x: getattr(x.clone(), f + "_")(), X(4, 4))
        check(lambda m, x: getattr(m, f)(x > 0), X(3, 4))


@pytest.mark.oracle
def test_diag_as_pytorch() -> None:
    check(lambda m, x: m.diag(x), X(3), grad_fn=False)
    check(lambda m, x: m.diag(x, 1), X(3, 4), grad_fn=False)


@pytest.mark.oracle
def test_diag_embed_as_pytorch() -> None:
    check(lambda m, x: x.diag_embed(1), X(2, 3), grad_fn=False)
    check(lambda m, x: x.diag_embed(0, 0, 2), X(2, 3), grad_fn=False)


@pytest.mark.oracle
def test_diagflat_as_pytorch() -> None:
    check(lambda m, x: m.diagflat(x), X(2, 3), grad_fn=False)


@pytest.mark.oracle
def test_trace_as_pytorch() -> None:
    check(lambda m, x: x.trace(), X(3, 4))


@pytest.mark.oracle
def test_block_diag_as_pytorch() -> None:
    check(
        lambda m, x, y: m.block_diag(x, y, m.tensor(1.0)), X(2, 3), X(3), grad_fn=False
    )


@pytest.mark.oracle
def test_select_scatter_as_pytorch() -> None:
    check(lambda m, x, y: m.select_scatter(x, y, 0, 1), X(3, 4), X(4))


@pytest.mark.oracle
def test_slice_scatter_as_pytorch() -> None:
    check(lambda m, x, y: x.slice_scatter(y, 1, 1, 3), X(3, 4), X(3, 2))
    check(lambda m, x, y: m.slice_scatter(x, y, start=2), X(3, 4), X(1, 4))


@pytest.mark.oracle
def test_diagonal_scatter_as_pytorch() -> None:
    check(lambda m, x, y: m.diagonal_scatter(x, y, 1), X(3, 4), X(3))


@pytest.mark.oracle
def test_select_scatter_2_as_pytorch() -> None:
    check(lambda m, x, y: m.select_scatter(x, y, 0, 1), X(3, 4), X(3))


@pytest.mark.oracle
def test_swapaxes_as_pytorch() -> None:
    check(lambda m, x: m.swapaxes(x, 0, 1), X(3, 4))


@pytest.mark.oracle
def test_swapdims_as_pytorch() -> None:
    check(lambda m, x: m.swapdims(x, 0, 1), X(3, 4))


@pytest.mark.oracle
def test_moveaxis_as_pytorch() -> None:
    check(lambda m, x: x.moveaxis(0, -1), X(3, 4, 2))


@pytest.mark.oracle
def test_ravel_as_pytorch() -> None:
    check(lambda m, x: x.ravel(), X(3, 4))


@pytest.mark.oracle
def test_t_as_pytorch() -> None:
    check(lambda m, x: x.t().ravel(), X(3, 4))


@pytest.mark.oracle
def test_broadcast_to_as_pytorch() -> None:
    check(lambda m, x: x.broadcast_to((2, 3)), X(3))


@pytest.mark.oracle
def test_fliplr_as_pytorch() -> None:
    check(lambda m, x: x.fliplr(), X(2, 3))


@pytest.mark.oracle
def test_flipud_as_pytorch() -> None:
    check(lambda m, x: x.flipud(), X(2, 3))


@pytest.mark.oracle
def test_rot90_as_pytorch() -> None:
    for k in range(4):
        check(lambda m, x: m.rot90(x, k), X(3, 4), grad_fn=False)
        check(lambda m, x: m.rot90(x, k, (1, 2)), X(3, 4, 2), grad_fn=False)


@pytest.mark.oracle
def test_hstack_as_pytorch() -> None:
    for f in (
        "hstack",
        "vstack",
        "dstack",
        "column_stack",
        "concat",
        "concatenate",
        "row_stack",
    ):
        check(lambda m, x, y: getattr(m, f)((x, y)), X(3), X(3), grad_fn=False)
        check(lambda m, x, y: getattr(m, f)([x, y]), X(3, 2), X(3, 2), grad_fn=False)


@pytest.mark.oracle
def test_tensor_split_as_pytorch() -> None:
    check(lambda m, x: m.tensor_split(x, 3), X(7, 2))
    check(lambda m, x: x.tensor_split((1, 3), dim=0), X(7, 2))
    check(lambda m, x: x.tensor_split(2, 1), X(7, 3))
    check(lambda m, x: x.tensor_split(m.tensor([1, 2])), X(7, 3))


@pytest.mark.oracle
def test_hsplit_as_pytorch() -> None:
    check(lambda m, x: x.hsplit(2), X(3, 4))


@pytest.mark.oracle
def test_vsplit_as_pytorch() -> None:
    check(lambda m, x: x.vsplit((1, 2)), X(3, 4))


@pytest.mark.oracle
def test_dsplit_as_pytorch() -> None:
    check(lambda m, x: m.dsplit(x, 2), X(3, 4, 2))
    check(lambda m, x: m.dsplit(x, 2), X(3, 4))


@pytest.mark.oracle
def test_hsplit_2_as_pytorch() -> None:
    check(lambda m, x: m.hsplit(x, 3), X(3, 4))


@pytest.mark.oracle
def test_unsafe_chunk_as_pytorch() -> None:
    check(lambda m, x: m.unsafe_chunk(x, 2), X(4, 3), grad_fn=False)


@pytest.mark.oracle
def test_unsafe_split_as_pytorch() -> None:
    check(lambda m, x: m.unsafe_split(x, 2), X(5, 3), grad_fn=False)


@pytest.mark.oracle
def test_unsafe_split_with_sizes_as_pytorch() -> None:
    check(lambda m, x: x.unsafe_split_with_sizes([2, 3]), X(5, 3), grad_fn=False)


@pytest.mark.oracle
def test_operators_as_pytorch() -> None:
    for f, a in dict(
        view=((12,),),
        permute=((1, 0),),
        transpose=(0, 1),
        squeeze=(),
        unsqueeze=(0,),
        select=(0, 1),
        slice=(0, 1),
        expand=((3, 4),),
        diagonal=(),
        t=(),
        alias=(),
        unfold=(0, 2, 1),
        as_strided=((2, 2), (1, 1)),
        narrow=(0, 1, 2),
    ).items():
        check(
            lambda m, x: getattr(m, f + "_copy")(x, *a),
            X(3, 4),
            grad_fn=False,
            gradgrad=False,
        )


@pytest.mark.oracle
def test_split_copy_as_pytorch() -> None:
    check(lambda m, x: m.split_copy(x, 2), X(3, 4), grad_fn=False)


@pytest.mark.oracle
def test_unbind_copy_as_pytorch() -> None:
    check(lambda m, x: m.unbind_copy(x), X(3, 4), grad_fn=False)


@pytest.mark.oracle
def test_combinations_as_pytorch() -> None:
    check(lambda m, x: m.combinations(x), X(4), grad_fn=False)
    check(lambda m, x: m.combinations(x, 3, True), X(4), grad_fn=False)


@pytest.mark.oracle
def test_cartesian_prod_as_pytorch() -> None:
    check(lambda m, x, y: m.cartesian_prod(x, y), X(4), X(2), grad_fn=False)


@pytest.mark.oracle
def test_ij_as_pytorch() -> None:
    for k in ("ij", "xy"):
        check(lambda m, x, y: m.meshgrid(x, y, indexing=k), X(4), X(2), grad_fn=False)


@pytest.mark.oracle
def test_broadcast_tensors_as_pytorch() -> None:
    check(lambda m, x, y: m.broadcast_tensors(x, y), X(4, 1), X(2))


@pytest.mark.oracle
def test_broadcast_shapes_as_pytorch() -> None:
    check(lambda m: m.broadcast_shapes((2, 1), (3,)) == (2, 3))


@pytest.mark.oracle
def test_atleast_1d_as_pytorch() -> None:
    for f in ("atleast_1d", "atleast_2d", "atleast_3d"):
        for s in ((), (2,), (2, 3)):
            check(lambda m, x: getattr(m, f)(x), X(*s), grad_fn=False)
        check(lambda m, x: getattr(m, f)(x, x), X(2), grad_fn=False)


@pytest.mark.oracle
def test_unravel_index_as_pytorch() -> None:
    check(lambda m, x: m.unravel_index(x, (2, 3, 4)), I([1, 23, 7]))


@pytest.mark.oracle
def test_baddbmm_as_pytorch() -> None:
    check(
        lambda m, a, b, d: m.baddbmm(a, b, d, beta=0.5, alpha=2),
        X(2, 3, 5),
        X(2, 3, 4),
        X(2, 4, 5),
    )


@pytest.mark.oracle
def test_operators_2_as_pytorch() -> None:
    check(lambda m, a, b, d: a.addbmm(b, d), X(3, 5), X(2, 3, 4), X(2, 4, 5))
    check(lambda m, a, b, d: a.addmv(b, d, alpha=3), X(3), X(3, 4), X(4))
    check(lambda m, a, b, d: a.addr(b, d), X(3, 4), X(3), X(4))


@pytest.mark.oracle
def test_inner_as_pytorch() -> None:
    check(lambda m, a, b: m.inner(a, b), X(3, 4), X(2, 4), **g)


@pytest.mark.oracle
def test_vdot_as_pytorch() -> None:
    check(lambda m, a, b: m.vdot(a, b), X(4), X(4), **g)


@pytest.mark.oracle
def test_ger_as_pytorch() -> None:
    check(lambda m, a, b: m.ger(a, b), X(4), X(3), **g)


@pytest.mark.oracle
def test_tensordot_as_pytorch() -> None:
    check(lambda m, a, b: m.tensordot(a, b, 2), X(3, 4, 5), X(4, 5, 2), **g)
    check(
        lambda m, a, b: m.tensordot(a, b, dims=([1, 0], [0, 1])),
        X(3, 4, 5),
        X(4, 3, 2),
        **g,
    )
    check(lambda m, a, b: m.tensordot(a, b, 0), X(3), X(2), **g)


@pytest.mark.oracle
def test_kron_as_pytorch() -> None:
    check(lambda m, a, b: m.kron(a, b), X(2, 3), X(4, 5), **g)
    check(lambda m, a, b: m.kron(a, b), X(3), X(4, 5), **g)


@pytest.mark.oracle
def test_matrix_power_as_pytorch() -> None:
    check(lambda m, a: m.matrix_power(a, 3), X(3, 3), **g)


@pytest.mark.oracle
def test_cross_as_pytorch() -> None:
    check(lambda m, a, b: m.cross(a, b, dim=1), X(4, 3), X(4, 3))
    check(lambda m, a, b: m.linalg.cross(a, b), X(4, 3), X(4, 3))


@pytest.mark.oracle
def test_cdist_as_pytorch() -> None:
    for p in (2.0, 1.0, 0.5, float("inf")):
        check(
            lambda m, a, b: m.cdist(a, b, p=p),
            X(4, 3),
            X(2, 3),
            grad_fn=False,
            gradgrad=False,
            strides=False,
        )


@pytest.mark.oracle
def test_einsum_as_pytorch() -> None:
    for e, s in {
        "ij,jk->ik": ((2, 3), (3, 4)),
        "bij,bjk->bik": ((2, 3, 4), (2, 4, 5)),
        "ii": ((3, 3),),
        "ii->i": ((3, 3),),
        "i,j->ij": ((2,), (3,)),
        "ij->": ((2, 3),),
        "ij->ji": ((2, 3),),
        "bhqd,bhkd->bhqk": ((2, 2, 3, 4), (2, 2, 5, 4)),
        "...ij,...jk->...ik": ((2, 3, 4), (4, 5)),
        "bn,anm,bm->ba": ((2, 3), (4, 3, 5), (2, 5)),
        "i,i->": ((3,), (3,)),
        "ij,ij->ij": ((2, 3), (2, 3)),
        "ij,kj": ((2, 3), (4, 3)),
        "...": ((2, 3),),
        "a...a->...": ((3, 2, 3),),
        "ij,jk": ((2, 3), (4, 5)),
        "ij": ((2, 3, 4),),
        "ij->iz": ((2, 3),),
        "i,i->i": ((1,), (3,)),
    }.items():
        check(
            lambda m, *a: m.einsum(e, *a),
            *[X(*q) for q in s],
            grad_fn=False,
            strides=False,
        )
    check(
        lambda m, a, b: m.einsum(a, [0, 1], b, [1, 2], [0, 2]),
        X(2, 3),
        X(3, 4),
        grad_fn=False,
        strides=False,
    )


@pytest.mark.oracle
def test_chain_matmul_as_pytorch() -> None:
    check(lambda m, a, b: m.chain_matmul(a, b), X(2, 3), X(3, 4), **g)


@pytest.mark.oracle
def test_unsqueeze_as_pytorch() -> None:
    check(lambda m, x: (x * 2).unsqueeze_(0), X(3, 4), grad_fn=False)


@pytest.mark.oracle
def test_clone_as_pytorch() -> None:
    check(lambda m, x: x.clone().t_(), X(3, 4), grad_fn=False)


@pytest.mark.oracle
def test_transpose_as_pytorch() -> None:
    check(lambda m, x: (x * 1).transpose_(0, 1).mul_(2), X(3, 4), grad_fn=False)


@pytest.mark.oracle
def test_squeeze_as_pytorch() -> None:
    check(lambda m, x: x.squeeze_(1).add_(1), X(3, 1, 4, g=False), grad_fn=False)


@pytest.mark.oracle
def test_nonzero_as_pytorch() -> None:
    check(lambda m, x: x.nonzero(as_tuple=True), X(3, 4, g=False), strides=False)
    check(lambda m, x: m.nonzero(x), X(3, 4, g=False), strides=False)


def test_rearranging_on_devices(device: str) -> None:
    x = torch.arange(3, device=device)
    assert x.repeat(2).tolist() == [0, 1, 2, 0, 1, 2]
    assert x.roll(1).tolist() == [2, 0, 1]
    assert torch.einsum("i,j->ij", x, x).trace().item() == 5
    assert x.scatter_reduce(0, x, x, "amax").tolist() == [0, 1, 2]
