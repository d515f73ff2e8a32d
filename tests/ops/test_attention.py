"""Attention against the oracle."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import dispatchtorch as dt
import dispatchtorch.nn.functional as F
from dispatchtorch.autograd import gradcheck, gradgradcheck

from .oracle import compare, spec

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.oracle

_RNG = np.random.default_rng(5)
Q = _RNG.normal(size=(2, 4, 5, 8))
K = _RNG.normal(size=(2, 4, 6, 8))
V = _RNG.normal(size=(2, 4, 6, 8))
SEEN = _RNG.uniform(size=(5, 6)) < 0.7
SEEN[2] = False  # nothing at all
ADDED = _RNG.normal(size=(2, 4, 5, 6))


def g(values: Any, dtype: str = "float32") -> Any:
    return spec(np.asarray(values), dtype, grad=True)


def c(values: Any, dtype: str | None = None) -> Any:
    values = np.asarray(values)
    return spec(values, dtype or ("float32" if values.dtype.kind == "f" else None))


def _sdpa(**options: Any) -> Any:
    def run(t: Any, q: Any, k: Any, v: Any, mask: Any = None) -> Any:
        return t.nn.functional.scaled_dot_product_attention(
            q, k, v, attn_mask=mask, **options
        )

    return run


def _heads(values: Any, count: int) -> Any:
    return values[:, :count]


CASES: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "plain": (_sdpa(), (g(Q), g(K), g(V))),
    "causal": (_sdpa(is_causal=True), (g(Q), g(K), g(V))),
    "scale": (_sdpa(scale=0.3), (g(Q), g(K), g(V))),
    "seen": (_sdpa(), (g(Q), g(K), g(V), c(SEEN))),
    "seen and causal": (_sdpa(is_causal=True), (g(Q), g(K), g(V), c(SEEN))),
    "added": (_sdpa(), (g(Q), g(K), g(V), c(ADDED))),
    "added to all": (_sdpa(), (g(Q), g(K), g(V), c(ADDED[0, 0]))),
    "learnt mask": (_sdpa(), (g(Q), g(K), g(V), g(ADDED))),
    "three dims": (_sdpa(), (g(Q[0]), g(K[0]), g(V[0]))),
    "two dims": (_sdpa(), (g(Q[0, 0]), g(K[0, 0]), g(V[0, 0]))),
    "five dims": (_sdpa(), (g(Q[None]), g(K[None]), g(V[None]))),
    "causal of three": (_sdpa(is_causal=True), (g(Q[0]), g(K[0]), g(V[0]))),
    "seen of three": (_sdpa(), (g(Q[0]), g(K[0]), g(V[0]), c(SEEN))),
    "narrow values": (_sdpa(), (g(Q), g(K), g(V[..., :3]))),
    "grouped": (_sdpa(enable_gqa=True), (g(Q), g(_heads(K, 2)), g(_heads(V, 2)))),
    "one batch of keys": (_sdpa(), (g(Q), g(K[:1]), g(V[:1]))),
    "query alone": (_sdpa(), (g(Q), c(K), c(V))),
    "values alone": (_sdpa(), (c(Q), c(K), g(V))),
}


@pytest.mark.parametrize("case", CASES)
def test_values_and_gradients(case: str, device: str) -> None:
    run, tensors = CASES[case]
    compare(
        run, *tensors, device=device, strides=False, atol=1e-5,
        grad_fn=case in ("plain", "causal", "seen", "added", "grouped"),
    )  # fmt: skip


@pytest.mark.parametrize("dtype", ["float64", "float16", "bfloat16"])
@pytest.mark.parametrize("case", ["plain", "causal", "three dims"])
def test_other_floats(case: str, dtype: str, device: str) -> None:
    run, tensors = CASES[case]
    cast = [spec(t.values, dtype, t.grad) for t in tensors]
    close = None if dtype == "float64" else 3e-2
    compare(run, *cast, device=device, strides=False, rtol=close, atol=close)


ERRORS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "one dim": (_sdpa(), (c(Q[0, 0, 0]), c(K[0, 0, 0]), c(V[0, 0, 0]))),
    "dtypes": (_sdpa(), (c(Q), c(K, "float64"), c(V))),
    "heads": (_sdpa(enable_gqa=True), (c(Q), c(_heads(K, 3)), c(_heads(V, 3)))),
    "heads of one": (_sdpa(), (c(Q), c(_heads(K, 2)), c(_heads(V, 2)))),
    "mask of integers": (_sdpa(), (c(Q), c(K), c(V), c(np.ones((5, 6), int)))),
    "mask of another float": (_sdpa(), (c(Q), c(K), c(V), c(ADDED, "float64"))),
    "mask's size": (_sdpa(), (c(Q), c(K), c(V), c(ADDED[0, 0, :3]))),
    "causal and mask": (_sdpa(is_causal=True), (c(Q[0]), c(K[0]), c(V[0]), c(SEEN))),
}


@pytest.mark.parametrize("case", ERRORS)
def test_errors(case: str, device: str) -> None:
    run, tensors = ERRORS[case]
    compare(run, *tensors, device=device)


@pytest.mark.parametrize("causal", [False, True])
def test_first_and_second_derivative(causal: bool, device: str) -> None:
    q, k, v = (
        dt.tensor(
            x[:1, :2, :3, :4].tolist(), dtype=dt.float64, device=device,
            requires_grad=True,
        )
        for x in (Q, K, V)
    )  # fmt: skip
    f = lambda q, k, v: F.scaled_dot_product_attention(  # noqa: E731
        q, k, v, is_causal=causal
    )
    assert gradcheck(f, (q, k, v), fast_mode=True)
    assert gradgradcheck(f, (q, k, v), fast_mode=True)


def test_no_keys_give_zeros(device: str) -> None:
    compare(_sdpa(), c(Q), c(K[:, :, :0]), c(V[:, :, :0]), device=device, strides=False)


def test_dropout_draws_the_oracles_numbers() -> None:
    def run(t: Any, q: Any, k: Any, v: Any) -> Any:
        t.manual_seed(7)
        return t.nn.functional.scaled_dot_product_attention(q, k, v, dropout_p=0.4)

    compare(run, g(Q), g(K), g(V), strides=False, atol=1e-5)


# Multi-head attention.

E, HEADS, L, S, N = 8, 2, 4, 5, 3
QUERY, KEY, VALUE = (_RNG.normal(size=(n, N, E)) for n in (L, S, S))
IN_WEIGHT, IN_BIAS = _RNG.normal(size=(3 * E, E)), _RNG.normal(size=3 * E)
OUT_WEIGHT, OUT_BIAS = _RNG.normal(size=(E, E)), _RNG.normal(size=E)
PADDED = np.zeros((N, S), bool)
PADDED[:, -1] = True
CAUSAL = np.triu(np.ones((L, S), bool), 1)
EXTRA = {name: _RNG.normal(size=(1, 1, E)) for name in ("bias_k", "bias_v")}
STATIC = {n: _RNG.normal(size=(N * HEADS, S + 1, E // HEADS)) for n in ("k", "v")}
SEPARATE = [_RNG.normal(size=(E, E)) for _ in range(3)]
_POSITIONAL = ("bias_k", "bias_v", "add_zero_attn", "dropout_p")


def _mha(
    q: Any = QUERY, k: Any = KEY, v: Any = VALUE, embed: int = E, heads: int = HEADS,
    packed: bool = True, **options: Any,
) -> Any:  # fmt: skip
    """A function of the module that runs multi-head attention on float32 tensors."""

    def run(t: Any, q: Any, in_weight: Any, in_bias: Any) -> Any:
        def tensor(value: Any) -> Any:
            if not isinstance(value, np.ndarray):
                return value
            kind = {"f": t.float32, "b": t.bool, "i": t.int64}[value.dtype.kind]
            kind = t.float64 if value.dtype == np.float16 else kind
            made = t.tensor(value.tolist(), dtype=kind)
            return made.to(q.device)

        named = {n: tensor(value) for n, value in options.items()}
        keys = q if k is None else tensor(k)
        values = keys if v is None else tensor(v)
        first = [
            named.pop(n, False if n == "add_zero_attn" else 0.0 if n == "dropout_p" else
                      None)
            for n in _POSITIONAL
        ]  # fmt: skip
        return t.nn.functional.multi_head_attention_forward(
            q, keys, values, embed, heads, in_weight if packed else None, in_bias,
            *first, tensor(OUT_WEIGHT), tensor(OUT_BIAS), **named,
        )  # fmt: skip

    return run, (g(q), g(IN_WEIGHT), g(IN_BIAS))


_SEPARATE = {
    f"{n}_proj_weight": w for n, w in zip("qkv", SEPARATE, strict=True)
} | {"use_separate_proj_weight": True}  # fmt: skip
_ONE = {"q": QUERY[:, 0], "k": KEY[:, 0], "v": VALUE[:, 0]}
MHA: dict[str, dict[str, Any]] = {
    "plain": {},
    "output alone": {"need_weights": False},
    "each head": {"average_attn_weights": False},
    "padding": {"key_padding_mask": PADDED},
    "padding, output alone": {"key_padding_mask": PADDED, "need_weights": False},
    "added padding": {"key_padding_mask": PADDED.astype(float)},
    "mask": {"attn_mask": CAUSAL},
    "mask, output alone": {"attn_mask": CAUSAL, "need_weights": False},
    "added mask": {"attn_mask": CAUSAL.astype(float)},
    "mask of each head": {"attn_mask": np.stack([CAUSAL] * N * HEADS)},
    "mask and padding": {"attn_mask": CAUSAL, "key_padding_mask": PADDED},
    "both, output alone": {
        "attn_mask": CAUSAL, "key_padding_mask": PADDED, "need_weights": False},
    "mixed masks": {"attn_mask": CAUSAL.astype(float), "key_padding_mask": PADDED},
    "causal": {"is_causal": True, "attn_mask": CAUSAL},
    "causal, output alone": {
        "is_causal": True, "attn_mask": CAUSAL, "need_weights": False},
    "causal and padding": {
        "is_causal": True, "attn_mask": CAUSAL, "need_weights": False,
        "key_padding_mask": PADDED},
    "zeros": {"add_zero_attn": True},
    "zeros and masks": {
        "add_zero_attn": True, "attn_mask": CAUSAL, "key_padding_mask": PADDED},
    "biases": EXTRA,
    "biases and masks": EXTRA | {"attn_mask": CAUSAL, "key_padding_mask": PADDED},
    "one sequence": _ONE,
    "one sequence, masks": _ONE | {"attn_mask": CAUSAL, "key_padding_mask": PADDED[0]},
    "one sequence, output alone": _ONE | {"need_weights": False},
    "one sequence, each head": _ONE | {"average_attn_weights": False},
    "self": {"k": None, "v": None},
    "keys are values": {"v": None},
    "separate": _SEPARATE,
    "static": {"static_k": STATIC["k"], "static_v": STATIC["v"]},
    "not training": {"dropout_p": 0.5, "training": False},
    # Errors.
    "padding of integers": {"key_padding_mask": PADDED.astype(int)},
    "padding's size": {"key_padding_mask": PADDED[:2]},
    "padding's rank": {"key_padding_mask": PADDED[0]},
    "mask of integers": {"attn_mask": CAUSAL.astype(int)},
    "mask's size": {"attn_mask": CAUSAL[:2]},
    "mask's heads": {"attn_mask": CAUSAL[None]},
    "mask's rank": {"attn_mask": CAUSAL[0]},
    "hint without mask": {"is_causal": True},
    "embedding": {"embed": 7},
    "heads": {"heads": 3},
    "one bias": {"bias_k": EXTRA["bias_k"]},
    "value's rank": {"q": QUERY[:, 0], "k": KEY[:, 0]},
    "key's rank": {"k": KEY[:, 0], "v": VALUE[:, 0]},
    "query's rank": {"q": QUERY[None]},
    "key's length": {"k": KEY[:3]},
    "no weight": {"packed": False},
    "no query weight": {"use_separate_proj_weight": True},
    "query weight": _SEPARATE | {"q_proj_weight": SEPARATE[0][:, :7]},
    "key weight": _SEPARATE | {"k_proj_weight": SEPARATE[0][:, :7]},
    "value weight": _SEPARATE | {"v_proj_weight": SEPARATE[0][:, :7]},
    "static heads": {"static_k": STATIC["k"][:3], "static_v": STATIC["v"]},
    "static width": {"static_k": STATIC["k"][..., :3], "static_v": STATIC["v"]},
}  # fmt: skip


@pytest.mark.parametrize("case", MHA)
def test_multi_head_attention(case: str, device: str) -> None:
    run, tensors = _mha(**MHA[case])
    compare(run, *tensors, device=device, strides=False, rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("need_weights", [True, False])
def test_multi_head_dropout_draws_the_oracles_numbers(need_weights: bool) -> None:
    inner, tensors = _mha(dropout_p=0.4, need_weights=need_weights)

    def run(t: Any, *args: Any) -> Any:
        t.manual_seed(11)
        return inner(t, *args)

    compare(run, *tensors, strides=False, rtol=2e-4, atol=2e-4)


def test_mismatched_masks_warn() -> None:
    run, tensors = _mha(attn_mask=CAUSAL.astype(float), key_padding_mask=PADDED)
    with pytest.warns(UserWarning, match="mismatched key_padding_mask and attn_mask"):
        run(dt, *(t.make(dt, "cpu") for t in tensors))
