"""Small data sets that ship with the package."""

from __future__ import annotations

from importlib.resources import as_file, files
from typing import Any

__all__ = ["load_digits"]


def load_digits() -> tuple[Any, Any]:
    """The UCI handwritten digits: images (1797, 1, 8, 8) in [0, 1], labels (1797,).

    Source and licence: ``LICENSE-digits.md`` beside the data.
    """
    import numpy as np

    import dispatchtorch as torch

    with as_file(files(__package__) / "digits.npz") as path, np.load(path) as archive:
        images, labels = archive["images"], archive["labels"]
    pixels = torch.from_numpy(images).float().div(16).unsqueeze(1)
    return pixels, torch.from_numpy(labels).long()
