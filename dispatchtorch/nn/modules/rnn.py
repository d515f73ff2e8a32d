"""Recurrent modules: RNN, LSTM and GRU, and their single cells.

The recurrences themselves are in `nn/_recurrent.py`; this room owns the parameters,
the checks and the batched, unbatched and packed forms. Follows the PyTorch pages
`torch.nn.RNN`, `LSTM`, `GRU` and of the cells.
"""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any

import dispatchtorch as torch
from dispatchtorch.nn import _recurrent, init
from dispatchtorch.nn.modules.module import Module
from dispatchtorch.nn.parameter import Parameter
from dispatchtorch.nn.utils.rnn import PackedSequence

if TYPE_CHECKING:
    from dispatchtorch import Tensor

__all__ = [
    "RNNBase",
    "RNN",
    "LSTM",
    "GRU",
    "RNNCellBase",
    "RNNCell",
    "LSTMCell",
    "GRUCell",
]

# mode: (gates per hidden unit, parts of the state, recurrence)
_MODES: dict[str, tuple[int, int, Any]] = {
    "RNN_TANH": (1, 1, _recurrent.rnn_tanh),
    "RNN_RELU": (1, 1, _recurrent.rnn_relu),
    "LSTM": (4, 2, _recurrent.lstm),
    "GRU": (3, 1, _recurrent.gru),
}


#: What PyTorch checks the types of, in its order.
_TYPES = {"bias": bool, "batch_first": bool, "input_size": int, "hidden_size": int}


