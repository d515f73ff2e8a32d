"""`nn.utils`: clipping, vectors, packing, parametrizations, pruning, fusion, swapping.

The scripts are compared with PyTorch: values, errors, warnings, random numbers used.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import dispatchtorch as torch
from dispatchtorch import nn
from dispatchtorch.nn.utils import parametrize, prune, stateless
from dispatchtorch.nn.utils.rnn import (
    pack_padded_sequence,
    pack_sequence,
    pad_packed_sequence,
    pad_sequence,
    unpack_sequence,
)

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def same():
    pytest.importorskip("torch")
    from twin import assert_same

    return assert_same


def scripts(setup: str, text: str) -> object:
    """One parameter for each line of `text`, run after `setup`."""
    lines = [line.strip() for line in text.strip().splitlines()]
    return pytest.mark.parametrize(
        "script", [pytest.param(f"{setup}\n{line}", id=line) for line in lines]
    )


CLIP = """
from torch.nn.utils import *
def P(*v):
    p = nn.Parameter(torch.tensor(v)); p.grad = torch.tensor(v) * 2; return p
inf, nan = float('inf'), float('nan')
ps = [P(3.0, 4.0), P(1.0), nn.Parameter(torch.ones(2)), P(-2.0, 5.0)]
p, q, r = P(3.0, 4.0), P(1.0, 2.0), P(3.0)
def clipped(result, *params):
    return result, [x.grad for x in params or ps]
