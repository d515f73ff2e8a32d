"""Attention, the transformer and adaptive softmax: numbers, masks, errors, warnings."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import pytest

import dispatchtorch as torch
from dispatchtorch import nn

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def same():
    pytest.importorskip("torch")
    from twin import assert_same

    return lambda script: assert_same(script, atol=1e-5, ignore="nested tensors is")


ATTENTION = """
q = torch.randn(5, 3, 4, requires_grad=True) if {bf} else torch.randn(3, 5, 4, requires_grad=True)
k = torch.randn(5, 6, {k}) if {bf} else torch.randn(6, 5, {k})
v = torch.randn(5, 6, {v}) if {bf} else torch.randn(6, 5, {v})
pad, mask, bias = torch.rand(5, 6) > 0.7, torch.rand(3, 6) > 0.8, torch.randn(10, 3, 6)
pad[:, 0] = False; mask[:, 0] = False
one = [t.select(0 if {bf} else 1, 0) for t in (q, k, v)]
m = nn.MultiheadAttention(4, 2, {options})
"""  # noqa: E501
OPTIONS = [
    "", "dropout=0.5", "bias=False", "add_bias_kv=True", "add_zero_attn=True",
    "batch_first=True", "kdim=3, vdim=5", "batch_first=True, kdim=3, vdim=5",
    "add_bias_kv=True, add_zero_attn=True, kdim=3, vdim=5, bias=False",
]  # fmt: skip
CALLS = [
    "m(q, k, v)",
    "m(q, k, v, need_weights=False)",
    "m(q, k, v, pad, average_attn_weights=False)",
    "m(q, k, v, pad, False, mask)",
    "m(q, k, v, attn_mask=bias)",
    "m(q, k, v, pad, attn_mask=bias)",
    "m(*one, pad[0], attn_mask=mask)",
]


@pytest.mark.oracle
@pytest.mark.parametrize(
    ("options", "call"),
    [(options, call) for options in OPTIONS[:1] + OPTIONS[-2:] for call in CALLS]
    + [(options, call) for options in OPTIONS[1:-2] for call in CALLS[2:4]],
)
def test_attention(same, options, call):
    sizes = {"k": 3, "v": 5} if "kdim" in options else {"k": 4, "v": 4}
    setup = ATTENTION.format(bf="batch_first" in options, options=options, **sizes)
    same(
        f"{setup}\no, w = {call}\n(o * o).sum().backward()\n"
        "out = m, o, w, q.grad, [(n, p, p.grad) for n, p in m.named_parameters()]"
    )
    same(f"{setup}\nm.eval()\nwith torch.no_grad(): out = {call}")


@pytest.mark.oracle
@pytest.mark.parametrize(
    "call",
    [
        "M(4, 2)",
        "M(4, 3)",
        "M(0, 2)",
        "M(4, -2)",
        "m(x, x)",
        "m(x, x, x, is_causal=True)",
        "m(x, x, x, is_causal=True, need_weights=False)",
        "m(x, x, x, None, True, t(3, 3).bool().triu(1), is_causal=True)",
        "m(x, x, x, None, False, t(3, 3).bool().triu(1), is_causal=True)",
        "m(x, x, x, attn_mask=t(3, 4))",
        "m(x, x, x, attn_mask=t(3))",
        "m(x, x, x, attn_mask=t(9, 3, 3))",
        "m(x, x, x, key_padding_mask=t(3, 5))",
        "m(x, x, x, key_padding_mask=t(3).bool())",
        "m(x, x, x, key_padding_mask=t(5, 3).long())",
        "m(x, x, x, attn_mask=t(3, 3).long())",
        "m(x, x, x, attn_mask=t(3, 3) > 2, key_padding_mask=t(5, 3))",
        "m(x[0], x, x)",
        "m(x, x[0], x)",
        "m(x, x, x[:2])",
        "m(x, x, t(3, 5, 3))",
        "m(t(3, 5, 3), x, x)",
        "m(t(4), x, x)",
        "m(x[0], x[0], x[0], key_padding_mask=t(5, 1).bool())",
        "m.merge_masks(None, None, y)",
        "m.merge_masks(t(3, 3), t(5, 3), y)",
        "m.merge_masks(t(10, 3, 3), t(5, 3), y)",
        "m.merge_masks(t(3, 3), None, y)",
        "m.merge_masks(None, t(5, 3), y)",
    ],
)
def test_attention_checks(same, call):
    same(
        "M, t = nn.MultiheadAttention, torch.ones; m, x = M(4, 2), t(3, 5, 4); "
        f"y = x.transpose(0, 1); {call}"
    )


MODEL = """
import warnings; warnings.simplefilter('ignore')
m = nn.Transformer(8, 2, 1, 1, 16, {options})
src, tgt = torch.randn(4, 4, 8), torch.randn(4, 4, 8)
causal = m.generate_square_subsequent_mask(4)
pad = torch.tensor([[0, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 1], [0, 0, 0, 0]]).bool()
"""
MODELS = [
    "", "norm_first=True", "activation='gelu'", "bias=False", "batch_first=True",
    "batch_first=True, norm_first=True", "activation=torch.tanh", "dropout=0.0",
    "activation=nn.GELU(), layer_norm_eps=0.1",
]  # fmt: skip
MODEL_CALLS = [
    "m(src, tgt)",
    "m(src, tgt, tgt_mask=causal)",
    "m(src, tgt, causal, causal, causal)",
    "m(src, tgt, tgt_mask=causal, tgt_is_causal=True)",
    "m(src, tgt, None, None, None, pad, pad, pad)",
    "m(src, tgt, src_mask=causal, src_key_padding_mask=pad)",
    "m(src[:, 0], tgt[:, 0])",
]


@pytest.mark.oracle
@pytest.mark.parametrize(
    ("options", "call"),
    [(options, call) for options in MODELS[:1] + MODELS[5:6] for call in MODEL_CALLS]
    + [(options, call) for options in MODELS[1:] for call in MODEL_CALLS[3:5]],
)
def test_model(same, options, call):
    setup = MODEL.format(options=options)
    same(
        f"{setup}\no = {call}\n(o * o).sum().backward()\n"
        "out = m, o, [(n, p, p.grad) for n, p in m.named_parameters()]"
    )
    same(f"{setup}\nm.eval()\nwith torch.no_grad(): out = {call}")


PARTS = """
def E(**k): torch.manual_seed(0); return nn.TransformerEncoderLayer(8, 2, 16, **k)
def D(**k): torch.manual_seed(0); return nn.TransformerDecoderLayer(8, 2, 16, **k)
def kept(m): return {k: v for k, v in sorted(vars(m).items()) if k[0] != '_'}
t, x, y = torch.zeros, torch.randn(5, 3, 8), torch.randn(4, 3, 8)
enc = nn.TransformerEncoder(E(dropout=0.0), 2, enable_nested_tensor=False)
dec = nn.TransformerDecoder(D(dropout=0.0), 2)
causal = nn.Transformer.generate_square_subsequent_mask(5)
"""


@pytest.mark.oracle
@pytest.mark.parametrize(
    "call",
    [
        "E(), kept(E())",
        "D(bias=False), [n for n, _ in D(bias=False).named_parameters()]",
        "E(activation='gelu').activation_relu_or_gelu, E(activation=nn.GELU())",
        "E(activation=torch.relu).activation_relu_or_gelu",
        "E(activation='foo')",
        "nn.TransformerEncoderLayer(8, 3)",
        "kept(nn.TransformerEncoder(E(), 2))",
        "kept(nn.TransformerEncoder(E(batch_first=True), 2))",
        "kept(nn.TransformerEncoder(E(batch_first=True, norm_first=True), 2))",
        "kept(nn.TransformerEncoder(E(batch_first=True, activation=torch.tanh), 2))",
        "kept(nn.TransformerEncoder(E(batch_first=True, bias=False), 2))",
        "nn.TransformerEncoder(nn.TransformerEncoderLayer(9, 3, batch_first=True), 1)",
        "nn.TransformerEncoder(nn.Linear(2, 2), 2)",
        "nn.TransformerEncoder(D(), 2, enable_nested_tensor=False)",
        "nn.TransformerEncoder(E(), 2, nn.LayerNorm(8), mask_check=False)",
        "causal, nn.Transformer.generate_square_subsequent_mask(3, dtype=torch.double)",
        "enc(x), enc(x, causal), enc(x, causal != 0), enc(x[:, 0])",
        "enc(x, causal, is_causal=True), enc(x, causal, is_causal=False)",
        "enc(x, is_causal=True)",
        "enc(x, src_key_padding_mask=t(3, 5)), enc(x, t(6, 5, 5))",
        "enc(x, causal != 0, t(3, 5))",
        "enc(x, causal, t(3, 5).bool())",
        "enc(x, causal, t(5, 3))",
        "enc(x, t(4, 4))",
        "enc(x, t(5, 5).long())",
        "enc(x, src_key_padding_mask=t(3, 5).long())",
        "enc(t(8))",
        "enc(t(5, 3, 7))",
        "enc.layers[0](x, causal, is_causal=True)",
        "enc.layers[0](x, is_causal=True)",
        "enc.layers[0](x, t(5, 5).long())",
        "enc.layers[0](x, causal, t(3, 5).bool())",
        "dec(y, x), dec(y, x, causal[:4, :4], tgt_is_causal=True)",
        "dec(y, x, tgt_is_causal=True)",
        "dec(y, x, memory_mask=t(4, 5), memory_is_causal=True)",
        "nn.Transformer(8, 2, 1, 1, 16)(x, y[:, :2])",
        "nn.Transformer(8, 2, 1, 1, 16)(x, y[..., :7])",
        "nn.Transformer(8, 2, 1, 1, 16)(x, y[:, 0])",
        "nn.Transformer(8, 2, 1, 1, 16, batch_first=True)(x, y)",
        "nn.Transformer(8, 2, 1, 1, 16)(x)",
        "nn.Transformer(8, 2, custom_encoder=nn.Identity(), num_decoder_layers=1)",
        "kept(nn.Transformer(8, 2, 1, 1, 16, batch_first=True))",
        "import copy; out = copy.deepcopy(D(activation=nn.GELU())).activation",
    ],
)
def test_parts(same, call):
    same(PARTS + (call if "out = " in call else f"out = {call}"))


NESTED = """
import warnings
e = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2, {norm}).eval()
if e.norm is not None: nn.init.constant_(e.norm.bias, 0.5)
x = torch.randn(3, 5, 8); xx = x.clone().requires_grad_()
pad = torch.tensor([[0, 0, 0, 0, 0], [0, 0, 0, 1, 1], [0, 0, 1, 1, 1]]).bool()
causal = nn.Transformer.generate_square_subsequent_mask(5)
"""  # noqa: E501


@pytest.mark.oracle
@pytest.mark.parametrize("grad", ["torch.no_grad()", "torch.enable_grad()", "frozen"])
@pytest.mark.parametrize("norm", ["None", "nn.LayerNorm(8)"])
@pytest.mark.parametrize(
    "call",
    [
        "e(x)",
        "e(x, src_key_padding_mask=pad)",
        "e(xx, src_key_padding_mask=pad)",
        "e(x, src_key_padding_mask=t(3, 5).masked_fill(pad, float('-inf')))",
        "e(x, src_key_padding_mask=t(3, 5).masked_fill(pad, -5.0))",
        "e(x, causal, src_key_padding_mask=pad)",
        "e(x, src_key_padding_mask=pad.flip(1))",
        "e(x, src_key_padding_mask=pad | t(3, 1).bool())",
        "e(x[0], src_key_padding_mask=pad[1])",
        "e.train()(x, src_key_padding_mask=pad)",
    ],
)
def test_outputs_of_padding_in_inference(same, call, norm, grad):
    setup = NESTED.format(norm=norm) + "t = torch.zeros\n"
    if grad == "frozen":
        grad = "torch.enable_grad()"
        setup += "for p in e.parameters(): p.requires_grad_(False)\n"
    same(f"{setup}with {grad}: out = {call}")


ADAPTIVE = "A = nn.AdaptiveLogSoftmaxWithLoss\na = A(8, 20, [5, 10], 2.0)\n"
ADAPTIVE += "x, T = torch.randn(4, 8), torch.tensor\n"


@pytest.mark.oracle
@pytest.mark.parametrize(
    "call",
    [
        "a, dict(a.state_dict())",
        "A(8, 20, (5, 10), head_bias=True)",
        "A(8, 20, [5, 19])",
        "A(8, 20, [])",
        "A(8, 20, [10, 5])",
        "A(8, 20, [5, 5])",
        "A(8, 20, [0, 5])",
        "A(8, 20, [5, 20])",
        "A(8, 20, 5)",
        "a(x, T([0, 7, 12, 19]))",
        "a(x, T([0, 7, 12, 19], dtype=torch.int32))",
        "a(x[0], T(3))",
        "a(x, T([0, 7, 12, 20]))",
        "a(x, T([0, 7, 12, -1]))",
        "a(x, T([0, 7]))",
        "a(x[0], T([3]))",
        "a(x, T(3))",
        "a(x, torch.ones(4, 1).long())",
        "a.log_prob(x), a.log_prob(x).exp().sum(1)",
        "a.predict(torch.randn(50, 8) * 5)",
        "(a.reset_parameters(), dict(a.state_dict()))",
        "(a(x, T([0, 7, 12, 19])).loss.backward(), [p.grad for p in a.parameters()])",
    ],
)
def test_adaptive_softmax(same, call):
    same(f"{ADAPTIVE}out = {call}")


def test_attention_to_the_past_ignores_the_future():
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
    x = torch.randn(1, 5, 8)
    mask = nn.Transformer.generate_square_subsequent_mask(5)
    changed = x.clone()
    changed[:, 3:] = 7.0
    before, after = layer(x, mask), layer(changed, mask)
    assert torch.allclose(before[:, :3], after[:, :3], atol=1e-6)
    assert not torch.allclose(before[:, 3:], after[:, 3:], atol=1e-3)


@pytest.mark.parametrize(
    ("batch_first", "need_weights"), itertools.product([False, True], repeat=2)
)
def test_padding_gets_no_attention(batch_first, need_weights):
    m = nn.MultiheadAttention(4, 2, batch_first=batch_first)
    x = torch.randn(2, 3, 4)
    pad = torch.tensor([[False, False, True], [False, True, True]])
    changed = x.clone()
    changed[0, 2] = changed[1, 1:] = 9.0

    def run(kv):
        q, kv = (x, kv) if batch_first else (x.transpose(0, 1), kv.transpose(0, 1))
        return m(q, kv, kv, key_padding_mask=pad, need_weights=need_weights)[0]

    assert torch.allclose(run(x), run(changed), atol=1e-6)


def test_log_probabilities_of_adaptive_softmax_sum_to_one():
    a = nn.AdaptiveLogSoftmaxWithLoss(8, 20, [5, 10])
    x = torch.randn(6, 8)
    total = a.log_prob(x).exp().sum(1)
    assert torch.allclose(total, torch.ones(6), atol=1e-5)
    assert torch.equal(a.predict(x), a.log_prob(x).argmax(1))
