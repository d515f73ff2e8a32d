"""RNN, LSTM, GRU and their cells: numbers, gradients, state, errors, and forms."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import dispatchtorch as torch
from dispatchtorch import nn
from dispatchtorch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

sys.path.insert(0, str(Path(__file__).parent))

KINDS = ["LSTM(3, 4", "GRU(3, 4", "RNN(3, 4", "RNN(3, 4, nonlinearity='relu'"]
OPTIONS = [
    "",
    "bias=False, batch_first=True",
    "bidirectional=True",
    "num_layers=3, dropout=0.4",
    "num_layers=2, bidirectional=True, batch_first=True, dropout=0.2",
    "num_layers=2, bidirectional=True, bias=False",
]
PROJECTED = [f"LSTM(3, 4, proj_size=2, {options}" for options in OPTIONS]
NETWORKS = [f"{kind}, {o})" for kind in KINDS for o in OPTIONS]
NETWORKS += [f"{kind})" for kind in PROJECTED]
FORMS = {
    "padded": "x = torch.randn(5, 6, 3) if m.batch_first else torch.randn(6, 5, 3)",
    "unbatched": "x = torch.randn(6, 3)",
    "packed": "x = pack([5, 3, 6, 1, 2])",
    "packed equal": "x = pack([4, 4, 4, 4, 4])",
}
CASES = [(network, form, True) for network in NETWORKS for form in list(FORMS)[:3]]
CASES += [(network, "padded", False) for network in NETWORKS]
CASES += [(network, "packed", False) for network in NETWORKS[::5]]
CASES += [(network, "packed equal", False) for network in NETWORKS[2::6]]
SETUP = """
from torch.nn.utils.rnn import pack_padded_sequence
def pack(lengths):
    x = torch.randn(5, 6, 3) if m.batch_first else torch.randn(6, 5, 3)
    return pack_padded_sequence(x, lengths, m.batch_first, enforce_sorted=False)
def state():
    n = len(m._all_weights)
    shape = (n, m.proj_size or 4) if 'unbatched' in form else (n, 5, m.proj_size or 4)
    h = torch.randn(shape, requires_grad=True)
    c = torch.randn(*shape[:-1], 4, requires_grad=True)
    return (h, c) if m.mode == 'LSTM' else h
def flat(v):
    return [v] if isinstance(v, torch.Tensor) else [t for w in v if w is not None for t in flat(w)]
def results():
    hx = state() if given else None
    if form.startswith('p') and 'packed' in form: y = m(x, hx)
    else: x.requires_grad_(); y = m(x, hx)
    made = [t for t in flat(y) if t.is_floating_point()]
    sum((t * torch.arange(t.numel()).view(t.shape)).sum() for t in made).backward()
    inputs = [] if 'packed' in form else [x]
    inputs += flat(hx) if given else []
    return m, y, [t.grad for t in inputs], [(n, p, p.grad) for n, p in m.named_parameters()]
