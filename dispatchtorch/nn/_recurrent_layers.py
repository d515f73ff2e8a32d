"""One recurrent layer in one direction over all its time steps, and its derivative.

Rows are time steps of sequences, ordered by step and then by sequence, the longest
sequence first: a padded batch flattened, or the data of a packed one. `sizes[t]` is the
number of sequences with a step t. Every function returns, next to the hidden rows, all
that its derivative needs; the derivative takes gradients of these results too, so that
derivatives of any order come out right.

Going back through time, only the products with the hidden weight must wait for each
other. All slopes are computed for all steps together beforehand, and the gradients of
the weights afterwards, in one product each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import dispatchtorch as torch

if TYPE_CHECKING:
    from dispatchtorch import Tensor

    Tensors = tuple[Tensor, ...]

__all__ = ["gru_layer", "lstm_layer", "rnn_layer"]


# Steps: (projected input of a step, state) -> (state, what the derivative needs).


def rnn_step(activation: str, w_hh: Tensor) -> Callable[..., Any]:
    """A step of h' = act(x + W h)."""
    weight, act = w_hh.t(), getattr(torch, activation)
    addmm = torch.addmm

    def step(x: Tensor, state: Tensors) -> tuple[Tensors, Tensors]:
        return (act(addmm(x, state[0], weight)),), ()

    return step


def lstm_step(w_hh: Tensor, w_hr: Tensor | None = None) -> Callable[..., Any]:
    """A step on (hidden, cell); the hidden state is projected by `w_hr` if given."""
    weight, projection = w_hh.t(), None if w_hr is None else w_hr.t()
    size = w_hh.size(0) // 4
    sigmoid, tanh, addmm = torch.sigmoid, torch.tanh, torch.addmm

    def step(x: Tensor, state: Tensors) -> tuple[Tensors, Tensors]:
        hidden, cell = state
        gates = addmm(x, hidden, weight).view(x.size(0), 4, size)
        # One call on all gates costs less than one on each of the three it is for.
        opened = sigmoid(gates)
        i, f, o = opened.select(1, 0), opened.select(1, 1), opened.select(1, 3)
        g = tanh(gates.select(1, 2))
        cell = f * cell + i * g
        hidden = o * tanh(cell)
        if projection is not None:
            hidden = hidden.mm(projection)
        return (hidden, cell), (i, f, g, o)

    return step


def gru_step(w_hh: Tensor, b_hh: Tensor | None) -> Callable[..., Any]:
    """A step on (hidden,).

    The reset gate multiplies the hidden half of the new gate, its bias included, which
    is why that bias can't be added to the input's.
    """
    weight, size = w_hh.t(), w_hh.size(1)
    sigmoid, tanh, addmm = torch.sigmoid, torch.tanh, torch.addmm

    def step(x: Tensor, state: Tensors) -> tuple[Tensors, Tensors]:
        hidden = state[0]
        gates = hidden.mm(weight) if b_hh is None else addmm(b_hh, hidden, weight)
        x, gates = (half.view(half.size(0), 3, size) for half in (x, gates))
        opened = sigmoid(x.narrow(1, 0, 2) + gates.narrow(1, 0, 2))
        r, z = opened.select(1, 0), opened.select(1, 1)
        x_new, h_new = x.select(1, 2), gates.select(1, 2)
        new = tanh(x_new + r * h_new)
        return ((hidden - new) * z + new,), (r, z, new, h_new)

    return step


# Scans.


