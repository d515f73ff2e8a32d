"""A small variational autoencoder on synthetic 8×8 images of bars."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)


def bars(count):
    images = torch.zeros(count, 8, 8)
    rows = torch.rand(count, 8) < 0.2
    columns = torch.rand(count, 8) < 0.2
    images[rows] = 1.0
    images.transpose(1, 2)[columns] = 1.0
    return images.flatten(1)


class VAE(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(64, 48), nn.ReLU())
        self.mean = nn.Linear(48, 8)
        self.log_variance = nn.Linear(48, 8)
        self.decoder = nn.Sequential(nn.Linear(8, 48), nn.ReLU(), nn.Linear(48, 64))

    def forward(self, x):
        hidden = self.encoder(x)
        mean, log_variance = self.mean(hidden), self.log_variance(hidden)
        z = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        return self.decoder(z), mean, log_variance


def loss_of(logits, x, mean, log_variance):
    rebuilt = F.binary_cross_entropy_with_logits(logits, x, reduction="sum")
    divergence = -0.5 * torch.sum(1 + log_variance - mean.pow(2) - log_variance.exp())
    return (rebuilt + divergence) / len(x)


data = bars(512)
model = VAE()
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
loader = DataLoader(TensorDataset(data), batch_size=64, shuffle=True)
for epoch in range(6):
    total = 0.0
    for (x,) in loader:
        optimizer.zero_grad()
        logits, mean, log_variance = model(x)
        loss = loss_of(logits, x, mean, log_variance)
        loss.backward()
        optimizer.step()
        total += loss.item() * len(x)
    print(f"epoch {epoch}  loss {total / len(data):.3f}")