"""  # noqa: E501


@pytest.fixture
def same():
    pytest.importorskip("torch")
    from twin import assert_same

    return lambda script: assert_same(script, atol=1e-5, ignore="oneDNN")


@pytest.mark.oracle
@pytest.mark.parametrize(("network", "form", "given"), CASES)
def test_networks(same, network, form, given):
    same(
        f"{SETUP}\nform, given = {form!r}, {given}\nm = nn.{network}\n{FORMS[form]}\n"
        "out = results()"
    )


@pytest.mark.oracle
@pytest.mark.parametrize(
    "script",
    [
        "nn.RNN(2, 3)",
        "nn.RNN(2, 3, 2, 'relu')",
        "nn.RNN(2, 3, 1, 'tanh', False)",
        "nn.RNN(2, 3, 4, 'tanh', True, True, 0.5, True, 0, 'cpu', torch.float32)",
        "nn.LSTM(2, 3, 2, False, True, 0.1, True, 1)",
        "nn.LSTM(2, 3, dropout=0.5)",
        "nn.RNNBase('GRU', 2, 3)",
        "nn.RNN(2, 3, nonlinearity='foo')",
        "nn.RNN('RNN_TANH', 2, 3)",
        "nn.RNN(2, 3, mode='RNN_TANH')",
        "nn.RNN(2, 3, proj_size=1)",
        "nn.GRU(2, 3, proj_size=0)",
        "nn.RNN(2)",
        "nn.LSTM(2, 3, proj_size=3)",
        "nn.LSTM(2, 3, proj_size=-1)",
        "nn.LSTM(2, 3, dropout=2)",
        "nn.LSTM(2, 3, dropout=True)",
        "nn.LSTM(2, 3, dropout='a')",
        "nn.LSTM(2, 0)",
        "nn.LSTM(2, 3.0)",
        "nn.LSTM(2.0, 3)",
        "nn.LSTM(0, 3)",
        "nn.LSTM(2, 3, 0)",
        "nn.LSTM(2, 3, 1.5)",
        "nn.RNNBase('FOO', 2, 3)",
        "nn.RNNBase('LSTM', 2, 3)(torch.ones(2, 2))",
    ],
)
def test_construction(same, script):
    same(script)


@pytest.mark.oracle
@pytest.mark.parametrize("module", ["LSTM", "GRU", "RNN"])
@pytest.mark.parametrize(
    "call",
    [
        "m(torch.ones(4))",
        "m(torch.ones(1, 2, 3, 2))",
        "m(torch.ones(4, 5, 3))",
        "m(torch.ones(4, 3))",
        "m(torch.ones(0, 5, 2))",
        "m(torch.ones(4, 0, 2))",
        "m(x.double())",
        "m(x.long())",
        "m(x, s(h(1, 4, 3)))",
        "m(x, s(h(5, 3)))",
        "m(torch.ones(4, 2), s(h(1, 5, 3)))",
        "m(torch.ones(4, 2), s(h(1, 4)))",
        "m(torch.ones(4, 2), s(h(1, 3)))",
        "m(p, s(h(1, 4, 3)))",
        "m(pack(torch.ones(4, 5, 3), [4, 3, 2, 1, 1]))",
        "m(pack(torch.ones(4, 5, 2, 2), [4, 3, 2, 1, 1]))",
        "m(p.double())",
        "m(3)",
        "m()",
        "m(None)",
        "m(x.to('meta'))",
        "m(x, s(h(1, 5, 3).to('meta')))",
    ],
)
def test_refusals_of_networks(same, module, call):
    if module == "LSTM" and ("pack(" in call or "p" in call.split("(")[1][:1]):
        pytest.skip("PyTorch doesn't check packed inputs of an LSTM")
    pair = "(t, t)" if module == "LSTM" else "t"
    same(
        f"pack, m, x, h = nn.utils.rnn.pack_padded_sequence, nn.{module}(2, 3), "
        f"torch.ones(4, 5, 2), torch.ones; s = lambda t: {pair}; "
        f"p = pack(x, [4, 3, 2, 1, 1]); {call}"
    )


@pytest.mark.oracle
@pytest.mark.parametrize(
    "call",
    [
        "m(x, (h(1, 5, 3), h(5, 3)))",
        "m(x, (h(1, 5, 3), h(1, 4, 3)))",
        "m(x, [h(1, 5, 3), h(1, 5, 3)])",
        "m(x, (h(1, 5, 3),))",
        "m(x, h(1, 5, 3))",
        "m(torch.ones(4, 2), (h(1, 3), h(1, 4)))",
        "m(x, 3)",
        "m(x, (3, 3))",
    ],
)
def test_refusals_of_lstm_states(same, call):
    same(f"m, x, h = nn.LSTM(2, 3), torch.ones(4, 5, 2), torch.ones; {call}")


CELLS = [
    "RNNCell(2, 3)", "RNNCell(2, 3, False, 'relu')", "LSTMCell(2, 3)",
    "LSTMCell(2, 3, bias=False)", "GRUCell(2, 3)", "GRUCell(2, 3, bias=False)",
]  # fmt: skip


@pytest.mark.oracle
@pytest.mark.parametrize("shape", [(2,), (4, 2), (0, 2)], ids=str)
@pytest.mark.parametrize("cell", CELLS)
def test_cells(same, cell, shape):
    hidden = (*shape[:-1], 3)
    same(
        f"m, x = nn.{cell}, torch.randn({shape}, requires_grad=True)\n"
        f"h = torch.randn({hidden}), torch.randn({hidden})\n"
        f"first = m(x); second = m(x, h if 'LSTM' in {cell!r} else h[0])\n"
        "sum(t.sum() for t in second).backward()\n"
        "out = m, first, second, x.grad, [(n, p.grad) for n, p in m.named_parameters()]"
    )


@pytest.mark.oracle
@pytest.mark.parametrize("cell", ["RNNCell", "LSTMCell", "GRUCell"])
@pytest.mark.parametrize(
    "call",
    [
        "m(t(1, 2, 2))",
        "m(t(()))",
        "m(t(4, 3))",
        "m(t(4, 2).double())",
        "m(t(4, 2), t(1, 4, 3))",
        "m(t(4, 2), t(3))",
        "m(t(4, 2), t(5, 3))",
        "m(t(4, 2), (t(4, 3), t(4, 2)))",
        "m(t(4, 2), (t(3), t(3)))",
        "m(t(2), (t(1, 3), t(1, 3)))",
        "m(t(4, 2), (t(1, 4, 3), t(1, 4, 3)))",
        "m(t(4, 2), (t(4, 3), t(1, 4, 3)))",
    ],
)
def test_refusals_of_cells(same, cell, call):
    same(f"m, t = nn.{cell}(2, 3), torch.ones; {call}")


@pytest.mark.oracle
def test_unknown_nonlinearity_of_a_cell(same):
    same("nn.RNNCell(2, 3, nonlinearity='foo')")
    same("nn.RNNCell(2, 3, nonlinearity='foo')(torch.ones(4, 2))")


@pytest.mark.oracle
@pytest.mark.parametrize(
    "network", ["LSTM(2, 3, 2, bidirectional=True, proj_size=1)", "GRU(2, 3)"]
)
@pytest.mark.parametrize(
    "call",
    [
        "m.all_weights",
        "m._flat_weights",
        "m._flat_weights_names",
        "m._all_weights",
        "m.get_expected_hidden_size(x, None)",
        "m.get_expected_hidden_size(x, torch.tensor([7, 2]))",
        "m.flatten_parameters()",
        "m.__constants__",
        "m.extra_repr()",
        "m.double()(x.double())",
        "m.load_state_dict(m.state_dict(), assign=True)",
    ],
)
def test_the_weights_behind(same, network, call):
    same(f"m, x = nn.{network}, torch.randn(4, 5, 2); {call}")


def as_function(kind, lengths):
    """A network as a function of everything that it has a derivative for."""
    network = getattr(nn, kind)(1, 2).double()
    names = [n for n, _ in network.named_parameters()]
    x, h, c = (
        torch.randn(shape, dtype=torch.float64, requires_grad=True)
        for shape in ((2, 2, 1), (1, 2, 2), (1, 2, 2))
    )
    state = (h, c) if kind == "LSTM" else (h,)

    def run(x, *rest):
        hx, weights = rest[: len(state)], rest[len(state) :]
        given = dict(zip(names, weights, strict=True))
        x = x if lengths is None else pack_padded_sequence(x, lengths)
        y, last = nn.utils.stateless._functional_call(
            network, given, (x, hx if kind == "LSTM" else hx[0])
        )
        y = y if lengths is None else y.data
        return (y, *last) if kind == "LSTM" else (y, last)

    return run, (x, *state, *network.parameters())


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
class TestEveryForm:
    def test_packed_is_padded_without_the_padding(self, kind):
        network = getattr(nn, kind)(2, 3, 2, bidirectional=True)
        x, lengths = torch.randn(5, 3, 2), [2, 5, 4]
        packed, last = network(pack_padded_sequence(x, lengths, enforce_sorted=False))
        output, _ = pad_packed_sequence(packed)
        for i, n in enumerate(lengths):
            alone, alone_last = network(x[:n, i])
            assert torch.allclose(output[:n, i], alone, atol=1e-6)
            assert (output[n:, i] == 0).all()
            h = last[0] if kind == "LSTM" else last
            alone_h = alone_last[0] if kind == "LSTM" else alone_last
            assert torch.allclose(h[:, i], alone_h, atol=1e-6)

    def test_a_network_is_its_cell_in_a_loop(self, kind):
        network = getattr(nn, kind)(2, 3)
        cell = getattr(nn, f"{kind}Cell")(2, 3)
        names = {f"{n}_l0": p for n, p in cell.named_parameters()}
        network.load_state_dict(names)
        x, state = torch.randn(4, 5, 2), None
        for t in range(4):
            state = cell(x[t], state)
        output, _ = network(x)
        hidden = state[0] if kind == "LSTM" else state
        assert torch.allclose(output[-1], hidden, atol=1e-6)

    @pytest.mark.parametrize("lengths", [None, [2, 1]], ids=["padded", "packed"])
    def test_first_derivatives(self, kind, lengths):
        assert torch.autograd.gradcheck(*as_function(kind, lengths))

    @pytest.mark.slow
    @pytest.mark.parametrize("lengths", [None, [2, 1]], ids=["padded", "packed"])
    def test_second_derivatives(self, kind, lengths):
        assert torch.autograd.gradgradcheck(*as_function(kind, lengths))

    def test_the_output_may_be_written_over(self, kind):
        network = getattr(nn, kind)(2, 3)
        output, _ = network(torch.randn(4, 2, 2))
        output.mul_(2)
        output.sum().backward()
        assert network.weight_hh_l0.grad is not None

    def test_weights_are_looked_up_at_each_call(self, kind):
        network = getattr(nn, kind)(2, 3)
        x = torch.randn(4, 2, 2)
        zeros = {n: torch.zeros_like(p) for n, p in network.named_parameters()}
        output, _ = nn.utils.stateless._functional_call(network, zeros, (x,))
        assert (output == 0).all()
        network.weight_ih_l0 = nn.Parameter(torch.zeros_like(network.weight_ih_l0))
        assert network._flat_weights[0] is network.weight_ih_l0
        nn.utils.parametrizations.weight_norm(network, "weight_hh_l0")
        assert network(x)[0].shape == (4, 2, 3)

    def test_no_gradients_are_kept_where_none_are_wanted(self, kind):
        network = getattr(nn, kind)(2, 3)
        with torch.no_grad():
            output, _ = network(torch.randn(4, 2, 2))
        assert output.grad_fn is None