def scan(
    step: Callable[..., Any],
    rows: Tensor,
    initial: Tensors,
    sizes: Sequence[int],
    reverse: bool,
) -> tuple[Tensors, Tensors]:
    """All states and all that the steps kept, as rows like `rows`.

    Going forward sequences leave as they end; in reverse they join from `initial`.
    """
    xs = rows.split(sizes)
    steps = range(len(xs))
    live = sizes[-1] if reverse else sizes[0]
    state = initial
    if live < initial[0].size(0):
        state = tuple(s[:live] for s in initial)
    kept: list[Any] = [None] * len(xs)
    for t in reversed(steps) if reverse else steps:
        n = sizes[t]
        if n < live:
            state = tuple(s[:n] for s in state)
        elif n > live:
            joining = [s[live:n] for s in initial]
            state = tuple(torch.cat(p) for p in zip(state, joining, strict=True))
        live = n
        state, extra = step(xs[t], state)
        kept[t] = (*state, *extra)
    columns = tuple(torch.cat(parts) for parts in zip(*kept, strict=True))
    return columns[: len(state)], columns[len(state) :]


def _scan_back(
    step: Callable[[int, Tensors | None], tuple[Tensor, Tensors]],
    sizes: Sequence[int],
    reverse: bool,
) -> tuple[Tensor, Tensors]:
    """The gradient of all rows, and that of the initial state.

    `step(t, carry)` takes the gradient of the state after step t, None at the end of
    the scan, and returns that of its row and of the state before it.
    """
    steps = range(len(sizes))
    gradients: list[Any] = [None] * len(sizes)
    carry: Tensors | None = None
    begun: list[Tensors] = []
    for t in steps if reverse else reversed(steps):
        if carry is not None:
            n, live = sizes[t], carry[0].size(0)
            if n < live:
                begun.append(tuple(c[n:] for c in carry))
                carry = tuple(c[:n] for c in carry)
            elif n > live:
                carry = tuple(
                    torch.cat([c, c.new_zeros(n - live, c.size(1))]) for c in carry
                )
        gradients[t], carry = step(t, carry)
    assert carry is not None
    if begun:
        begun.append(carry)
        carry = tuple(torch.cat(p) for p in zip(*reversed(begun), strict=True))
    return torch.cat(gradients), carry


def before(
    state: Tensor, initial: Tensor, sizes: Sequence[int], reverse: bool
) -> Tensor:
    """The state that each step started from, as rows like `state`."""
    first, last = sizes[0], sizes[-1]
    if first == last:
        rows = first * (len(sizes) - 1)
        if reverse:
            return torch.cat([state[first:], initial])
        return torch.cat([initial, state[:rows]])
    states = state.split(sizes)
    if not reverse:
        pairs = zip(states, sizes[1:], strict=False)
        return torch.cat([initial, *(s[:n] for s, n in pairs)])
    parts = []
    for t, n in enumerate(sizes):
        after = sizes[t + 1] if t + 1 < len(sizes) else 0
        parts += [states[t + 1], initial[after:n]] if after else [initial[:n]]
    return torch.cat(parts)


def _maybe_split(rows: Tensor | None, sizes: Sequence[int]) -> Sequence[Any] | None:
    return None if rows is None else rows.split(sizes)


def _zeros_if_none(gradient: Tensor | None, like: Tensor) -> Tensor:
    return torch.zeros_like(like) if gradient is None else gradient


# Layers. Each is (forward, backward): the forward takes the rows of the projected
# input, the weights and the initial state; the backward takes the gradients of its
# results (None where there is none) and returns those of its tensor arguments.


def rnn_forward(
    rows: Tensor,
    w_hh: Tensor,
    h0: Tensor,
    activation: str,
    sizes: Sequence[int],
    reverse: bool,
) -> Tensors:
    """(hidden,) of h' = act(x + W h)."""
    return scan(rnn_step(activation, w_hh), rows, (h0,), sizes, reverse)[0]


