"""``dispatchtorch demo``: a small CNN on the UCI handwritten digits, from data to plot."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import dispatchtorch as torch
from dispatchtorch import nn
from dispatchtorch.datasets import load_digits

__all__ = ["demo", "make_model"]

TRAINING = 1437  # four fifths of the images


def make_model() -> nn.Module:
    """The demo's network: two convolutions and a linear classifier."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(128, 10),
    )


def demo(device: str, epochs: int, seed: int, output: str) -> int:
    """Trains, tests, saves, reloads and plots; returns 0 if the reload predicts alike."""
    from tqdm import tqdm

    torch.manual_seed(seed)
    images, labels = load_digits()
    order = torch.randperm(len(images))
    images, labels = images[order].to(device), labels[order].to(device)
    data = torch.utils.data.TensorDataset(images[:TRAINING], labels[:TRAINING])
    loader = torch.utils.data.DataLoader(data, batch_size=32, shuffle=True)
    test_images, test_labels = images[TRAINING:], labels[TRAINING:]

    model = make_model().to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    criterion = nn.CrossEntropyLoss()
    count = sum(p.numel() for p in model.parameters())
    print(
        f"Training a CNN of {count} parameters on {len(data)} scans of handwritten "
        f"digits (UCI), device '{device}'"
    )
    losses: list[float] = []
    started = time.perf_counter()
    for epoch in range(1, epochs + 1):
        model.train()
        right = seen = 0
        with tqdm(loader, desc=f"epoch {epoch}/{epochs}", unit="batch") as bar:
            for x, y in bar:
                optimizer.zero_grad()
                scores = model(x)
                loss = criterion(scores, y)
                loss.backward()
                optimizer.step()
                losses.append(loss.item())
                right += int((scores.argmax(1) == y).sum())
                seen += len(y)
                bar.set_postfix(
                    loss=f"{loss.item():.3f}", accuracy=f"{right / seen:.3f}"
                )
    seconds = time.perf_counter() - started

    predicted = predict(model, test_images)
    accuracy = float((predicted == test_labels).float().mean())
    print(
        f"Test accuracy {accuracy:.1%} on {len(test_labels)} unseen scans, "
        f"after {seconds:.1f} s"
    )
    folder = Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = folder / "digits.pt"
    torch.save(model.state_dict(), checkpoint)
    again = make_model().to(device)
    again.load_state_dict(torch.load(checkpoint, map_location=device))
    same = bool((predict(again, test_images) == predicted).all())
    verdict = "predicts the same" if same else "PREDICTS SOMETHING ELSE"
    print(f"Saved {checkpoint}; reloaded, it {verdict}")
    plot = draw(losses, test_labels.cpu(), predicted.cpu(), folder / "digits.png")
    print(plot)
    return 0 if same else 1


def predict(model: nn.Module, images: Any) -> Any:
    """The most likely digit of each image."""
    model.eval()
    with torch.no_grad():
        return model(images).argmax(1)


def draw(losses: list[float], truth: Any, predicted: Any, path: Path) -> str:
    """Writes the loss curve and the confusion matrix; says where, or why not."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        return "No plot: matplotlib isn't installed (pip install matplotlib)"
    confusion = [[0] * 10 for _ in range(10)]
    for actual, guess in zip(truth.tolist(), predicted.tolist(), strict=True):
        confusion[actual][guess] += 1
    figure = Figure(figsize=(10, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    left.plot(losses, linewidth=0.8)
    left.set(
        title="Training loss", xlabel="batch", ylabel="cross entropy", yscale="log"
    )
    right.imshow(confusion, cmap="Blues")
    right.set(title="Confusion matrix", xlabel="predicted", ylabel="actual")
    right.set_xticks(range(10))
    right.set_yticks(range(10))
    for actual in range(10):
        for guess in range(10):
            number = confusion[actual][guess]
            if number:
                right.text(
                    guess,
                    actual,
                    number,
                    ha="center",
                    va="center",
                    fontsize=8,
                    color="white" if actual == guess else "black",
                )
    figure.savefig(path, dpi=120)
    return f"Drew the loss curve and the confusion matrix: {path}"