"""


@pytest.mark.oracle
@scripts(
    CLIP,
    """
    out = clipped(clip_grad_norm_(ps, 1.0))
    out = clipped(clip_grad_norm_(ps, 100.0))
    out = clipped(clip_grad_norm_(ps, 2, 1))
    out = clipped(clip_grad_norm_(ps, 2, norm_type=inf))
    out = clipped(clip_grad_norm_(ps, 2, norm_type='inf'))
    out = clipped(clip_grad_norm_(ps, 2, norm_type=-inf))
    out = clipped(clip_grad_norm_(ps, 2, norm_type=0))
    out = clipped(clip_grad_norm_(ps, 2, norm_type=3.5, foreach=False))
    out = clipped(clip_grad_norm_(p, 2, foreach=True), p)
    out = clipped(clip_grad_norm_((x for x in ps), '2.5'))
    out = clip_grad_norm_([], 1.0)
    out = clip_grad_norm_((x for x in []), 1.0)
    out = clip_grad_norm_([nn.Parameter(torch.ones(2))], 1.0)
    out = clip_grad_norm_(P(3.0, nan), 1.0)
    out = clip_grad_norm_(P(3.0, inf), 1.0, error_if_nonfinite=True)
    out = clip_grad_norm_(P(3.0, nan), 1.0, 1, True)
    out = clip_grad_norm_(3, 1.0)
    out = clip_grad_norm(ps, 1.0)
    out = get_total_norm([torch.ones(2), torch.ones(3) * 2], 3)
    out = get_total_norm(torch.ones(2))
    out = get_total_norm([])
    out = get_total_norm([torch.ones(2), torch.ones(2).double()])
    out = get_total_norm([torch.tensor([inf])], error_if_nonfinite=True)
    out = clipped(clip_grads_with_norm_(ps, 1.0, torch.tensor(20.0)))
    out = clipped(clip_grads_with_norm_(ps, 1.0, torch.tensor(0.5)))
    out = clipped(clip_grad_value_(ps, 2.5))
    out = clipped(clip_grad_value_(p, '1'), p)
    out = clip_grad_value_(p, 'a')
    out = parameters_to_vector([q, r])
    out = parameters_to_vector([])
    out = vector_to_parameters(torch.arange(3.0), [q, r]), q, r
    v = torch.zeros(3); vector_to_parameters(v, [q, r]); v.fill_(7); out = q, r
    out = vector_to_parameters(torch.ones(2), [q, r])
    out = vector_to_parameters([1.0], [q, r])
    """,
)
def test_clipping_and_vectors(same, script):
    same(script)


PACK = """
from torch.nn.utils.rnn import *
T = torch.tensor
x = torch.arange(12.0).view(4, 3, 1)
p = pack_padded_sequence(x, [1, 4, 2], enforce_sorted=False)
a, b, c = torch.ones(2, 3), torch.ones(3, 3) * 2, torch.ones(1, 3) * 3
"""


@pytest.mark.oracle
@scripts(
    PACK,
    """
    out = p
    out = pack_padded_sequence(x, [4, 2, 1])
    out = pack_padded_sequence(x, T([3, 2, 1]))
    out = pack_padded_sequence(x, (4, 2, 1))
    out = pack_padded_sequence(x, T([4.0, 2.0, 1.0]))
    out = pack_padded_sequence(x, T([4, 2, 1], dtype=torch.int32))
    out = pack_padded_sequence(x, [2, 2, 2], enforce_sorted=False)
    out = pack_padded_sequence(x.transpose(0, 1), [1, 4, 2], True, False)
    out = pack_padded_sequence(x.transpose(0, 1), [4, 2, 1], batch_first=True)
    out = pack_padded_sequence(torch.ones(3, 2), [3, 2])
    out = pack_padded_sequence(x, [1, 2, 4])
    out = pack_padded_sequence(x, [4, 0, 0])
    out = pack_padded_sequence(x, [4, 2, -1])
    out = pack_padded_sequence(x, [4, 2])
    out = pack_padded_sequence(x, [])
    out = pack_padded_sequence(x, 3)
    out = pack_padded_sequence(x, T([[4, 2, 1]]))
    out = pack_padded_sequence(torch.ones(0, 2), [3, 2])
    out = pack_padded_sequence(torch.ones(4, 0), [])
    out = pad_packed_sequence(p)
    out = pad_packed_sequence(p, True, -1.0)
    out = pad_packed_sequence(p, total_length=6)
    out = pad_packed_sequence(p, batch_first=True, total_length=5)
    out = pad_packed_sequence(p, total_length=2)
    out = pad_packed_sequence(PackedSequence(x[:3, 0, 0], T([2, 1])), False, 7)
    out = PackedSequence((torch.ones(3), T([2, 1])))
    out = PackedSequence(torch.ones(3), T([2, 1]), T([1, 0]))
    out = PackedSequence(torch.ones(3), T([2, 1]), None, T([1, 0]))
    out = PackedSequence(torch.ones(3))
    out = PackedSequence(torch.ones(3), torch.ones(2, device='meta'))
    out = invert_permutation(None), invert_permutation(T([2, 0, 1]))
    out = pad_sequence([a, b, c])
    out = pad_sequence([a, b, c], True, -1.0)
    out = pad_sequence([a, b, c], padding_side='left')
    out = pad_sequence([a, b, c], True, -1.0, 'left')
    out = pad_sequence([a, b, c], True, -1.0, 'mid')
    out = pad_sequence([a, b.double()])
    out = pad_sequence((t for t in [a, c]))
    out = pad_sequence(torch.ones(2, 3))
    out = pad_sequence([])
    out = pad_sequence(3)
    out = pad_sequence([torch.ones(2), 3])
    out = pad_sequence([a, torch.ones(1, 2)])
    out = unpad_sequence(x, T([4, 2, 1]))
    out = unpad_sequence(x.transpose(0, 1), T([4, 2, 1]), True)
    out = unpad_sequence(x, T([4, 9, 0]))
    out = unpad_sequence(x, T([4, 2]))
    out = pack_sequence([b, a, c])
    out = pack_sequence([c, b, a], enforce_sorted=False)
    out = pack_sequence([c, b])
    out = pack_sequence([])
    out = unpack_sequence(p)
    out = p.to(torch.float64), p.to('cpu') is p, p.to(torch.float32) is p
    out = p.to('meta').batch_sizes.device, p.to('meta').sorted_indices.device
    out = p.to(torch.float64, copy=True)
    out = p.double(), p.half(), p.long(), p.char(), p.byte(), p.short(), p.int()
    out = p.cpu() is p, p.is_cuda, p.is_pinned(), p._fields, len(p)
    import copy; out = copy.deepcopy(p), type(copy.deepcopy(p)).__name__
    out = PackedSequence.__mro__
    """,
)
def test_packing_and_padding(same, script):
    same(script)


def test_gradients_flow_through_packing_to_real_steps_only():
    x = torch.randn(4, 3, 2, requires_grad=True)
    packed = pack_padded_sequence(x, [1, 4, 2], enforce_sorted=False)
    padded, lengths = pad_packed_sequence(packed)
    padded.sum().backward()
    assert lengths.tolist() == [1, 4, 2]
    assert x.grad[:, :, 0].t().tolist() == [[1, 0, 0, 0], [1, 1, 1, 1], [1, 1, 0, 0]]


def test_sequences_survive_packing():
    sequences = [torch.randn(n, 2) for n in (2, 5, 1)]
    packed = pack_sequence(sequences, enforce_sorted=False)
    assert all(
        torch.equal(a, b)
        for a, b in zip(sequences, unpack_sequence(packed), strict=True)
    )


def test_gradients_flow_through_padding():
    sequences = [torch.randn(n, 2, requires_grad=True) for n in (2, 3)]
    (pad_sequence(sequences, batch_first=True) * 2).sum().backward()
    assert all((s.grad == 2).all() for s in sequences)


@pytest.mark.oracle
@scripts(
    """
