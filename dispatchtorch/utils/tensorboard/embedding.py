"""The files that TensorBoard's projector reads."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from typing import Any

import dispatchtorch as torch

from .arrays import grid, host_array, library, to_uint8

__all__ = ["write_embedding"]


def _write_lines(path: str, rows: Iterable[Iterable[Any]]) -> None:
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        for row in rows:
            file.write("\t".join(map(str, row)) + "\n")


def _write_sprite(path: str, images: Any) -> None:
    """All images (number, channels, height, width) in a square picture."""
    from PIL import Image

    array = to_uint8(host_array(images))
    columns = math.ceil(math.sqrt(len(array)))
    sheet = grid(array.transpose(0, 2, 3, 1), columns)
    side = max(columns * size for size in array.shape[2:])
    xp = library(sheet)
    square = xp.zeros((side, side, sheet.shape[2]), dtype=sheet.dtype)
    square[: sheet.shape[0], : sheet.shape[1]] = sheet
    Image.fromarray(square).save(path)


def write_embedding(
    root: str,
    folder: str,
    name: str,
    mat: Any,
    metadata: Sequence[Any] | None,
    header: Sequence[str] | None,
    images: Any,
) -> None:
    """Writes points, labels and pictures to ``folder`` under ``root``, and lists them.

    Args:
        mat: one point a row.
        metadata: one label for each point, or with ``header`` one for each column.
        images: one picture for each point.
    """
    from google.protobuf import text_format
    from tensorboard.plugins.projector.projector_config_pb2 import EmbeddingInfo

    path = os.path.join(root, folder)
    if os.path.exists(path):
        print(
            "warning: Embedding dir exists, did you set global_step for "
            "add_embedding()?"
        )
    else:
        os.makedirs(path)
    mat = torch.as_tensor(mat)
    info = EmbeddingInfo(tensor_name=name, tensor_path=f"{folder}/tensors.tsv")
    if metadata is not None:
        if mat.shape[0] != len(metadata):
            raise AssertionError("#labels should equal with #data points")
        rows = [header, *metadata] if header else [[label] for label in metadata]
        _write_lines(os.path.join(path, "metadata.tsv"), rows)
        info.metadata_path = f"{folder}/metadata.tsv"
    if images is not None:
        if mat.shape[0] != images.shape[0]:
            raise AssertionError("#images should equal with #data points")
        _write_sprite(os.path.join(path, "sprite.png"), images)
        info.sprite.image_path = f"{folder}/sprite.png"
        info.sprite.single_image_dim.extend([images.shape[3], images.shape[2]])
    if mat.dim() != 2:
        raise AssertionError(
            "mat should be 2D, where mat.size(0) is the number of data points"
        )
    _write_lines(os.path.join(path, "tensors.tsv"), mat.tolist())
    entry = text_format.MessageToString(info)
    indented = "".join(f"  {line}\n" for line in entry.splitlines())
    with open(os.path.join(root, "projector_config.pbtxt"), "a") as file:
        file.write(f"embeddings {{\n{indented}}}\n")
