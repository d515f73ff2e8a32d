"""The same seed, the same numbers: models trained here and under PyTorch.

One source text, run with both as ``torch``: initialisers, dropout, splits, shuffled
loaders and optimizers draw from one generator in one order, so the losses agree.
A convolution's bias before a batch normalisation has rounding noise for a gradient,
which Adam divides by its own size: such a bias wanders, differently in any two builds of
PyTorch too. Training doesn't see it, evaluation does, as running means lag behind; so
held-out losses are compared to three digits there.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import dispatchtorch as torch

oracle = pytest.importorskip("torch")
pytestmark = pytest.mark.oracle

TRAINING = """
import torch
from torch import nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset, random_split

torch.manual_seed(0)
{data}
train, held = random_split(TensorDataset(x, y), [0.8, 0.2])
loader = {loader}
{model}
optimizer = {optimizer}
scheduler = torch.optim.lr_scheduler.{scheduler}
losses = []
while len(losses) < 50:
    for a, b in loader:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(a), b)
        loss.backward()
        optimizer.step()
        scheduler.step()
        losses.append(loss.item())
        if len(losses) == 50:
            break
model.eval()
with torch.no_grad():
    for a, b in DataLoader(held, batch_size=8):
        losses.append(F.cross_entropy(model(a), b).item())
left = torch.rand(3).tolist()
"""

DEFAULTS = dict(
    loader="DataLoader(train, batch_size=16, shuffle=True)",
    scheduler="CosineAnnealingLR(optimizer, 50)",
)
IMAGES = "x = torch.rand(120, 1, 12, 12)\ny = torch.randint(0, 4, (120,))"
WORDS = "x = torch.randint(0, 20, (120, 9))\ny = torch.randint(0, 4, (120,))"

MODELS = {
    "mlp": dict(
        data="x = torch.randn(200, 10)\ny = torch.randint(0, 4, (200,))",
        model="""
model = nn.Sequential(nn.Linear(10, 32), nn.ReLU(), nn.Dropout(0.3), nn.Linear(32, 32),
                      nn.LayerNorm(32), nn.GELU(), nn.Dropout(0.1), nn.Linear(32, 4))
""",
        optimizer="torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)",
    ),
    "cnn": dict(
        data=IMAGES,
        model="""