class RNNBase(Module):
    """What RNN, LSTM and GRU share.

    Parameters of layer k, with a suffix `_reverse` for the other direction:
    `weight_ih_l{k}` (gates · hidden, in), `weight_hh_l{k}` (gates · hidden, out),
    `bias_ih_l{k}`, `bias_hh_l{k}` (gates · hidden) and, with a `proj_size`,
    `weight_hr_l{k}` (proj, hidden).
    """

    __constants__ = [
        "mode",
        "input_size",
        "hidden_size",
        "num_layers",
        "bias",
        "batch_first",
        "dropout",
        "bidirectional",
        "proj_size",
    ]

    def __init__(
        self,
        mode: str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.mode = mode
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = float(dropout)
        self.bidirectional = bidirectional
        self.proj_size = proj_size
        self._check_sizes(dropout)
        if mode not in _MODES:
            raise ValueError("Unrecognized RNN mode: " + mode)
        rows = _MODES[mode][0] * hidden_size
        out_size = proj_size or hidden_size
        directions = 2 if bidirectional else 1

        self._all_weights: list[list[str]] = []
        for layer in range(num_layers):
            in_size = input_size if layer == 0 else out_size * directions
            shapes: dict[str, tuple[int, ...]] = {
                "weight_ih": (rows, in_size),
                "weight_hh": (rows, out_size),
            }
            if bias:
                shapes["bias_ih"] = shapes["bias_hh"] = (rows,)
            if proj_size > 0:
                shapes["weight_hr"] = (proj_size, hidden_size)
            for direction in range(directions):
                suffix = f"_l{layer}" + ("_reverse" if direction else "")
                for name, shape in shapes.items():
                    weight = torch.empty(shape, device=device, dtype=dtype)
                    self.register_parameter(name + suffix, Parameter(weight))
                self._all_weights.append([name + suffix for name in shapes])
        self.reset_parameters()

    def _check_sizes(self, dropout: Any) -> None:
        from numbers import Number

        if (
            not isinstance(dropout, Number)
            or not 0 <= self.dropout <= 1
            or isinstance(dropout, bool)
        ):
            raise ValueError(
                "dropout should be a number in range [0, 1] representing the "
                "probability of an element being zeroed"
            )
        if self.dropout > 0 and self.num_layers == 1:
            warnings.warn(
                "dropout option adds dropout after all but last recurrent layer, so "
                f"non-zero dropout expects num_layers greater than 1, but got "
                f"dropout={self.dropout} and num_layers={self.num_layers}",
                stacklevel=4,
            )
        for name, kind in _TYPES.items():
            value = getattr(self, name)
            if not isinstance(value, kind):
                raise TypeError(
                    f"{name} should be of type {kind.__name__}, got: "
                    f"{type(value).__name__}"
                )
        for name in ("input_size", "hidden_size", "num_layers"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be greater than zero")
        if self.proj_size < 0:
            raise ValueError(
                "proj_size should be a positive integer or zero to disable projections"
            )
        if self.proj_size >= self.hidden_size:
            raise ValueError("proj_size has to be smaller than hidden_size")

    @property
    def _flat_weights_names(self) -> list[str]:
        return [name for names in self._all_weights for name in names]

    @property
    def _flat_weights(self) -> list[Tensor]:
        # Looked up at each call: a weight may be swapped, shared or parametrized.
        return [getattr(self, name) for name in self._flat_weights_names]

    @property
    def all_weights(self) -> list[list[Parameter]]:
        """The parameters of each layer and direction."""
        return [[getattr(self, name) for name in names] for names in self._all_weights]

    def flatten_parameters(self) -> None:
        """Nothing: no device here asks for the weights in one block of memory."""

    def reset_parameters(self) -> None:
        """Draw all parameters from U(-1/√hidden_size, 1/√hidden_size)."""
        bound = 1.0 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    def check_input(self, input: Tensor, batch_sizes: Tensor | None) -> None:
        """Raise for an input of another dtype, rank or size than the weights take."""
        weight = getattr(self, self._all_weights[0][0])
        if input.dtype != weight.dtype and not torch.is_autocast_enabled(
            input.device.type
        ):
            raise ValueError(
                f"RNN input dtype ({input.dtype}) does not match weight dtype "
                f"({weight.dtype}). Convert input: input.to({weight.dtype}), "
                f"or convert model: model.to({input.dtype})"
            )
        rank = 3 if batch_sizes is None else 2
        if input.dim() != rank:
            raise RuntimeError(f"input must have {rank} dimensions, got {input.dim()}")
        if self.input_size != input.size(-1):
            raise RuntimeError(
                "input.size(-1) must be equal to input_size. "
                f"Expected {self.input_size}, got {input.size(-1)}"
            )

    def _state_size(
        self, input: Tensor, batch_sizes: Tensor | None, size: int
    ) -> tuple[int, int, int]:
        if batch_sizes is not None:
            batch = int(batch_sizes[0])
        else:
            batch = input.size(0) if self.batch_first else input.size(1)
        return self.num_layers * (2 if self.bidirectional else 1), batch, size

    def get_expected_hidden_size(
        self, input: Tensor, batch_sizes: Tensor | None
    ) -> tuple[int, int, int]:
        """(layers · directions, batch, hidden or projected size)."""
        return self._state_size(input, batch_sizes, self.proj_size or self.hidden_size)

    def check_hidden_size(
        self,
        hx: Tensor,
        expected_hidden_size: tuple[int, int, int],
        msg: str = "Expected hidden size {}, got {}",
    ) -> None:
        """Raise RuntimeError with `msg` for a state of another shape."""
        if hx.size() != expected_hidden_size:
            raise RuntimeError(msg.format(expected_hidden_size, list(hx.size())))

    def check_forward_args(
        self, input: Tensor, hidden: Any, batch_sizes: Tensor | None
    ) -> None:
        """Raise for an input or a state that doesn't fit this module."""
        self.check_input(input, batch_sizes)
        self.check_hidden_size(
            hidden, self.get_expected_hidden_size(input, batch_sizes)
        )

    def permute_hidden(self, hx: Any, permutation: Tensor | None) -> Any:
        """The state with its batch reordered."""
        return hx if permutation is None else hx.index_select(1, permutation)

    def extra_repr(self) -> str:
        """The sizes, and the options that aren't at their defaults."""
        parts = [f"{self.input_size}, {self.hidden_size}"]
        for name, default in (
            ("proj_size", 0),
            ("num_layers", 1),
            ("bias", True),
            ("batch_first", False),
            ("dropout", 0),
            ("bidirectional", False),
        ):
            value = getattr(self, name)
            if value != default:
                parts.append(f"{name}={value}")
        return ", ".join(parts)

    # How the state's parts appear in messages and arguments: one tensor, or several.

    def _initial_state(
        self, input: Tensor, batch_sizes: Tensor | None
    ) -> tuple[Tensor, ...]:
        size = self.get_expected_hidden_size(input, batch_sizes)
        return (torch.zeros(size, dtype=input.dtype, device=input.device),)

    def _check_state_rank(self, hx: Any, batched: bool) -> None:
        if hx.dim() != (3 if batched else 2):
            raise RuntimeError(
                "For {} input, hx should also be {}-D but got {}-D tensor".format(
                    "batched 3-D" if batched else "unbatched 2-D",
                    3 if batched else 2,
                    hx.dim(),
                )
            )

    def _run(self, input: Any, hx: Any, rank_message: str) -> tuple[Any, Any]:
        """`forward` for every recurrence."""
        _, parts, recurrence = _MODES[self.mode]
        weights_and_options = (
            self._flat_weights,
            self.bias,
            self.num_layers,
            self.dropout,
            self.training,
            self.bidirectional,
        )
        packed = isinstance(input, PackedSequence)
        batch_sizes = sorted_indices = unsorted_indices = None
        batched = True
        if packed:
            input, batch_sizes, sorted_indices, unsorted_indices = input
        else:
            if input.dim() not in (2, 3):
                raise ValueError(rank_message.format(input.dim()))
            batched = input.dim() == 3
            if not batched:
                input = input.unsqueeze(0 if self.batch_first else 1)
        if hx is None:
            state: Any = self._initial_state(input, batch_sizes)
            hx = state if parts > 1 else state[0]
        else:
            if not packed:
                self._check_state_rank(hx, batched)
                if not batched:
                    hx = (
                        tuple(h.unsqueeze(1) for h in hx)
                        if parts > 1
                        else hx.unsqueeze(1)
                    )
            hx = self.permute_hidden(hx, sorted_indices)
        self.check_forward_args(input, hx, batch_sizes)
        if packed:
            output, *last = recurrence(input, batch_sizes, hx, *weights_and_options)
            output = PackedSequence(
                output, batch_sizes, sorted_indices, unsorted_indices
            )
        else:
            output, *last = recurrence(
                input, hx, *weights_and_options, self.batch_first
            )
            if not batched:
                output = output.squeeze(0 if self.batch_first else 1)
                last = [h.squeeze(1) for h in last]
        result = tuple(last) if parts > 1 else last[0]
        return output, self.permute_hidden(result, unsorted_indices)


class RNN(RNNBase):
    """h_t = act(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh), in layers.

    `input` is (T, B, in), (B, T, in) if `batch_first`, (T, in) for one sequence, or a
    PackedSequence; `hx` (layers · directions, B, hidden), zeros when left out. Returns
    (output, h_n), the output with hidden (· 2 if `bidirectional`) features. In
    training `dropout` acts on the output of every layer but the last.

    Args as in `torch.nn.RNN`: input_size, hidden_size, num_layers=1,
    nonlinearity="tanh" (or "relu"), bias=True, batch_first=False, dropout=0,
    bidirectional=False, device=None, dtype=None.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if "proj_size" in kwargs:
            raise ValueError(
                "proj_size argument is only supported for LSTM, not RNN or GRU"
            )
        if len(args) > 3:
            self.nonlinearity = args[3]
            args = args[:3] + args[4:]
        else:
            self.nonlinearity = kwargs.pop("nonlinearity", "tanh")
        if self.nonlinearity not in ("tanh", "relu"):
            raise ValueError(
                f"Unknown nonlinearity '{self.nonlinearity}'. "
                "Select from 'tanh' or 'relu'."
            )
        super().__init__(f"RNN_{self.nonlinearity.upper()}", *args, **kwargs)

    def forward(self, input: Any, hx: Tensor | None = None) -> tuple[Any, Tensor]:
        """(output, h_n); see the class."""
        return self._run(
            input, hx, "RNN: Expected input to be 2D or 3D, got {}D tensor instead"
        )


class LSTM(RNNBase):
    """Long short-term memory (Hochreiter and Schmidhuber, 1997), in layers.

    i, f, o = σ(·), g = tanh(·) of W_i· x_t + b_i· + W_h· h_{t-1} + b_h·;
    c_t = f c_{t-1} + i g; h_t = o tanh(c_t), times W_hr if `proj_size` > 0 (Sak et
    al., 2014). Shapes as for RNN; `hx` is (h_0, c_0), the result (output, (h_n, c_n)).

    Args as in `torch.nn.LSTM`: input_size, hidden_size, num_layers=1, bias=True,
    batch_first=False, dropout=0.0, bidirectional=False, proj_size=0, device=None,
    dtype=None.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__("LSTM", *args, **kwargs)

    def get_expected_cell_size(
        self, input: Tensor, batch_sizes: Tensor | None
    ) -> tuple[int, int, int]:
        """(layers · directions, batch, hidden size)."""
        return self._state_size(input, batch_sizes, self.hidden_size)

    def check_forward_args(
        self,
        input: Tensor,
        hidden: tuple[Tensor, Tensor],
        batch_sizes: Tensor | None,
    ) -> None:
        """Raise for an input or a state that doesn't fit this module."""
        self.check_input(input, batch_sizes)
        self.check_hidden_size(
            hidden[0],
            self.get_expected_hidden_size(input, batch_sizes),
            "Expected hidden[0] size {}, got {}",
        )
        self.check_hidden_size(
            hidden[1],
            self.get_expected_cell_size(input, batch_sizes),
            "Expected hidden[1] size {}, got {}",
        )

    def permute_hidden(
        self, hx: tuple[Tensor, Tensor], permutation: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """The state with its batch reordered."""
        if permutation is None:
            return hx
        return hx[0].index_select(1, permutation), hx[1].index_select(1, permutation)

    def _initial_state(
        self, input: Tensor, batch_sizes: Tensor | None
    ) -> tuple[Tensor, ...]:
        size = self.get_expected_cell_size(input, batch_sizes)
        cell = torch.zeros(size, dtype=input.dtype, device=input.device)
        return (*super()._initial_state(input, batch_sizes), cell)

    def _check_state_rank(self, hx: Any, batched: bool) -> None:
        rank = 3 if batched else 2
        ranks = hx[0].dim(), hx[1].dim()
        if ranks != (rank, rank):
            raise RuntimeError(
                f"For {'batched 3-D' if batched else 'unbatched 2-D'} input, "
                f"hx and cx should also be {rank}-D "
                f"but got ({ranks[0]}-D, {ranks[1]}-D) tensors"
            )

    def forward(
        self, input: Any, hx: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Any, tuple[Tensor, Tensor]]:
        """(output, (h_n, c_n)); see the class."""
        return self._run(
            input, hx, "LSTM: Expected input to be 2D or 3D, got {}D instead"
        )


class GRU(RNNBase):
    """Gated recurrent units (Cho et al., 2014), in layers.

    r, z = σ(W_i· x_t + b_i· + W_h· h_{t-1} + b_h·);
    n = tanh(W_in x_t + b_in + r (W_hn h_{t-1} + b_hn)); h_t = (1 - z) n + z h_{t-1}.
    Shapes and result as for RNN.

    Args as in `torch.nn.GRU`: input_size, hidden_size, num_layers=1, bias=True,
    batch_first=False, dropout=0.0, bidirectional=False, device=None, dtype=None.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if "proj_size" in kwargs:
            raise ValueError(
                "proj_size argument is only supported for LSTM, not RNN or GRU"
            )
        super().__init__("GRU", *args, **kwargs)

    def forward(self, input: Any, hx: Tensor | None = None) -> tuple[Any, Tensor]:
        """(output, h_n); see the class."""
        return self._run(
            input, hx, "GRU: Expected input to be 2D or 3D, got {}D instead"
        )


class RNNCellBase(Module):
    """What the cells share: `weight_ih`, `weight_hh`, `bias_ih` and `bias_hh`.

    A cell takes `input` (B, in) or (in) and a state (B, hidden) or (hidden), zeros
    when left out, and returns the next state.
    """

    __constants__ = ["input_size", "hidden_size", "bias"]

    bias_ih: Parameter | None
    bias_hh: Parameter | None

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool,
        num_chunks: int,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.bias = bias
        rows = num_chunks * hidden_size

        def new(*shape: int) -> Parameter:
            return Parameter(torch.empty(shape, device=device, dtype=dtype))

        self.weight_ih = new(rows, input_size)
        self.weight_hh = new(rows, hidden_size)
        for name in ("bias_ih", "bias_hh"):
            self.register_parameter(name, new(rows) if bias else None)
        self.reset_parameters()

    def extra_repr(self) -> str:
        """The sizes, and the options that aren't at their defaults."""
        text = f"{self.input_size}, {self.hidden_size}"
        if self.bias is not True:
            text += f", bias={self.bias}"
        nonlinearity = getattr(self, "nonlinearity", "tanh")
        if nonlinearity != "tanh":
            text += f", nonlinearity={nonlinearity}"
        return text

    def reset_parameters(self) -> None:
        """Draw all parameters from U(-1/√hidden_size, 1/√hidden_size)."""
        bound = 1.0 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    def _check_rank(self, tensor: Tensor, what: str) -> None:
        if tensor.dim() not in (1, 2):
            raise ValueError(
                f"{type(self).__name__}: Expected {what} to be 1D or 2D, "
                f"got {tensor.dim()}D instead"
            )

    def _zeros(self, input: Tensor) -> Tensor:
        return torch.zeros(
            input.size(0), self.hidden_size, dtype=input.dtype, device=input.device
        )

    def _step(self, cell: Any, input: Tensor, hx: Tensor | None) -> Tensor:
        """`forward` of the cells whose state is one tensor."""
        self._check_rank(input, "input")
        if hx is not None:
            self._check_rank(hx, "hidden")
        batched = input.dim() == 2
        if not batched:
            input = input.unsqueeze(0)
        if hx is None:
            hx = self._zeros(input)
        elif not batched:
            hx = hx.unsqueeze(0)
        result = cell(
            input, hx, self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh
        )
        return result if batched else result.squeeze(0)


class RNNCell(RNNCellBase):
    """One step of RNN: (input, h) to the next h. `nonlinearity` "tanh" or "relu"."""

    __constants__ = ["input_size", "hidden_size", "bias", "nonlinearity"]

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 1, device, dtype)
        self.nonlinearity = nonlinearity

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """The next hidden state; see RNNCellBase for the shapes."""
        if self.nonlinearity not in ("tanh", "relu"):
            self._check_rank(input, "input")
            raise RuntimeError(f"Unknown nonlinearity: {self.nonlinearity}")
        cell = getattr(_recurrent, f"rnn_{self.nonlinearity}_cell")
        return self._step(cell, input, hx)


class LSTMCell(RNNCellBase):
    """One step of LSTM: (input, (h, c)) to the next (h, c)."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 4, device, dtype)

    def forward(
        self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        """The next (h, c); see RNNCellBase for the shapes."""
        self._check_rank(input, "input")
        if hx is not None:
            for i, part in enumerate(hx):
                self._check_rank(part, f"hx[{i}]")
        batched = input.dim() == 2
        if not batched:
            input = input.unsqueeze(0)
        if hx is None:
            zeros = self._zeros(input)
            hx = zeros, zeros
        elif not batched:
            hx = hx[0].unsqueeze(0), hx[1].unsqueeze(0)
        h, c = _recurrent.lstm_cell(
            input, hx, self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh
        )
        return (h, c) if batched else (h.squeeze(0), c.squeeze(0))


class GRUCell(RNNCellBase):
    """One step of GRU: (input, h) to the next h."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 3, device, dtype)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """The next hidden state; see RNNCellBase for the shapes."""
        return self._step(_recurrent.gru_cell, input, hx)