from torch.nn.utils import *
S2 = nn.Sequential(nn.Conv2d(3, 4, 2), nn.ConvTranspose2d(3, 4, 2))
C3 = nn.Conv3d(3, 4, 2)
def shut(m):
    if isinstance(m, nn.modules.batchnorm._BatchNorm) and m.running_mean is not None:
        m.running_mean.normal_(); m.running_var.uniform_(0.5, 2)
        if m.weight is not None: nn.init.normal_(m.weight); nn.init.normal_(m.bias)
    return m.eval()
def fused(f): return f, f.weight, f.bias, f.training
""",
    """
    out = skip_init(nn.Linear, 2, 3), skip_init(nn.Linear, 2, 3).weight.shape
    out = skip_init(nn.Linear, 2, 3, dtype=torch.double).weight.dtype
    out = skip_init(nn.Linear, 2, 3, device='meta').weight.device
    out = skip_init(nn.ReLU)
    out = skip_init(int, 2)
    out = convert_conv2d_weight_memory_format(S2, torch.channels_last)[1].weight.stride()
    out = convert_conv2d_weight_memory_format(C3, torch.channels_last).weight.stride()
    out = convert_conv3d_weight_memory_format(C3, torch.channels_last_3d).weight.stride()
    out = fused(fuse_conv_bn_eval(shut(S2[0]), shut(nn.BatchNorm2d(4))))
    out = fused(fuse_conv_bn_eval(shut(S2[1]), shut(nn.BatchNorm2d(4)), True))
    out = fused(fuse_conv_bn_eval(shut(nn.Conv1d(2, 3, 1, bias=False)), shut(nn.BatchNorm1d(3, affine=False))))
    out = fused(fuse_conv_bn_eval(shut(nn.Conv1d(4, 6, 2, groups=2)), shut(nn.BatchNorm1d(6))))
    out = fused(fuse_conv_bn_eval(shut(nn.Conv1d(2, 3, 1).double()), shut(nn.BatchNorm1d(3))))
    out = fuse_conv_bn_eval(S2[0], nn.BatchNorm2d(4))
    out = fuse_conv_bn_eval(shut(S2[0]), nn.BatchNorm2d(4, track_running_stats=False).eval())
    out = fused(fuse_linear_bn_eval(shut(nn.Linear(3, 4)), shut(nn.BatchNorm1d(4))))
    out = fused(fuse_linear_bn_eval(shut(nn.Linear(3, 4)), shut(nn.BatchNorm1d(1))))
    out = fused(fuse_linear_bn_eval(shut(nn.Linear(3, 4, bias=False)), shut(nn.BatchNorm1d(4))))
    out = fuse_linear_bn_eval(shut(nn.Linear(3, 4)), shut(nn.BatchNorm1d(3)))
    out = fuse_linear_bn_eval(nn.Linear(3, 4), nn.BatchNorm1d(4))
    """,  # noqa: E501
)
def test_fusion_layouts_and_skipped_initialisation(same, script):
    same(script)


def test_a_fused_convolution_computes_what_both_did():
    conv, bn = nn.Conv2d(2, 3, 2).eval(), nn.BatchNorm2d(3)
    bn(torch.randn(20, 3, 4, 4) * 2 + 1)
    bn.eval()
    x = torch.randn(2, 2, 5, 5)
    fused = nn.utils.fuse_conv_bn_eval(conv, bn)
    assert torch.allclose(fused(x), bn(conv(x)), atol=1e-5)


FUNCTIONAL = """
import warnings; warnings.simplefilter('ignore')
call = nn.utils.stateless.functional_call
m = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)); x = torch.randn(3, 2)
sd = {k: v.detach().clone() for k, v in m.state_dict().items()}
one = torch.ones(1, 1)
class Tied(nn.Module):
    def __init__(self):
        super().__init__(); self.l1 = nn.Linear(1, 1, bias=False); self.tied = self.l1
        self.b = self.l1.weight; self.register_buffer('bb', torch.ones(1))
    def forward(self, x): return self.l1(x) * 100 + self.b * 10 + self.bb