model = nn.Sequential(
    nn.Conv2d(1, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
    nn.Conv2d(8, 16, 3, bias=False), nn.BatchNorm2d(16), nn.ReLU(), nn.Dropout2d(0.2),
    nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Dropout(0.5), nn.Linear(64, 4))
for layer in model:
    if isinstance(layer, nn.Conv2d):
        nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
""",
        optimizer="torch.optim.Adam(model.parameters(), 1e-3)",
    ),
    "lstm": dict(
        data=WORDS,
        model="""
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(20, 12)
        self.lstm = nn.LSTM(12, 16, num_layers=2, dropout=0.25, batch_first=True,
                            bidirectional=True)
        self.head = nn.Linear(32, 4)

    def forward(self, x):
        return self.head(self.lstm(self.embedding(x))[0][:, -1])

model = Net()
for name, p in model.lstm.named_parameters():
    if "weight_hh" in name:
        nn.init.xavier_uniform_(p)
""",
        optimizer="torch.optim.RMSprop(model.parameters(), 1e-3)",
    ),
    "transformer": dict(
        data=WORDS,
        model="""
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(20, 16)
        self.position = nn.Parameter(torch.empty(9, 16).normal_(std=0.02))
        layer = nn.TransformerEncoderLayer(16, 4, 32, dropout=0.1, batch_first=True,
                                           norm_first={norm_first})
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(16, 4)

    def forward(self, x):
        return self.head(self.encoder(self.embedding(x) + self.position).mean(1))

model = Net()
""",
        optimizer="torch.optim.AdamW(model.parameters(), 1e-3, weight_decay=0.1)",
    ),
}
MODELS["transformer_pre_norm"] = dict(MODELS["transformer"])
for _name, _norm_first in (("transformer", "False"), ("transformer_pre_norm", "True")):
    MODELS[_name]["model"] = MODELS[_name]["model"].replace("{norm_first}", _norm_first)

MODELS["cnn_with_bias"] = dict(
    MODELS["cnn"], model=MODELS["cnn"]["model"].replace(", bias=False", "")
)
MODELS["cnn_with_groups"] = dict(
    MODELS["cnn"],
    model=MODELS["cnn_with_bias"]["model"].replace("BatchNorm2d(", "GroupNorm(4, "),
    optimizer="torch.optim.AdamW(model.parameters(), 1e-3)",
    scheduler="OneCycleLR(optimizer, 1e-2, total_steps=60)",
)
MODELS["gru"] = dict(
    data=WORDS,
    model="""
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(20, 12, padding_idx=0)
        self.gru = nn.GRU(12, 16, num_layers=2, dropout=0.25)
        self.head = nn.Linear(16, 4)

    def forward(self, x):
        return self.head(self.gru(self.embedding(x).transpose(0, 1))[1][-1])

model = Net()
""",
    optimizer="torch.optim.Adam(model.parameters(), 1e-2, amsgrad=True)",
)
MODELS["packed_lstm"] = dict(
    data=WORDS,
    model="""
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(20, 12)
        self.lstm = nn.LSTM(12, 16, bidirectional=True, batch_first=True, proj_size=8)
        self.head = nn.Linear(16, 4)

    def forward(self, x):
        lengths = (x != 0).sum(1).clamp(min=1)
        packed = nn.utils.rnn.pack_padded_sequence(
            self.embedding(x), lengths, batch_first=True, enforce_sorted=False)
        out, _ = nn.utils.rnn.pad_packed_sequence(self.lstm(packed)[0], batch_first=True)
        return self.head(out.mean(1))

model = Net()
""",
    optimizer="torch.optim.Adagrad(model.parameters(), 1e-2)",
)
MODELS["encoder_decoder"] = dict(
    data=WORDS,
    model="""
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(20, 16)
        self.transformer = nn.Transformer(16, 4, 1, 1, 32, dropout=0.1, activation="gelu",
                                          batch_first=True)
        self.head = nn.Linear(16, 4)

    def forward(self, x):
        x = self.embedding(x)
        mask = nn.Transformer.generate_square_subsequent_mask(4)
        y = self.transformer(x, x[:, :4], tgt_mask=mask, tgt_is_causal=True)
        return self.head(y[:, -1])

model = Net()
""",
    optimizer="torch.optim.Adam(model.parameters(), 1e-3)",
)
MODELS["parametrized"] = dict(
    MODELS["mlp"],
    model="""
from torch.nn.utils import parametrizations as p
model = nn.Sequential(p.weight_norm(nn.Linear(10, 32)), nn.SiLU(),
                      p.spectral_norm(nn.Linear(32, 32)), nn.Mish(),
                      p.orthogonal(nn.Linear(32, 32)), nn.Linear(32, 4))
""",
    optimizer="torch.optim.NAdam(model.parameters(), 1e-2)",
)
MODELS["workers"] = dict(
    MODELS["mlp"],
    loader="DataLoader(train, batch_size=16, shuffle=True, num_workers=2)",
)
MODELS["weighted_samples"] = dict(
    MODELS["mlp"],
    loader="DataLoader(train, batch_size=16, sampler=torch.utils.data."
    "WeightedRandomSampler(torch.arange(1.0, len(train) + 1), len(train)))",
)


def _run(source: str, framework: Any) -> tuple[list[float], list[float]]:
    name = framework.__name__
    for word in ("import torch", "from torch"):
        source = source.replace(
            f"{word}\n", f"{word.replace('torch', name)} as torch\n"
        )
        source = source.replace(f"{word}.", f"{word.replace('torch', name)}.")
    source = source.replace("from torch import", f"from {name} import")
    scope: dict[str, Any] = {}
    exec(source, scope)
    return scope["losses"], scope["left"]


@pytest.mark.parametrize("name", MODELS)
def test_training_gives_the_losses_of_pytorch(name: str) -> None:
    source = TRAINING.format(**{**DEFAULTS, **MODELS[name]})
    ours, our_randoms = _run(source, torch)
    theirs, their_randoms = _run(source, oracle)
    np.testing.assert_allclose(ours[:50], theirs[:50], rtol=1e-5, atol=1e-6)
    digits = 3 if name == "cnn_with_bias" else 5
    np.testing.assert_allclose(ours[50:], theirs[50:], rtol=10**-digits, atol=1e-6)
    assert our_randoms == their_randoms
