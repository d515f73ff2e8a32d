"""Batches of sequences of unequal length: packed, padded, and as lists.

A packed batch keeps only real time steps, ordered by step and then by sequence, the
longest sequence first; `batch_sizes[t]` is the number of sequences with a step `t`.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import dispatchtorch as torch
from dispatchtorch.nn._recurrent import _pack_padded_sequence, _pad_packed_sequence

if TYPE_CHECKING:
    from dispatchtorch import Tensor

__all__ = [
    "PackedSequence",
    "invert_permutation",
    "pack_padded_sequence",
    "pad_packed_sequence",
    "pad_sequence",
    "unpad_sequence",
    "pack_sequence",
    "unpack_sequence",
]

PackedSequence_ = namedtuple(
    "PackedSequence_", ["data", "batch_sizes", "sorted_indices", "unsorted_indices"]
)


class PackedSequence(PackedSequence_):
    """A packed batch: what the recurrent modules take for unequal lengths.

    Made by `pack_padded_sequence` and `pack_sequence`, not by hand.

    Attributes:
        data: the real time steps of all sequences, (sum of lengths, *).
        batch_sizes: how many sequences have a step t, 1-D int64, always on the host.
        sorted_indices: the permutation that sorted the sequences by length, or None.
        unsorted_indices: its inverse, or None.
    """

    def __new__(
        cls,
        data: Tensor,
        batch_sizes: Tensor | None = None,
        sorted_indices: Tensor | None = None,
        unsorted_indices: Tensor | None = None,
    ) -> PackedSequence:
        if batch_sizes is None:
            # The form of PyTorch 0.4: the pair (data, batch_sizes) in one argument.
            if not isinstance(data, (list, tuple)) or len(data) != 2:
                raise AssertionError("Expected data to be a list or tuple of length 2")
            data, batch_sizes = data
        elif batch_sizes.device.type != "cpu":
            raise ValueError(
                "batch_sizes should always be on CPU. "
                "Instances of PackedSequence should never be created manually. "
                "They should be instantiated by functions like pack_sequence "
                "and pack_padded_sequences in nn.utils.rnn. "
                "https://pytorch.org/docs/stable/nn.html"
                "#torch.nn.utils.rnn.pack_sequence"
            )
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    def to(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """`Tensor.to` on the data; `self` when nothing changes. Takes no `copy`."""
        data = self.data.to(*args, **kwargs)
        if data is self.data:
            return self
        if "copy" in kwargs:
            raise RuntimeError(".to() does not accept copy argument")
        moved = {k: v for k, v in kwargs.items() if k == "non_blocking"}
        sorted_indices, unsorted_indices = (
            None if index is None else index.to(data.device, **moved)
            for index in (self.sorted_indices, self.unsorted_indices)
        )
        return type(self)(data, self.batch_sizes, sorted_indices, unsorted_indices)

    def pin_memory(self) -> PackedSequence:
        """Every tensor in page-locked memory."""
        pinned: Any = (None if t is None else t.pin_memory() for t in self)
        return type(self)(*pinned)

    def is_pinned(self) -> bool:
        """Whether the data is in page-locked memory."""
        return self.data.is_pinned()

    @property
    def is_cuda(self) -> bool:
        """Whether the data is on a `cuda` device."""
        return self.data.is_cuda


def _conversion(name: str, **changes: str) -> Callable[..., Any]:
    """A method `name` that is `to` with `changes` and the caller's keywords."""

    def convert(self: PackedSequence, *args: Any, **kwargs: Any) -> PackedSequence:
        options: dict[str, Any] = dict(changes)
        if "dtype" in options:
            options["dtype"] = getattr(torch, options["dtype"])
        return self.to(*args, **{**options, **kwargs})

    convert.__name__ = name
    convert.__qualname__ = f"PackedSequence.{name}"
    convert.__doc__ = f"As `Tensor.{name}`; see `to`."
    return convert


for _name, _dtype in {
    "double": "float64",
    "float": "float32",
    "half": "float16",
    "long": "int64",
    "int": "int32",
    "short": "int16",
    "char": "int8",
    "byte": "uint8",
}.items():
    setattr(PackedSequence, _name, _conversion(_name, dtype=_dtype))
for _name in ("cpu", "cuda"):
    setattr(PackedSequence, _name, _conversion(_name, device=_name))


def invert_permutation(permutation: Tensor | None) -> Tensor | None:
    """The inverse of a 1-D permutation, None of None."""
    if permutation is None:
        return None
    positions = torch.arange(permutation.numel(), device=permutation.device)
    return torch.empty_like(permutation).scatter_(
        0, permutation, positions.to(permutation.dtype)
    )


