"""Recurrences in operators: cells, whole networks, and packing of sequences.

Every function has the name and signature of PyTorch's operator of that name. A layer
projects its input for all time steps in one product, so that a step costs one product
with the hidden state and a handful of pointwise operators on all gates together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import dispatchtorch as torch

if TYPE_CHECKING:
    from dispatchtorch import Tensor

    State = tuple[Tensor, ...]
    Step = Callable[[Any, State], State]

__all__ = [
    "gru",
    "gru_cell",
    "lstm",
    "lstm_cell",
    "rnn_relu",
    "rnn_relu_cell",
    "rnn_tanh",
    "rnn_tanh_cell",
]


# Kinds of recurrence. `begin` turns the weights of one layer and direction and its
# input (any leading dims) into the projected input and a step that consumes one time
# step of it; a state is (hidden,) or (hidden, cell).


def _product(bias: Tensor | None, left: Tensor, right: Tensor) -> Tensor:
    return left.mm(right) if bias is None else torch.addmm(bias, left, right)


def _sum(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    return a if b is None else b if a is None else a + b


def _begin_rnn(activation: str) -> Callable[..., tuple[Any, Step]]:
    def begin(
        x: Tensor,
        w_ih: Tensor,
        w_hh: Tensor,
        b_ih: Tensor | None = None,
        b_hh: Tensor | None = None,
    ) -> tuple[Any, Step]:
        w_h, act = w_hh.t(), getattr(torch, activation)

        def step(x_t: Tensor, state: State) -> State:
            return (act(torch.addmm(x_t, state[0], w_h)),)

        return (_linear(x, w_ih, _sum(b_ih, b_hh)),), step

    return begin


def _begin_lstm(
    x: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
    w_hr: Tensor | None = None,
) -> tuple[Any, Step]:
    w_h, w_r = w_hh.t(), None if w_hr is None else w_hr.t()
    sigmoid, tanh, addmm = torch.sigmoid, torch.tanh, torch.addmm

    def step(x_t: Tensor, state: State) -> State:
        hidden, cell = state
        i, f, g, o = addmm(x_t, hidden, w_h).chunk(4, 1)
        cell = sigmoid(f) * cell + sigmoid(i) * tanh(g)
        hidden = sigmoid(o) * tanh(cell)
        return hidden if w_r is None else hidden.mm(w_r), cell

    return (_linear(x, w_ih, _sum(b_ih, b_hh)),), step


def _begin_gru(
    x: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
) -> tuple[Any, Step]:
    # The reset gate multiplies the hidden half of the new gate, its bias included, so
    # the two biases can't be added up front.
    w_h, size = w_hh.t(), w_hh.size(1)
    sizes = [2 * size, size]
    sigmoid, tanh = torch.sigmoid, torch.tanh

    def step(x_t: tuple[Tensor, Tensor], state: State) -> State:
        hidden = state[0]
        gates, new = _product(b_hh, hidden, w_h).split(sizes, 1)
        r, z = sigmoid(x_t[0] + gates).chunk(2, 1)
        new = tanh(x_t[1] + r * new)
        return ((hidden - new) * z + new,)

    return _linear(x, w_ih, b_ih).split(sizes, -1), step


def _linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return torch.nn.functional.linear(x, weight, bias)


# One layer in one direction.


def _scan(
    step: Step, xs: list[Any], sizes: Sequence[int], initial: State, reverse: bool
) -> tuple[list[Tensor], State]:
    """Run `step` over `xs`, whose item t is that of the first `sizes[t]` sequences.

    Returns the hidden state of every step in time order, and the last state of every
    sequence. Forward, sequences leave as they end; in reverse they join.
    """
    steps = range(len(xs))
    rows = sizes[-1] if reverse else sizes[0]
    state = initial
    if rows < initial[0].size(0):
        state = tuple(s[:rows] for s in initial)
    ended: list[State] = []
    hiddens: list[Any] = [None] * len(xs)
    for t in reversed(steps) if reverse else steps:
        live = sizes[t]
        if live < rows:
            ended.append(tuple(s[live:] for s in state))
            state = tuple(s[:live] for s in state)
        elif live > rows:
            joining = [s[rows:live] for s in initial]
            state = tuple(torch.cat(pair) for pair in zip(state, joining))
        rows = live
        state = step(xs[t], state)
        hiddens[t] = state[0]
    if ended:
        ended.append(state)
        state = tuple(torch.cat(parts) for parts in zip(*reversed(ended)))
    return hiddens, state


def _layer(
    begin: Callable[..., tuple[Any, Step]],
    x: Tensor,
    sizes: list[int] | None,
    initial: State,
    weights: Sequence[Tensor | None],
    reverse: bool,
) -> tuple[Tensor, State]:
    """`x` is (T, B, in) with `sizes` None, or the data of a packed batch (N, in)."""
    projected, step = begin(x, *weights)
    if sizes is None:
        parts = [p.unbind(0) for p in projected]
        sizes = [x.size(1)] * x.size(0)
        join = torch.stack
    else:
        parts = [p.split(sizes) for p in projected]
        join = torch.cat
    xs = list(parts[0]) if len(parts) == 1 else list(zip(*parts))
    hiddens, last = _scan(step, xs, sizes, initial, reverse)
    return join(hiddens), last


# Stacks of layers.


def _stack(
    begin: Callable[..., tuple[Any, Step]],
    x: Tensor,
    sizes: list[int] | None,
    hx: Sequence[Tensor],
    params: Sequence[Tensor],
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
) -> tuple[Tensor, ...]:
    """The output of the last layer, then each part of the state, (layers, B, H)."""
    directions = 2 if bidirectional else 1
    _check_devices(x, hx, params)
    per_layer = 4 if has_biases else 2
    if begin is _begin_lstm and hx[0].size(2) != hx[1].size(2):
        per_layer += 1  # projections
    if len(params) % per_layer:
        raise RuntimeError("got an incorrect number of RNN parameters")
    states = list(zip(*(h.unbind(0) for h in hx)))
    groups: list[Sequence[Any]] = [
        params[i : i + per_layer] for i in range(0, len(params), per_layer)
    ]
    if not has_biases:
        groups = [[*group[:2], None, None, *group[2:]] for group in groups]
    if bidirectional and (len(groups) % 2 or len(states) % 2):
        raise RuntimeError(
            "Odd number of params or hiddens given to a bidirectional RNN"
        )
    if len(states) != num_layers * directions:
        raise RuntimeError("Expected more hidden states in stacked_rnn")
    if len(groups) != num_layers * directions:
        raise RuntimeError("Expected more weights in stacked_rnn")
    if sizes is None and x.size(0) == 0:
        raise RuntimeError("Expected sequence length to be larger than 0 in RNN")
    last: list[State] = []
    for layer in range(num_layers):
        outputs = []
        for direction in range(directions):
            at = layer * directions + direction
            output, state = _layer(
                begin, x, sizes, states[at], groups[at], reverse=direction == 1
            )
            outputs.append(output)
            last.append(state)
        x = torch.cat(outputs, -1) if bidirectional else outputs[0]
        if dropout != 0 and train and layer < num_layers - 1:
            x = torch.dropout(x, dropout, train)
    return (x, *(torch.stack(parts) for parts in zip(*last)))


def _check_devices(x: Tensor, hx: Sequence[Tensor], params: Sequence[Tensor]) -> None:
    for what, tensors in (("hidden", hx), ("parameter", params)):
        for t in tensors:
            if t.device != x.device:
                raise RuntimeError(
                    f"Input and {what} tensors are not at the same device, found "
                    f"input tensor at {x.device} and {what} tensor at {t.device}"
                )


def _network(
    name: str, begin: Callable[..., tuple[Any, Step]], states: int
) -> Callable[..., tuple[Tensor, ...]]:
    """The operator `name`, in its padded and its packed form."""

    def as_states(hx: Any) -> Sequence[Tensor]:
        if states == 1:
            return (hx,)
        if len(hx) != states:
            raise RuntimeError(f"{name} expects two hidden states")
        return hx

    def padded(
        input: Tensor,
        hx: Any,
        params: Sequence[Tensor],
        has_biases: bool,
        num_layers: int,
        dropout: float,
        train: bool,
        bidirectional: bool,
        batch_first: bool,
    ) -> tuple[Tensor, ...]:
        x = input.transpose(0, 1) if batch_first else input
        output, *last = _stack(
            begin, x, None, as_states(hx), params, has_biases, num_layers, dropout,
            train, bidirectional,
        )  # fmt: skip
        return (output.transpose(0, 1) if batch_first else output, *last)

    def packed(
        data: Tensor,
        batch_sizes: Tensor,
        hx: Any,
        params: Sequence[Tensor],
        has_biases: bool,
        num_layers: int,
        dropout: float,
        train: bool,
        bidirectional: bool,
    ) -> tuple[Tensor, ...]:
        return _stack(
            begin, data, batch_sizes.tolist(), as_states(hx), params, has_biases,
            num_layers, dropout, train, bidirectional,
        )  # fmt: skip

    def network(*args: Any, **kwargs: Any) -> tuple[Tensor, ...]:
        # The fourth argument is `has_biases` in one form and `params` in the other.
        is_packed = "batch_sizes" in kwargs or (
            len(args) > 3 and not isinstance(args[3], bool)
        )
        return (packed if is_packed else padded)(*args, **kwargs)

    outputs = "(output, h_n)" if states == 1 else "(output, h_n, c_n)"
    network.__name__ = network.__qualname__ = name
    network.__doc__ = (
        f"{outputs} of a padded batch: (input, hx, params, has_biases, num_layers, "
        "dropout, train, bidirectional, batch_first), or of a packed one: (data, "
        "batch_sizes, hx, params, has_biases, num_layers, dropout, train, "
        "bidirectional)."
    )
    return network


rnn_tanh = _network("rnn_tanh", _begin_rnn("tanh"), 1)
rnn_relu = _network("rnn_relu", _begin_rnn("relu"), 1)
gru = _network("gru", _begin_gru, 1)
lstm = _network("lstm", _begin_lstm, 2)


# Cells: one step of a batch (B, in).


def _check_cell(
    input: Tensor, hx: Sequence[Tensor], w_ih: Tensor, w_hh: Tensor
) -> None:
    if input.size(1) != w_ih.size(1):
        raise RuntimeError(
            f"input has inconsistent input_size: got {input.size(1)} "
            f"expected {w_ih.size(1)}"
        )
    for i, h in enumerate(hx):
        if h.size(0) != input.size(0):
            raise RuntimeError(
                f"Input batch size {input.size(0)} doesn't match "
                f"hidden{i} batch size {h.size(0)}"
            )
        if h.size(1) != w_hh.size(1):
            raise RuntimeError(
                f"hidden{i} has inconsistent hidden_size: got {h.size(1)}, "
                f"expected {w_hh.size(1)}"
            )


def _cell(name: str, begin: Callable[..., tuple[Any, Step]]) -> Callable[..., Tensor]:
    def cell(
        input: Tensor,
        hx: Tensor,
        w_ih: Tensor,
        w_hh: Tensor,
        b_ih: Tensor | None = None,
        b_hh: Tensor | None = None,
    ) -> Tensor:
        _check_cell(input, (hx,), w_ih, w_hh)
        projected, step = begin(input, w_ih, w_hh, b_ih, b_hh)
        return step(projected if len(projected) > 1 else projected[0], (hx,))[0]

    cell.__name__ = cell.__qualname__ = name
    cell.__doc__ = "The next hidden state (B, hidden) for `input` (B, in)."
    return cell


rnn_tanh_cell = _cell("rnn_tanh_cell", _begin_rnn("tanh"))
rnn_relu_cell = _cell("rnn_relu_cell", _begin_rnn("relu"))
gru_cell = _cell("gru_cell", _begin_gru)


def lstm_cell(
    input: Tensor,
    hx: Sequence[Tensor],
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """The next (hidden, cell) state, each (B, hidden), for `input` (B, in)."""
    if isinstance(hx, torch.Tensor):
        raise TypeError(
            "lstm_cell(): argument 'hx' (position 2) must be tuple of Tensors, "
            "not Tensor"
        )
    if len(hx) != 2:
        raise RuntimeError("lstm_cell expects two hidden states")
    _check_cell(input, hx, w_ih, w_hh)
    (projected,), step = _begin_lstm(input, w_ih, w_hh, b_ih, b_hh)
    hidden, cell = step(projected, tuple(hx))
    return hidden, cell


# Packing.


def _pack_padded_sequence(
    input: Tensor, lengths: Tensor, batch_first: bool
) -> tuple[Tensor, Tensor]:
    """(data, batch_sizes) of a padded batch whose `lengths` don't increase."""
    if lengths.dim() != 1 or lengths.device.type != "cpu":
        raise RuntimeError(
            "'lengths' argument should be a 1D CPU int64 tensor, but got "
            f"{lengths.dim()}D {lengths.device.type} Long tensor"
        )
    batch = input.size(0 if batch_first else 1)
    if input.numel() == 0:
        raise RuntimeError("Cannot pack empty tensors.")
    if lengths.size(0) != batch:
        raise RuntimeError(
            "Expected `len(lengths)` to be equal to batch_size, but got "
            f"{lengths.size(0)} (batch_size={batch})"
        )
    sizes = lengths.tolist()
    if sizes[-1] <= 0:
        raise RuntimeError(
            "Length of all samples has to be greater than 0, "
            "but found an element in 'lengths' that is <= 0"
        )
    if any(a < b for a, b in zip(sizes, sizes[1:])):
        raise RuntimeError(
            "`lengths` array must be sorted in decreasing order when "
            "`enforce_sorted` is True. You can pass `enforce_sorted=False` to "
            "pack_padded_sequence and/or pack_sequence to sidestep this requirement "
            "if you do not need ONNX exportability."
        )
    real = torch.arange(sizes[0], device="cpu").unsqueeze(1) < lengths
    index = _slots(sizes[0], batch, input.size(1) if batch_first else None)
    index = torch.masked_select(index, real).to(input.device)
    return input.flatten(0, 1).index_select(0, index), real.sum(1)


def _pad_packed_sequence(
    data: Tensor,
    batch_sizes: Tensor,
    batch_first: bool,
    padding_value: float,
    total_length: int,
) -> tuple[Tensor, Tensor]:
    """(padded, lengths) of a packed batch, in its sorted order."""
    steps, batch = batch_sizes.size(0), int(batch_sizes[0])
    real = batch_sizes.unsqueeze(1) > torch.arange(batch, device="cpu")
    index = _slots(steps, batch, total_length if batch_first else None)
    index = torch.masked_select(index, real).to(data.device)
    filled = data.new_full((total_length * batch, *data.shape[1:]), padding_value)
    shape = (batch, total_length) if batch_first else (total_length, batch)
    padded = filled.index_copy(0, index, data).view(*shape, *data.shape[1:])
    return padded, real.sum(0)


def _slots(steps: int, batch: int, row: int | None) -> Tensor:
    """Where step t of sequence b is stored, (steps, batch), in rows of `row` steps.

    With `row` None the storage is time-major.
    """
    if row is None:
        return torch.arange(steps * batch, device="cpu").view(steps, batch)
    step = torch.arange(steps, device="cpu").unsqueeze(1)
    return step + torch.arange(batch, device="cpu") * row