class Counter(nn.Module):
    def __init__(self):
        super().__init__(); self.w = nn.Parameter(torch.ones(1))
        self.register_buffer('c', torch.zeros(1))
    def forward(self, x): self.c = self.c + 1; return x * self.w + self.c
t, n = Tied(), Counter()
"""


@pytest.mark.oracle
@scripts(
    FUNCTIONAL,
    """
    out = call(m, sd, x)
    out = call(m, {'0.weight': torch.zeros(2, 2)}, (x,))
    out = call(m, {}, None, {'input': x})
    out = call(m, {}, (), {'input': x})
    out = call(m, {'0.weight': x}, x, strict=True)
    out = call(m, {**sd, 'foo': x}, x, strict=True)
    out = call(m, {'foo': x}, x, strict=True)
    out = call(m, {'foo': x}, x)
    out = call(m, {'5.weight': x}, x)
    out = call(m, {'': x}, x)
    out = call(m, {'0': x}, x)
    out = call(m, {'0.in_features': x}, x)
    out = call(m, {'0.weight': 3}, x)
    out = call(t, {'l1.weight': one}, one)
    out = call(t, {'l1.weight': one}, one, tie_weights=False)
    out = call(t, {'l1.weight': one}, one, tie_weights=False, strict=True)
    out = call(t, {'b': one}, one, strict=True)
    out = call(t, {'tied.weight': one}, one)
    d = {'c': torch.ones(1)}; out = call(n, d, one), d, n.c
    d = {'w': torch.ones(1) * 2}; out = call(n, d, one), d, n.c, n.w
    """,
)
def test_functional_call(same, script):
    same(script)


def test_functional_call_names_its_successor():
    with pytest.warns(FutureWarning, match="torch.func.functional_call"):
        stateless.functional_call(nn.Linear(1, 1), {}, torch.ones(1))


def test_functional_call_puts_everything_back_when_the_module_raises():
    linear = nn.Linear(2, 2)
    before = dict(linear.named_parameters())
    with pytest.raises(RuntimeError):
        stateless._functional_call(linear, {"weight": torch.ones(3, 3)}, torch.ones(2))
    after = dict(linear.named_parameters())
    assert before.keys() == after.keys()
    assert all(before[k] is after[k] for k in before)


def test_functional_call_unties_nothing_for_good():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Linear(1, 1)
            self.b = self.a

        def forward(self, x):
            return self.a(x) + self.b(x)

    module = Tied()
    weight = module.a.weight
    given = {"a.weight": torch.ones(1, 1), "b.weight": torch.ones(1, 1)}
    stateless._functional_call(module, given, torch.ones(1), tie_weights=False)
    assert module.a.weight is weight
    with pytest.raises(ValueError, match="which are tied"):
        stateless._functional_call(module, given, torch.ones(1))


PARAMETRIZE = """
import copy
from torch.nn.utils.parametrize import *
class Base(nn.Module):
    def forward(self, x): return x
class Sym(nn.Module):
    def forward(self, x): return x.triu() + x.triu(1).transpose(-1, -2)
class SymR(Sym):
    def right_inverse(self, A): return A.triu()
class Two(nn.Module):
    def forward(self, a, b): return a + b * 2
    def right_inverse(self, A): return A / 3, A / 3
class Half(nn.Module):
    def forward(self, a): return a * 2
    def right_inverse(self, A): return A / 2
class Dbl(nn.Module):
    def forward(self, x): return x.double()
class Shp(nn.Module):
    def forward(self, x): return x[:1]
class NoTensor(nn.Module):
    def forward(self, x): return 3
class Back3(Base):
    def right_inverse(self, A): return 3
class BackPair3(Base):
    def right_inverse(self, A): return A, 3
class BackShort(Base):
    def right_inverse(self, A): return A[:1]
class BackDouble(nn.Module):
    def forward(self, x): return x.float()
    def right_inverse(self, x): return x.double()
class NotYet(Base):
    def right_inverse(self, x): raise NotImplementedError('hi')
def L(): return nn.Linear(3, 3)
l = L()
def reg(*ps, name='weight', m=None, **k):
    m = l if m is None else m
    for p in ps: register_parametrization(m, name, p, **k)
    return m