def pack_padded_sequence(
    input: Tensor,
    lengths: Tensor | list[int],
    batch_first: bool = False,
    enforce_sorted: bool = True,
) -> PackedSequence:
    """Pack a padded batch (T, B, *), or (B, T, *) if `batch_first`.

    `lengths` (B) are on the host. With `enforce_sorted` they must not increase, else
    the batch is sorted here and the permutation kept. Raises RuntimeError for lengths
    that are unsorted, too few, too many or not positive.
    """
    if isinstance(lengths, torch.Tensor):
        sizes = lengths.to(torch.int64)
    else:
        sizes = torch.as_tensor(lengths, dtype=torch.int64, device="cpu")
    sorted_indices = None
    if not enforce_sorted:
        sizes, sorted_indices = torch.sort(sizes, descending=True)
        sorted_indices = sorted_indices.to(input.device)
        input = input.index_select(0 if batch_first else 1, sorted_indices)
    data, batch_sizes = _pack_padded_sequence(input, sizes, batch_first)
    return PackedSequence(data, batch_sizes, sorted_indices, None)


def pad_packed_sequence(
    sequence: PackedSequence,
    batch_first: bool = False,
    padding_value: float = 0.0,
    total_length: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Undo `pack_padded_sequence`: (padded (T, B, *) or (B, T, *), lengths (B)).

    The batch is in its original order. `total_length` pads further than the longest
    sequence; ValueError when it is shorter.
    """
    longest = sequence.batch_sizes.size(0)
    if total_length is None:
        total_length = longest
    elif total_length < longest:
        raise ValueError(
            "Expected total_length to be at least the length of the longest sequence "
            f"in input, but got total_length={total_length} "
            f"and max sequence length being {longest}"
        )
    padded, lengths = _pad_packed_sequence(
        sequence.data, sequence.batch_sizes, batch_first, padding_value, total_length
    )
    order = sequence.unsorted_indices
    if order is not None:
        batch_dim = 0 if batch_first else 1
        return padded.index_select(batch_dim, order), lengths[order.to(lengths.device)]
    return padded, lengths


def pad_sequence(
    sequences: Tensor | Iterable[Tensor],
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: str = "right",
) -> Tensor:
    """Stack sequences (L_i, *) into (T, B, *), or (B, T, *) if `batch_first`.

    Shorter ones are filled with `padding_value` on `padding_side`, "left" or "right".
    The result has the dtype of the first. Raises RuntimeError for no sequences or
    trailing sizes that differ.
    """
    if isinstance(sequences, torch.Tensor):
        sequences = sequences.unbind(0)
    elif not isinstance(sequences, Iterable):
        raise RuntimeError(
            "pad_sequence: Expected iterable for input sequences, "
            f"but got arg of type: {type(sequences)}"
        )
    listed = list(sequences)
    if not listed:
        raise RuntimeError("received an empty list of sequences")
    if padding_side not in ("left", "right"):
        raise RuntimeError(
            f"Expected padding_side to be one of left or right, but got {padding_side}."
        )
    for i, s in enumerate(listed):
        if not isinstance(s, torch.Tensor):
            raise TypeError(
                f"expected Tensor as element {i} in argument 0, "
                f"but got {type(s).__name__}"
            )
    first = listed[0]
    trailing = first.shape[1:]
    lengths = [s.size(0) for s in listed]
    for i, s in enumerate(listed):
        if s.shape[1:] != trailing:
            listed[i] = first.new_empty((lengths[i], *trailing)).copy_(s)
    batch, longest = len(listed), max(lengths)

    # One concatenation and one scatter, however many sequences there are.
    step = torch.arange(longest, device="cpu")
    size = torch.tensor(lengths, device="cpu").unsqueeze(1)
    real = step < size if padding_side == "right" else step >= longest - size
    slots = torch.arange(batch * longest, device="cpu")
    if batch_first:
        shape, slots = (batch, longest), slots.view(batch, longest)
    else:
        shape, slots = (longest, batch), slots.view(longest, batch).t()
    filled = first.new_full((batch * longest, *trailing), padding_value)
    data = torch.cat(listed).to(first.dtype)
    index = torch.masked_select(slots, real).to(first.device)
    return filled.index_copy(0, index, data).view(*shape, *trailing)


def unpad_sequence(
    padded_sequences: Tensor, lengths: Tensor, batch_first: bool = False
) -> list[Tensor]:
    """The sequences (L_i, *) of a padded batch (T, B, *), or (B, T, *)."""
    if not batch_first:
        padded_sequences = padded_sequences.transpose(0, 1)
    return [
        sequence[: max(length, 0)].clone()
        for sequence, length in zip(padded_sequences, lengths.tolist(), strict=True)
    ]


def pack_sequence(
    sequences: list[Tensor], enforce_sorted: bool = True
) -> PackedSequence:
    """Pack sequences (L_i, *); see `pack_padded_sequence` for `enforce_sorted`."""
    lengths = torch.as_tensor([s.size(0) for s in sequences])
    return pack_padded_sequence(
        pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted
    )


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """Undo `pack_sequence`: the sequences (L_i, *) in their original order."""
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)
