"""Fits a line to noisy points of y = 2x + 1."""

import torch
from torch import nn

torch.manual_seed(0)
x = torch.linspace(-1, 1, 64).unsqueeze(1)
y = 2 * x + 1 + 0.1 * torch.randn(64, 1)

model = nn.Linear(1, 1)
criterion = nn.MSELoss()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

for epoch in range(100):
    optimizer.zero_grad()
    loss = criterion(model(x), y)
    loss.backward()
    optimizer.step()
    if epoch % 20 == 0 or epoch == 99:
        print(f"epoch {epoch:3d}  loss {loss.item():.5f}")

print(f"y = {model.weight.item():.3f} x + {model.bias.item():.3f}")