def seen(m): return m, type(m).__name__, m.weight, m.bias, dict(m.state_dict()), [n for n, _ in m.named_parameters()]
"""  # noqa: E501
PARAMETRIZATIONS = [
    "Sym", "SymR", "Two", "Half", "Dbl", "Shp", "NoTensor", "Back3", "BackPair3",
    "BackShort", "BackDouble", "NotYet",
]  # fmt: skip


@pytest.mark.oracle
@pytest.mark.parametrize("unsafe", [False, True])
@pytest.mark.parametrize("name", PARAMETRIZATIONS)
class TestOneParametrization:
    def run(self, same, name, unsafe, rest):
        same(f"{PARAMETRIZE}\nreg({name}(), unsafe={unsafe}); {rest}")

    def test_registered(self, same, name, unsafe):
        self.run(same, name, unsafe, "out = seen(l)")

    def test_assigned(self, same, name, unsafe):
        self.run(same, name, unsafe, "l.weight = torch.ones(3, 3); out = seen(l)")

    def test_copied(self, same, name, unsafe):
        self.run(same, name, unsafe, "out = seen(copy.deepcopy(l))")

    @pytest.mark.parametrize("keep", [False, True])
    def test_removed(self, same, name, unsafe, keep):
        if unsafe and keep and name in ("Dbl", "NoTensor"):
            pytest.skip("PyTorch can't give a parameter another dtype in place")
        rest = f"remove_parametrizations(l, 'weight', {keep}); out = seen(l)"
        self.run(same, name, unsafe, rest)


@pytest.mark.oracle
@pytest.mark.parametrize("second", PARAMETRIZATIONS)
@pytest.mark.parametrize("first", ["SymR", "Two", "Half", "NotYet"])
def test_two_parametrizations_of_one_tensor(same, first, second):
    same(f"{PARAMETRIZE}\nout = seen(reg({first}(), {second}()))")
    same(f"{PARAMETRIZE}\nreg({first}()); out = seen(reg({second}(), unsafe=True))")


@pytest.mark.oracle
@scripts(
    PARAMETRIZE,
    """
    out = reg(Sym(), name='foo')
    out = reg(Sym(), name='in_features')
    out = register_parametrization(3, 'foo', Sym())
    out = reg(lambda x: x)
    out = register_parametrization(nn.Linear(2, 2, bias=False), 'bias', Sym())
    out = remove_parametrizations(l, 'weight')
    reg(Half(), name='bias'); out = remove_parametrizations(l, 'weight')
    out = ParametrizationList([], torch.ones(2))
    out = ParametrizationList([Half()], torch.ones(2)), list(ParametrizationList([Half()], torch.ones(2)).state_dict())
    out = [is_parametrized(m) for m in (l, 3, reg(Half()))], is_parametrized(l, 'weight'), is_parametrized(l, 'bias')
    out = type_before_parametrizations(l).__name__, type_before_parametrizations(reg(Half())).__name__
    import pickle; out = pickle.dumps(reg(Half()))
    del reg(Half()).weight; out = 0
    l.register_buffer('b2', torch.ones(3, 3)); reg(Half(), name='b2'); a = list(l.state_dict()); out = a, seen(remove_parametrizations(l, 'b2'))
    p = l.weight; reg(Half()); a = l.parametrizations.weight.original is p; remove_parametrizations(l, 'weight'); out = a, l.weight is p
    reg(Half()); reg(Half(), name='bias'); out = seen(remove_parametrizations(l, 'weight'))
    o = L(); transfer_parametrizations_and_params(reg(Sym()), o); out = seen(o), o.parametrizations.weight.original is l.parametrizations.weight.original
    o = nn.ReLU(); out = transfer_parametrizations_and_params(reg(Two()), o), dict(o.state_dict())
    o = reg(Half(), m=L()); out = seen(transfer_parametrizations_and_params(reg(Half()), o))
    out = transfer_parametrizations_and_params(l, L())
    out = transfer_parametrizations_and_params(reg(Half()), L(), 'bias')
    out = transfer_parametrizations_and_params(reg(Half()), L(), 'nope')
    l.weight.requires_grad_(False); reg(Two()); out = [(n, p.requires_grad) for n, p in l.named_parameters()]
    l.eval(); reg(Half(), Half()); out = [p.training for p in l.parametrizations.weight]
    """,  # noqa: E501
)
def test_parametrize(same, script):
    same(script)


def test_a_parametrized_tensor_is_computed_once_while_cached():
    class Count(nn.Module):
        calls = 0

        def forward(self, x):
            Count.calls += 1
            return x * 1

    linear = nn.Linear(2, 2)
    parametrize.register_parametrization(linear, "weight", Count())
    Count.calls = 0
    with parametrize.cached():
        with parametrize.cached():
            first = linear.weight
        assert linear.weight is first
        assert Count.calls == 1
    assert linear.weight is not first
    assert Count.calls == 2


def test_gradients_reach_the_tensors_behind():
    linear = nn.Linear(3, 2)
    nn.utils.parametrizations.weight_norm(linear)
    linear(torch.ones(3)).sum().backward()
    held = linear.parametrizations.weight
    assert held.original0.grad is not None
    assert held.original1.grad is not None


READY = """
from torch.nn.utils.parametrizations import *
from torch.nn.utils.parametrize import remove_parametrizations
def seen(m): return m, m.weight, m.bias, dict(m.state_dict())
def grads(m): m.weight.abs().sum().backward(); return [(n, p.grad) for n, p in m.named_parameters()]
def assigned(m):
    torch.manual_seed(1); m.weight = nn.init.orthogonal_(torch.empty(m.weight.shape)).to(m.weight.dtype)
    return m.weight, dict(m.state_dict())
