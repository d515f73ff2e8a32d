"""Trains a two-layer transformer to continue a text, letter by letter."""

import sys

import dispatchtorch as torch
from dispatchtorch import nn

TEXT = "the quick brown fox jumps over the lazy dog. " * 8
LETTERS = sorted(set(TEXT))
LENGTH, WIDTH = 16, 32


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.letters = nn.Embedding(len(LETTERS), WIDTH)
        self.places = nn.Embedding(LENGTH, WIDTH)
        layer = nn.TransformerEncoderLayer(
            WIDTH, 4, 64, dropout=0.0, activation="gelu", batch_first=True
        )
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(WIDTH, len(LETTERS))

    def forward(self, x):
        places = torch.arange(x.shape[1], device=x.device)
        mask = nn.Transformer.generate_square_subsequent_mask(
            x.shape[1], device=x.device
        )
        x = self.letters(x) + self.places(places)
        return self.head(self.layers(x, mask=mask, is_causal=True))


device = sys.argv[1]
torch.manual_seed(0)
text = torch.tensor([LETTERS.index(each) for each in TEXT])
model = Model().to(device)
optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
for step in range(40):
    starts = torch.randint(0, len(text) - LENGTH - 1, (8,))
    rows = torch.stack([text[i : i + LENGTH + 1] for i in starts.tolist()]).to(device)
    scores = model(rows[:, :-1])
    loss = nn.functional.cross_entropy(scores.flatten(0, 1), rows[:, 1:].flatten())
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    if step % 20 == 19:
        print(f"step {step + 1}: loss {loss.item():.3f}")
