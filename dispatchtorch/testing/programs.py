"""Programs that a device should run: the steps that train a CNN and a transformer.

``primitives_of(program)`` runs one on a mirror of ``cpu`` that has primitives alone, and
counts which of them it needed. So the list of what to implement is measured.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import dispatchtorch as torch
from dispatchtorch import nn
from dispatchtorch.backend import register_backend
from dispatchtorch.testing.mirror import mirror_backend, primitives

__all__ = ["PROGRAMS", "noting", "primitives_of", "train_cnn", "train_transformer"]


def train_cnn(device: str, steps: int = 2) -> list[float]:
    """Trains the demo's network (convolution, batch norm, pooling, dropout) with Adam.

    Returns the loss of each step; the accuracy is computed too, as in the demo.
    """
    from dispatchtorch._cli.demo import make_model

    torch.manual_seed(0)
    model = make_model().to(device)
    images = torch.rand(4, 1, 8, 8).to(device)
    labels = torch.tensor([3, 1, 4, 1]).to(device)
    torch.manual_seed(1)  # devices draw what is dropped from states of their own
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    criterion = nn.CrossEntropyLoss()
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        scores = model(images)
        loss = criterion(scores, labels)
        loss.backward()
        optimizer.step()
        int((scores.argmax(1) == labels).sum())
        losses.append(loss.item())
    return losses


class _Transformer(nn.Module):
    """A causal language model: two encoder layers over learned embeddings."""

    def __init__(self, tokens: int = 16, width: int = 8, length: int = 6) -> None:
        super().__init__()
        self.tokens = nn.Embedding(tokens, width)
        self.places = nn.Embedding(length, width)
        layer = nn.TransformerEncoderLayer(
            width, 2, 16, dropout=0.1, activation="gelu", batch_first=True
        )
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(width, tokens)

    def forward(self, x: Any) -> Any:
        length = x.shape[1]
        places = torch.arange(length, device=x.device)
        mask = nn.Transformer.generate_square_subsequent_mask(length, device=x.device)
        hidden = self.tokens(x) + self.places(places)
        return self.head(self.layers(hidden, mask=mask, is_causal=True))


def train_transformer(device: str, steps: int = 2) -> list[float]:
    """Trains a two-layer transformer (attention, layer norm, GELU, dropout) with AdamW.

    Returns the loss of each step; the gradients are clipped to a norm.
    """
    torch.manual_seed(0)
    model = _Transformer().to(device)
    text = torch.randint(0, 16, (2, 7)).to(device)
    torch.manual_seed(1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        scores = model(text[:, :-1])
        loss = nn.functional.cross_entropy(scores.flatten(0, 1), text[:, 1:].flatten())
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    return losses


#: What ``dispatchtorch coverage`` asks a device to train.
PROGRAMS: dict[str, Callable[[str], Any]] = {
    "CNN": train_cnn,
    "transformer": train_transformer,
}

_NAME = "primitives_only"


@contextmanager
def noting(kernels: Iterable[str] | None = None) -> Iterator[tuple[str, Counter[str]]]:
    """A block with a device that counts its kernels: (device type, calls by name).

    ``kernels`` are the ones it has beside the primitives.
    """
    calls: Counter[str] = Counter()

    def note(name: str) -> None:
        calls[name] += 1

    backend = mirror_backend(
        _NAME, kernels=primitives() | set(kernels or ()), note=note
    )
    handle = register_backend(backend)
    try:
        yield _NAME, calls
    finally:
        handle.remove()


def primitives_of(
    program: Callable[[str], Any], kernels: Iterable[str] | None = None
) -> Counter[str]:
    """The kernels that a program runs, with counts, on a device with primitives.

    ``kernels`` are operators that the device has kernels of beside them.
    """
    with noting(kernels) as (device, calls):
        program(device)
    return calls