"""  # noqa: E501
MODULES = [
    "nn.Linear(3, 3)", "nn.Linear(4, 3).double()", "nn.Linear(3, 4)",
    "nn.ConvTranspose2d(2, 3, 2)",
]  # fmt: skip
READY_MADE = [
    "weight_norm(m)", "weight_norm(m, dim=None)", "weight_norm(m, dim=1)",
    "weight_norm(m, dim=-1)", "weight_norm(m, dim=5)", "weight_norm(m, 'bias')",
    "weight_norm(m, 'foo')", "spectral_norm(m)", "spectral_norm(m, 'bias')",
    "spectral_norm(m, 'foo')", "spectral_norm(m, n_power_iterations=0)",
    "spectral_norm(m, n_power_iterations=3)", "spectral_norm(m, dim=1)",
    "spectral_norm(m, dim=-1)", "spectral_norm(m, dim=7)", "orthogonal(m)",
    "orthogonal(m, 'bias')", "orthogonal(m, 'foo')", "orthogonal(m, 'weight', 'foo')",
    *(
        f"orthogonal(m, orthogonal_map={kind!r}, use_trivialization={trivial})"
        for kind in ("matrix_exp", "cayley", "householder")
        for trivial in (True, False)
    ),
]  # fmt: skip


@pytest.mark.oracle
@pytest.mark.parametrize("call", READY_MADE)
@pytest.mark.parametrize("module", MODULES)
class TestReadyMadeParametrizations:
    def run(self, same, module, call, rest):
        same(f"{READY}\nm = {module}; {call}; {rest}", atol=1e-5)

    def test_values_state_and_gradients(self, same, module, call):
        self.run(same, module, call, "out = seen(m), grads(m)")

    def test_assignment(self, same, module, call):
        if "Conv" in module and "use_trivialization=False" in call:
            pytest.skip("PyTorch's orthogonal_ can't write to such strides")
        self.run(same, module, call, "out = assigned(m)")

    def test_removal_in_eval_mode(self, same, module, call):
        name = "'bias'" if "'bias'" in call else "'weight'"
        rest = f"m.eval(); remove_parametrizations(m, {name}); out = seen(m)"
        self.run(same, module, call, rest)


HOOKS = """
import warnings
from torch.nn.utils import *
def L(): return nn.Linear(3, 4)
l, x = L(), torch.randn(2, 3)
def weighted(m, *a, **k):
    with warnings.catch_warnings():
        warnings.simplefilter('ignore'); return weight_norm(m, *a, **k)
