"""A character-level LSTM that learns one sentence by heart."""

import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(0)
text = "the quick brown fox jumps over the lazy dog. "
alphabet = sorted(set(text))
code = {c: i for i, c in enumerate(alphabet)}
data = torch.tensor([code[c] for c in text * 4])


class CharModel(nn.Module):
    def __init__(self, size, hidden=48):
        super().__init__()
        self.embed = nn.Embedding(size, 16)
        self.lstm = nn.LSTM(16, hidden, batch_first=True)
        self.head = nn.Linear(hidden, size)

    def forward(self, x, state=None):
        out, state = self.lstm(self.embed(x), state)
        return self.head(out), state


model = CharModel(len(alphabet))
optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
inputs, targets = data[:-1].view(1, -1), data[1:].view(1, -1)

for step in range(60):
    optimizer.zero_grad()
    scores, _ = model(inputs)
    loss = F.cross_entropy(scores.flatten(0, 1), targets.flatten())
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    if step % 20 == 0 or step == 59:
        print(f"step {step:2d}  loss {loss.item():.3f}")

with torch.no_grad():
    letter, state, written = data[:1].view(1, 1), None, alphabet[data[0]]
    for _ in range(len(text) - 1):
        scores, state = model(letter, state)
        letter = scores[:, -1].argmax(-1, keepdim=True)
        written += alphabet[letter.item()]
print(written)
