"""Recurrent networks and cells in operators, and the packing of sequences.

Every function has the name and signature of PyTorch's operator of that name. A layer
projects its input for all time steps in one product; `_recurrent_layers` has the steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import dispatchtorch as torch
from dispatchtorch.nn._recurrent_layers import (
    gru_layer,
    gru_step,
    lstm_layer,
    lstm_step,
    rnn_layer,
    rnn_step,
    scan,
)

if TYPE_CHECKING:
    from dispatchtorch import Tensor

    Tensors = tuple[Tensor, ...]
    # (rows of the input, sizes, initial state, weights, reverse) -> rows of the state.
    Layer = Callable[[Tensor, Sequence[int], Tensors, Sequence[Any], bool], Tensors]

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


# Layers, from their input and weights (w_ih, w_hh, b_ih, b_hh and, for an LSTM with
# projections, w_hr).


def _project(x: Tensor, weight: Tensor, *biases: Tensor | None) -> Tensor:
    bias = None
    for b in biases:
        bias = b if bias is None else bias if b is None else bias + b
    return torch.nn.functional.linear(x, weight, bias)  # type: ignore[misc]


def _rnn(activation: str) -> Layer:
    def layer(
        x: Tensor,
        sizes: Sequence[int],
        state: Tensors,
        weights: Sequence[Any],
        reverse: bool,
    ) -> Tensors:
        w_ih, w_hh, b_ih, b_hh = weights
        rows = _project(x, w_ih, b_ih, b_hh)
        return rnn_layer(rows, w_hh, *state, activation, sizes, reverse)

    return layer


def _lstm(
    x: Tensor,
    sizes: Sequence[int],
    state: Tensors,
    weights: Sequence[Any],
    reverse: bool,
) -> Tensors:
    w_ih, w_hh, b_ih, b_hh, *w_hr = weights
    rows = _project(x, w_ih, b_ih, b_hh)
    if w_hr:
        return scan(lstm_step(w_hh, w_hr[0]), rows, state, sizes, reverse)[0]
    return lstm_layer(rows, w_hh, *state, sizes, reverse)[:2]


def _gru(
    x: Tensor,
    sizes: Sequence[int],
    state: Tensors,
    weights: Sequence[Any],
    reverse: bool,
) -> Tensors:
    w_ih, w_hh, b_ih, b_hh = weights
    rows = _project(x, w_ih, b_ih)
    return gru_layer(rows, w_hh, b_hh, *state, sizes, reverse)[:1]


# Stacks of layers.


def _last_rows(sizes: Sequence[int]) -> list[int]:
    """Where the last step of each sequence is."""
    where = [0] * sizes[0]
    start = 0
    for n in sizes:
        where[:n] = range(start, start + n)
        start += n
    return where


def _stack(
    layer: Layer,
    x: Tensor,
    sizes: list[int],
    hx: Sequence[Tensor],
    params: Sequence[Tensor],
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
) -> Tensors:
    """The last layer's rows, then each part of the state (layers, B, H)."""
    directions = 2 if bidirectional else 1
    count = num_layers * directions
    _check_devices(x, hx, params)
    per_layer = 4 if has_biases else 2
    if layer is _lstm and hx[0].size(2) != hx[1].size(2):
        per_layer += 1  # projections
    if len(params) % per_layer:
        raise RuntimeError("got an incorrect number of RNN parameters")
    groups: list[Sequence[Any]] = [
        params[i : i + per_layer] for i in range(0, len(params), per_layer)
    ]
    if not has_biases:
        groups = [[*group[:2], None, None, *group[2:]] for group in groups]
    states = list(zip(*(h.unbind(0) for h in hx), strict=True))
    if bidirectional and (len(groups) % 2 or len(states) % 2):
        raise RuntimeError(
            "Odd number of params or hiddens given to a bidirectional RNN"
        )
    if len(states) != count:
        raise RuntimeError("Expected more hidden states in stacked_rnn")
    if len(groups) != count:
        raise RuntimeError("Expected more weights in stacked_rnn")

    ends: Any = slice(x.size(0) - sizes[0], None)
    if sizes[0] != sizes[-1]:
        ends = torch.tensor(_last_rows(sizes), device=x.device)
    last: list[Tensors] = []
    for depth in range(num_layers):
        outputs = []
        for direction in range(directions):
            at = depth * directions + direction
            rows = layer(x, sizes, states[at], groups[at], direction == 1)
            outputs.append(rows[0])
            end = slice(sizes[0]) if direction == 1 else ends
            last.append(tuple(part[end] for part in rows))
        x = torch.cat(outputs, -1) if bidirectional else outputs[0]
        if dropout != 0 and train and depth < num_layers - 1:
            x = torch.dropout(x, dropout, train)
    if not bidirectional and x.requires_grad:
        # The layer's derivative needs its result, which callers may write over.
        x = x.clone()
    return (x, *(torch.stack(parts) for parts in zip(*last, strict=True)))


def _check_devices(x: Tensor, hx: Sequence[Tensor], params: Sequence[Tensor]) -> None:
    for what, tensors in (("hidden", hx), ("parameter", params)):
        for t in tensors:
            if t.device != x.device:
                raise RuntimeError(
                    f"Input and {what} tensors are not at the same device, found "
                    f"input tensor at {x.device} and {what} tensor at {t.device}"
                )


def _network(name: str, layer: Layer, states: int) -> Callable[..., tuple[Tensor, ...]]:
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
        steps, batch = x.size(0), x.size(1)
        if steps == 0:
            raise RuntimeError("Expected sequence length to be larger than 0 in RNN")
        output, *last = _stack(
            layer, x.flatten(0, 1), [batch] * steps, as_states(hx), params,
            has_biases, num_layers, dropout, train, bidirectional,
        )  # fmt: skip
        output = output.view(steps, batch, output.size(1))
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
            layer, data, batch_sizes.tolist(), as_states(hx), params, has_biases,
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


rnn_tanh = _network("rnn_tanh", _rnn("tanh"), 1)
rnn_relu = _network("rnn_relu", _rnn("relu"), 1)
gru = _network("gru", _gru, 1)
lstm = _network("lstm", _lstm, 2)


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


def _cell(name: str, kind: str) -> Callable[..., Tensor]:
    def cell(
        input: Tensor,
        hx: Tensor,
        w_ih: Tensor,
        w_hh: Tensor,
        b_ih: Tensor | None = None,
        b_hh: Tensor | None = None,
    ) -> Tensor:
        _check_cell(input, (hx,), w_ih, w_hh)
        if kind == "gru":
            row, step = _project(input, w_ih, b_ih), gru_step(w_hh, b_hh)
        else:
            row, step = _project(input, w_ih, b_ih, b_hh), rnn_step(kind, w_hh)
        return step(row, (hx,))[0][0]

    cell.__name__ = cell.__qualname__ = name
    cell.__doc__ = "The next hidden state (B, hidden) for `input` (B, in)."
    return cell


rnn_tanh_cell = _cell("rnn_tanh_cell", "tanh")
rnn_relu_cell = _cell("rnn_relu_cell", "relu")
gru_cell = _cell("gru_cell", "gru")


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
    row = _project(input, w_ih, b_ih, b_hh)
    (hidden, cell), _ = lstm_step(w_hh)(row, tuple(hx))
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
    if sizes != sorted(sizes, reverse=True):
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