def seen(m): return m, m.weight, m.bias, dict(m.state_dict()), m.state_dict()._metadata
"""


@pytest.mark.oracle
@scripts(
    HOOKS,
    """
    out = seen(weight_norm(l))
    out = seen(weighted(l, dim=None))
    out = weighted(l, dim=3)
    out = weighted(weighted(l))
    out = seen(weighted(weighted(l), 'bias'))
    out = weighted(l, 'foo')
    weighted(l); a = l(x); (a * l(x)).sum().backward(); out = a, [p.grad for p in l.parameters()], seen(l)
    weighted(l); out = seen(remove_weight_norm(l)), type(l.weight).__name__
    out = remove_weight_norm(l)
    weighted(l); out = remove_weight_norm(l, 'foo')
    out = weighted(nn.LazyLinear(2))
    out = weighted(nn.LSTM(2, 3), 'weight_hh_l0')(torch.ones(1, 2))
    out = seen(spectral_norm(l)), l.weight.requires_grad
    out = seen(spectral_norm(l, n_power_iterations=4, dim=1))
    out = seen(spectral_norm(spectral_norm(l)))
    out = spectral_norm(nn.ConvTranspose1d(2, 3, 2)).weight_u.shape
    out = spectral_norm(l, 'foo')
    out = spectral_norm(l, n_power_iterations=0)
    out = spectral_norm(nn.LazyLinear(2))
    spectral_norm(l); a = l(x); (a * l(x)).sum().backward(); out = a, [p.grad for p in l.parameters()], seen(l)
    spectral_norm(l); l(x); l.eval(); out = l(x), l(x), seen(l)
    spectral_norm(l); l(x); out = seen(remove_spectral_norm(l)), type(l.weight).__name__
    out = remove_spectral_norm(l)
    spectral_norm(l); out = remove_spectral_norm(l, 'foo')
    spectral_norm(l); sd = l.state_dict(); out = spectral_norm(L()).load_state_dict(sd)
    spectral_norm(l); sd = l.state_dict(); del sd._metadata; out = spectral_norm(L()).load_state_dict(sd)
    spectral_norm(l); sd = l.state_dict(); sd._metadata[''] = {}; sd['weight'] = torch.randn(4, 3); del sd['weight_v']; out = l.load_state_dict(sd), seen(l)
    spectral_norm(l); sd = l.state_dict(); sd._metadata[''] = {}; del sd['weight_v']; out = l.load_state_dict(sd)
    import copy; spectral_norm(l); out = seen(copy.deepcopy(l))
    n = nn.Sequential(parametrizations.weight_norm(L())); sd = n.state_dict(); g, v = sd['0.parametrizations.weight.original0'], sd['0.parametrizations.weight.original1']; out = n.load_state_dict({'0.bias': sd['0.bias'], '0.weight_g': g * 2, '0.weight_v': v}), n[0].weight
    """,  # noqa: E501
)
def test_norms_by_hooks(same, script):
    same(script, atol=1e-5)


PRUNE = """
import torch.nn.utils.prune
R = nn.utils.prune
def L(): return nn.Linear(3, 4)
l, o, t = L(), L(), torch.tensor([[1.0, -2, 3], [4, 0.5, 6]])
i, j = R.Identity(), R.Identity()
i._tensor_name, j._tensor_name = 'weight', 'bias'
scores = torch.arange(12.0).view(4, 3)
class Odd(R.BasePruningMethod):
    PRUNING_TYPE = 'odd'
    def compute_mask(self, t, default_mask): return default_mask
class Abstract(R.BasePruningMethod): PRUNING_TYPE = 'unstructured'
def seen(m):
    if hasattr(m, 'weight_orig'): m(torch.ones(2, 3)).sum().backward()
    return m, m.weight, dict(m.state_dict()), [n for n, _ in m.named_parameters()], [p.grad for p in m.parameters()], R.is_pruned(m), [type(h).__name__ for h in m._forward_pre_hooks.values()]
