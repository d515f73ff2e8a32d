"""What can be logged, as host arrays; and images in the layouts that people have."""

from __future__ import annotations

import sys
from typing import Any

import dispatchtorch as torch

__all__ = ["as_image", "grid", "host_array", "library", "scalar", "to_uint8"]


def host_array(x: Any) -> Any:
    """A tensor, an array or a number as an array of at least one dimension."""
    if isinstance(x, torch.Tensor):
        x = x.float() if x.dtype == torch.bfloat16 else x
        return x.reshape(1).numpy(force=True) if x.dim() == 0 else x.numpy(force=True)
    if hasattr(x, "__array_interface__"):
        return x.reshape(1) if x.ndim == 0 else x
    if isinstance(x, (bool, int, float)):
        return torch.as_tensor(x).reshape(1).numpy()
    raise NotImplementedError(
        f"Got {type(x)}, but numpy array or torch tensor are expected."
    )


def library(array: Any) -> Any:
    """The module of functions that belongs to a host array."""
    return sys.modules[type(array).__module__]


def scalar(x: Any) -> float:
    """A number, or the one element of a tensor or an array."""
    if isinstance(x, (int, float, str)):
        return float(x)
    array = host_array(x).squeeze()
    if array.ndim != 0:
        raise AssertionError(
            "Tensor should contain one element (0 dimensions). Was given size: "
            f"{array.size} and {array.ndim} dimensions."
        )
    return float(array)


def as_image(x: Any, dataformats: str) -> Any:
    """An image of layout (height, width, 3 or more), from any layout.

    ``dataformats`` has a letter for each dimension: N for several images, which are put
    in a grid, C, H and W. A single channel becomes grey.
    """
    array = host_array(x)
    layout = dataformats.upper()
    if len(set(layout)) != len(layout):
        raise AssertionError(
            "You can not use the same dimension shorthand twice. "
            f"input_format: {dataformats}"
        )
    if array.ndim != len(layout):
        raise AssertionError(
            "size of input tensor and input format are different. "
            f"tensor shape: {array.shape}, input_format: {dataformats}"
        )
    if len(layout) == 2:
        array, layout = array[..., None], layout + "C"
    if len(layout) == 4:
        array = grid(array.transpose([layout.index(d) for d in "NHWC"]))
    else:
        array = array.transpose([layout.index(d) for d in "HWC"])
    return array.repeat(3, axis=2) if array.shape[2] == 1 else array


def grid(images: Any, columns: int = 8) -> Any:
    """Images (number, height, width, channels) as one, with 3 channels at least."""
    n, height, width, channels = images.shape
    if channels == 1:
        images, channels = images.repeat(3, axis=3), 3
    columns = min(n, columns)
    rows = -(-n // columns)
    xp = library(images)
    sheet = xp.zeros((rows * height, columns * width, channels), dtype=images.dtype)
    for i in range(n):
        y, x = i // columns * height, i % columns * width
        sheet[y : y + height, x : x + width] = images[i]
    return sheet


def to_uint8(image: Any) -> Any:
    """Bytes as they are; everything else is meant to range from 0 to 1."""
    if image.dtype.name == "uint8":
        return image
    return (image.astype("float32") * 255).clip(0, 255).astype("uint8")