def rnn_backward(
    grads: Sequence[Tensor | None],
    results: Tensors,
    rows: Tensor,
    w_hh: Tensor,
    h0: Tensor,
    activation: str,
    sizes: Sequence[int],
    reverse: bool,
) -> Tensors:
    """Gradients of (rows, w_hh, h0)."""
    (hidden,) = results
    if activation == "tanh":
        slopes = (1 - hidden * hidden).split(sizes)
    else:
        slopes = (hidden > 0).to(hidden.dtype).split(sizes)
    arriving = _zeros_if_none(grads[0], hidden).split(sizes)

    def step(t: int, carry: Tensors | None) -> tuple[Tensor, Tensors]:
        d_hidden = arriving[t] if carry is None else arriving[t] + carry[0]
        d_row = d_hidden * slopes[t]
        return d_row, (d_row.mm(w_hh),)

    d_rows, (d_h0,) = _scan_back(step, sizes, reverse)
    return d_rows, d_rows.t().mm(before(hidden, h0, sizes, reverse)), d_h0


def lstm_forward(
    rows: Tensor,
    w_hh: Tensor,
    h0: Tensor,
    c0: Tensor,
    sizes: Sequence[int],
    reverse: bool,
) -> Tensors:
    """(hidden, cell) and the activated gates i, f, g and o."""
    state, gates = scan(lstm_step(w_hh), rows, (h0, c0), sizes, reverse)
    return *state, *gates


def lstm_backward(
    grads: Sequence[Tensor | None],
    results: Tensors,
    rows: Tensor,
    w_hh: Tensor,
    h0: Tensor,
    c0: Tensor,
    sizes: Sequence[int],
    reverse: bool,
) -> Tensors:
    """Gradients of (rows, w_hh, h0, c0)."""
    hidden, cell, i, f, g, o = results
    tanh_cell = cell.tanh()
    bends = i * (1 - i), f * (1 - f), 1 - g * g, o * (1 - o)
    factors = g, before(cell, c0, sizes, reverse), i, tanh_cell
    slope_i, slope_f, slope_g, slope_o = (
        (factor * bend).split(sizes)
        for factor, bend in zip(factors, bends, strict=True)
    )
    to_cell = (o * (1 - tanh_cell * tanh_cell)).split(sizes)
    forget = f.split(sizes)
    arriving = _zeros_if_none(grads[0], hidden).split(sizes)
    arriving_cell = _maybe_split(grads[1], sizes)
    arriving_gates = None
    if any(grad is not None for grad in grads[2:]):
        pairs = zip(grads[2:], bends, strict=True)
        parts = [_zeros_if_none(grad, bend) * bend for grad, bend in pairs]
        arriving_gates = torch.cat(parts, 1).split(sizes)

    def step(t: int, carry: Tensors | None) -> tuple[Tensor, Tensors]:
        d_hidden = arriving[t] if carry is None else arriving[t] + carry[0]
        d_cell = d_hidden * to_cell[t]
        if carry is not None:
            d_cell = d_cell + carry[1]
        if arriving_cell is not None:
            d_cell = d_cell + arriving_cell[t]
        d_row = torch.cat(
            [
                d_cell * slope_i[t],
                d_cell * slope_f[t],
                d_cell * slope_g[t],
                d_hidden * slope_o[t],
            ],
            1,
        )
        if arriving_gates is not None:
            d_row = d_row + arriving_gates[t]
        return d_row, (d_row.mm(w_hh), d_cell * forget[t])

    d_rows, (d_h0, d_c0) = _scan_back(step, sizes, reverse)
    return d_rows, d_rows.t().mm(before(hidden, h0, sizes, reverse)), d_h0, d_c0


def gru_forward(
    rows: Tensor,
    w_hh: Tensor,
    b_hh: Tensor | None,
    h0: Tensor,
    sizes: Sequence[int],
    reverse: bool,
) -> Tensors:
    """(hidden,), the gates r, z and n, and the hidden half of n before its gate."""
    state, gates = scan(gru_step(w_hh, b_hh), rows, (h0,), sizes, reverse)
    return *state, *gates