"""  # noqa: E501
STEPS = [
    "R.identity(l, 'weight')", "R.random_unstructured(l, 'weight', 0.4)",
    "R.l1_unstructured(l, 'weight', 3)", "R.random_structured(l, 'weight', 1, 0)",
    "R.random_structured(l, 'weight', 0.4, 1)", "R.ln_structured(l, 'weight', 1, 2, 1)",
    "R.ln_structured(l, 'weight', 0.5, 1, 0)",
    "R.custom_from_mask(l, 'weight', torch.eye(4, 3))",
    "R.l1_unstructured(l, 'weight', 2, importance_scores=scores)",
    "R.global_unstructured([(l, 'weight'), (o, 'weight')], R.L1Unstructured, amount=3)",
    "R.ln_structured(l, 'weight', 0.5, 2, 0, importance_scores=scores)",
    "R.ln_structured(l, 'weight', 1, float('inf'), -1)", "Odd.apply(l, 'weight')",
]  # fmt: skip


@pytest.mark.oracle
@pytest.mark.parametrize("second", STEPS)
@pytest.mark.parametrize("first", STEPS[::3])
def test_pruning_on_top_of_pruning(same, first, second):
    same(
        f"{PRUNE}\n{first}; {second}; before = seen(l); R.remove(l, 'weight')\n"
        "out = before, seen(l)"
    )


@pytest.mark.oracle
@scripts(
    PRUNE,
    """
    out = R.random_unstructured(l, 'weight', -1)
    out = R.random_unstructured(l, 'weight', 1.5)
    out = R.random_unstructured(l, 'weight', 'a')
    out = R.random_unstructured(l, 'weight', 13)
    out = R.random_unstructured(l, 'weight', torch.tensor(0.5))
    out = seen(R.random_unstructured(l, 'weight', 0))
    out = seen(R.random_unstructured(l, 'weight', 1.0))
    out = R.random_unstructured(l, 'foo', 0)
    out = R.l1_unstructured(l, 'weight', 0.5, importance_scores=torch.ones(3))
    out = R.random_structured(l, 'weight', 1, 5)
    out = R.random_structured(l, 'weight', 1, -3)
    out = R.random_structured(l, 'bias', 1, 0)
    out = R.random_structured(l, 'weight', 5, 0)
    out = R.ln_structured(l, 'weight', 1, 2, 3)
    out = seen(R.ln_structured(l, 'weight', 1, 'fro', -1))
    out = seen(R.ln_structured(l, 'weight', 0.0, 2, 0))
    out = R.custom_from_mask(l, 'weight', torch.eye(4, 2))
    out = R.custom_from_mask(l, 'weight', 3)
    out = R.global_unstructured([(l, 'weight')], R.LnStructured, amount=2, n=2)
    out = R.global_unstructured([(l, 'weight')], R.L1Unstructured, importance_scores=3, amount=2)
    out = R.global_unstructured([(l, 'weight')], R.L1Unstructured, importance_scores={(l, 'weight'): scores}, amount=2), seen(l)
    R.global_unstructured(((l, 'weight'), (o, 'weight')), R.RandomUnstructured, amount=5); out = seen(l), seen(o)
    out = R.global_unstructured([], R.L1Unstructured, amount=2)
    out = R.BasePruningMethod()
    out = Abstract()
    out = Odd.apply(l, 'weight')
    out = R.PruningContainer(R.Identity())
    out = R.PruningContainer(3)
    out = R.PruningContainer(i).add_pruning_method(3)
    out = R.PruningContainer(i).add_pruning_method(j)
    c = R.PruningContainer(i); c.add_pruning_method(i); out = len(c), c[0] is i, list(c) == [i, i]
    out = R.L1Unstructured(2).prune(t)
    out = R.L1Unstructured(2).prune(t, default_mask=torch.tensor([[1, 1, 1], [0, 1, 1.0]]))
    out = R.L1Unstructured(2).prune(t, importance_scores=-t)
    out = R.L1Unstructured(2).prune(t, importance_scores=torch.ones(2))
    out = R.LnStructured(1, 2, 1).compute_mask(t, torch.ones_like(t))
    out = R.LnStructured(2, 2).compute_mask(torch.ones(3), torch.ones(3))
    out = R.remove(l, 'weight')
    R.identity(l, 'bias'); out = R.remove(l, 'weight')
    out = R.is_pruned(l), R.is_pruned(nn.Sequential(R.identity(l, 'bias')))
    """,  # noqa: E501
)
def test_prune(same, script):
    same(script)


def test_a_pruning_method_that_raises_leaves_the_module_as_it_was():
    class Failing(prune.BasePruningMethod):
        PRUNING_TYPE = "unstructured"

        def compute_mask(self, t, default_mask):
            raise ValueError("no")

    linear = prune.identity(nn.Linear(2, 2), "weight")
    before = dict(linear.state_dict())
    with pytest.raises(ValueError, match="no"):
        Failing.apply(linear, "weight")
    assert list(linear.state_dict()) == list(before)
    assert prune.is_pruned(linear)


def test_the_parameter_object_outlives_pruning():
    linear = nn.Linear(3, 2)
    weight = linear.weight
    prune.l1_unstructured(linear, "weight", 0.5)
    assert linear.weight_orig is weight
    prune.remove(linear, "weight")
    assert linear.weight is weight
    assert (weight == 0).sum().item() == 3
