"""``flex_attention`` and block masks against PyTorch's."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import dispatchtorch as torch
from dispatchtorch.nn.attention import flex_attention as ours

oracle = pytest.importorskip("torch")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    theirs = pytest.importorskip("torch.nn.attention.flex_attention")
pytestmark = [
    pytest.mark.oracle,
    pytest.mark.filterwarnings("ignore"),
]

MASKS: dict[str, Any] = {
    "causal": lambda b, h, i, j: i >= j,
    "strict": lambda b, h, i, j: i > j,
    "window": lambda b, h, i, j: (i - j).abs() <= 1,
    "by head and batch": lambda b, h, i, j: (i >= j) & (b == 0) | (h == 1),
}
SCORES: dict[str, Any] = {
    "none": None,
    "relative": lambda s, b, h, i, j: s + (i - j),
    "alibi": lambda s, b, h, i, j: s - (h + 1) * 0.5 * (i - j).abs(),
    "soft cap": lambda s, b, h, i, j: 2.0 * (s / 2.0).tanh(),
    "batch": lambda s, b, h, i, j: s * (b + 1),
}
SHAPES = [((2, 2, 5, 4), (2, 2, 7, 4), False), ((1, 4, 6, 3), (1, 2, 6, 3), True)]


def operands(lib: Any, shapes: Any) -> list[Any]:
    draw = np.random.default_rng(0)
    query, key = shapes
    return [lib.from_numpy(draw.standard_normal(s)) for s in (query, key, key)]


@pytest.mark.parametrize("mask", [None, *MASKS])
@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("query, key, gqa", SHAPES)
def test_values(mask: Any, score: str, query: Any, key: Any, gqa: bool) -> None:
    found, wanted = [], []
    for lib, module, into in ((torch, ours, found), (oracle, theirs, wanted)):
        q, k, v = operands(lib, (query, key))
        block_mask = None
        if mask is not None:
            block_mask = module.create_block_mask(
                MASKS[mask],
                q.shape[0],
                q.shape[1],
                q.shape[2],
                k.shape[2],
                device="cpu",
            )
        result, aux = module.flex_attention(
            q,
            k,
            v,
            score_mod=SCORES[score],
            block_mask=block_mask,
            enable_gqa=gqa,
            return_aux=module.AuxRequest(lse=True),
        )
        into += [result.tolist(), aux.lse.tolist()]
    for mine, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-6, atol=1e-6)


def parts(mask: Any) -> dict[str, Any]:
    names = "kv_num_blocks kv_indices q_num_blocks q_indices".split()
    names += [f"full_{name}" for name in names]
    made = {n: t if (t := getattr(mask, n)) is None else t.tolist() for n in names}
    made |= {"shape": tuple(mask.shape), "size": mask.BLOCK_SIZE, "text": str(mask)}
    return made | {"dense": mask.to_dense().tolist(), "numel": mask.numel()}


@pytest.mark.parametrize("name", MASKS)
@pytest.mark.parametrize("size", [128, (64, 128), 32])
@pytest.mark.parametrize("separate", [True, False])
def test_block_masks(name: str, size: Any, separate: bool) -> None:
    found, wanted = (
        module.create_block_mask(
            MASKS[name],
            2,
            3,
            300,
            260,
            device="cpu",
            BLOCK_SIZE=size,
            separate_full_blocks=separate,
        )
        for module in (ours, theirs)
    )
    assert parts(found) == parts(wanted)
    assert parts(found[1:, 0]) == parts(wanted[1:, 0])
    if size == 128:  # PyTorch can't cut off blocks that a row has beyond the end
        fitted, other = found._adjust(150, 128), wanted._adjust(150, 128)
        assert fitted.shape == tuple(other.shape)
        assert fitted.to_dense().tolist() == other.to_dense().tolist()
    assert len(found.as_tuple()) == len(wanted.as_tuple())
    rebuilt = ours.BlockMask.from_kv_blocks(found.kv_num_blocks, found.kv_indices)
    other = theirs.BlockMask.from_kv_blocks(wanted.kv_num_blocks, wanted.kv_indices)
    if size == 128:
        assert parts(rebuilt) == parts(other)


ERRORS = """
flex_attention(q[0], k, v)
flex_attention(q, k[:, :1], v[:, :1])
flex_attention(q, k[..., :2], v)
flex_attention(q, k.repeat(2, 1, 1, 1), v.repeat(2, 1, 1, 1))
flex_attention(q, k, v, return_lse=True, return_aux=AuxRequest(lse=True))
flex_attention(q, k, v, block_mask=create_block_mask(causal, 1, 1, 300, 300, "cpu"))
create_block_mask(lambda b, h, i, j: i, 1, 1, 5, 7, device="cpu")
and_masks(causal, 3)
""".strip().splitlines()


@pytest.mark.parametrize("expression", ERRORS)
def test_errors(expression: str) -> None:
    errors = []
    for lib, module in ((oracle, theirs), (torch, ours)):
        q, k, v = operands(lib, ((1, 2, 5, 4), (1, 2, 7, 4)))
        names = {**vars(module), "q": q, "k": k, "v": v, "causal": MASKS["causal"]}
        with pytest.raises(Exception) as caught:
            eval(expression, names)
        errors.append(caught.value)
    assert type(errors[1]) is type(errors[0])
    assert str(errors[1])[:60] == str(errors[0])[:60]


def test_gradients_reach_what_the_functions_use() -> None:
    q, k, v = (
        t.requires_grad_() for t in operands(torch, ((1, 2, 4, 3), (1, 2, 4, 3)))
    )
    table = torch.randn(2, 7, dtype=torch.float64, requires_grad=True)

    def bias(score: Any, b: Any, h: Any, i: Any, j: Any) -> Any:
        return score + table[h, i - j + 3]

    mask = ours.create_block_mask(MASKS["causal"], None, None, 4, 4, device="cpu")

    def f(*tensors: Any) -> Any:
        return ours.flex_attention(*tensors[:3], score_mod=bias, block_mask=mask)

    assert torch.autograd.gradcheck(lambda *t: f(*t), (q, k, v))
    f(q, k, v).sum().backward()
    assert table.grad.abs().sum() >= 0 and table.grad[:, :3].abs().sum() == 0


def test_masks_combine() -> None:
    both = ours.and_masks(MASKS["causal"], MASKS["window"])
    either = ours.or_masks(MASKS["strict"], MASKS["window"])
    for mod, other in (
        (both, theirs.and_masks(MASKS["causal"], MASKS["window"])),
        (either, theirs.or_masks(MASKS["strict"], MASKS["window"])),
        (ours.noop_mask, theirs.noop_mask),
    ):
        found = ours.create_mask(mod, 1, 2, 4, 5, device="cpu")
        wanted = theirs.create_mask(other, 1, 2, 4, 5, device="cpu")
        assert found.tolist() == wanted.tolist()