def gru_backward(
    grads: Sequence[Tensor | None],
    results: Tensors,
    rows: Tensor,
    w_hh: Tensor,
    b_hh: Tensor | None,
    h0: Tensor,
    sizes: Sequence[int],
    reverse: bool,
) -> tuple[Tensor | None, ...]:
    """Gradients of (rows, w_hh, b_hh, h0)."""
    hidden, r, z, new, h_new = results
    d_hidden_in, d_r, d_z, d_new, d_h_new = grads
    previous = before(hidden, h0, sizes, reverse)
    bend_r, bend_z, bend_new = r * (1 - r), z * (1 - z), 1 - new * new
    # What a gradient of the hidden state makes of each gate's argument.
    through_new = (1 - z) * bend_new
    slope_r = (through_new * h_new * bend_r).split(sizes)
    slope_z = ((previous - new) * bend_z).split(sizes)
    slope_new = (through_new * r).split(sizes)
    keep = z.split(sizes)
    arriving = _zeros_if_none(d_hidden_in, hidden).split(sizes)
    # What gradients of the gates themselves, there in higher derivatives only, do.
    arriving_gates = extra_new = None
    if any(grad is not None for grad in grads[1:]):
        extra_new = _zeros_if_none(d_new, new) * bend_new
        extra_r = _zeros_if_none(d_r, r) + extra_new * h_new
        arriving_gates = torch.cat(
            [
                extra_r * bend_r,
                _zeros_if_none(d_z, z) * bend_z,
                _zeros_if_none(d_h_new, h_new) + extra_new * r,
            ],
            1,
        ).split(sizes)
    totals: list[Any] = [None] * len(sizes)

    def step(t: int, carry: Tensors | None) -> tuple[Tensor, Tensors]:
        d_hidden = arriving[t] if carry is None else arriving[t] + carry[0]
        totals[t] = d_hidden
        d_gates = torch.cat(
            [d_hidden * slope_r[t], d_hidden * slope_z[t], d_hidden * slope_new[t]], 1
        )
        if arriving_gates is not None:
            d_gates = d_gates + arriving_gates[t]
        return d_gates, (d_gates.mm(w_hh) + d_hidden * keep[t],)

    d_gates, (d_h0,) = _scan_back(step, sizes, reverse)
    # The input's half of the new gate isn't behind the reset gate.
    d_input_new = torch.cat(totals) * through_new
    if extra_new is not None:
        d_input_new = d_input_new + extra_new
    size = h0.size(1)
    d_rows = torch.cat([d_gates[:, : 2 * size], d_input_new], 1)
    d_b_hh = None if b_hh is None else d_gates.sum(0)
    return d_rows, d_gates.t().mm(previous), d_b_hh, d_h0


def _layer(
    forward: Callable[..., Tensors], backward: Callable[..., Any], tensors: int
) -> Callable[..., Tensors]:
    """`forward` as one node of the graph whose derivative is `backward`.

    The first `tensors` arguments are tensors, or None where one is left out.
    """

    def make_node() -> Any:
        class Recurrence(torch.autograd.Function):
            @staticmethod
            def forward(ctx: Any, *args: Any) -> Any:
                results = forward(*args)
                ctx.set_materialize_grads(False)
                ctx.save_for_backward(*results, *args[:tensors])
                ctx.options = args[tensors:]
                return results

            @staticmethod
            def backward(ctx: Any, *grads: Any) -> Any:
                saved, count = ctx.saved_tensors, len(grads)
                found = backward(grads, saved[:count], *saved[count:], *ctx.options)
                return *found, *(None for _ in ctx.options)

        return Recurrence

    node: Any = None

    def layer(*args: Any) -> Tensors:
        nonlocal node
        if not torch.is_grad_enabled() or not any(
            t is not None and t.requires_grad for t in args[:tensors]
        ):
            return forward(*args)
        if node is None:
            node = make_node()
        return node.apply(*args)

    return layer


rnn_layer = _layer(rnn_forward, rnn_backward, tensors=3)
lstm_layer = _layer(lstm_forward, lstm_backward, tensors=4)
gru_layer = _layer(gru_forward, gru_backward, tensors=4)
