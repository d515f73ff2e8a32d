"""Event files hold the same messages as PyTorch's."""

from __future__ import annotations

import glob
import os

import numpy as np
import pytest

import dispatchtorch as torch

oracle = pytest.importorskip("torch")
pytest.importorskip("tensorboard")

pytestmark = pytest.mark.oracle


def noise(framework, *shape):
    values = np.random.default_rng(0).random(shape)
    return framework.tensor(values, dtype=framework.float32)


AT = {"global_step": 1, "walltime": 1.0}
BOXES = [[2.0, 12, 14, 18], [1, 1, 5, 15]]
CALLS = {
    "scalar": lambda w, t: w.add_scalar("a b$/c", t.tensor(1.5), **AT),
    "scalar new": lambda w, t: w.add_scalar("a", 1 / 3, new_style=True, **AT),
    "scalars": lambda w, t: w.add_scalars("m/n", {"a": 1.0, "b": 2}, **AT),
    "histogram": lambda w, t: w.add_histogram("h", noise(t, 50) - 0.5, **AT),
    "histogram auto": lambda w, t: w.add_histogram(
        "h", noise(t, 50), bins="auto", **AT
    ),
    "histogram few": lambda w, t: w.add_histogram("h", noise(t, 50), max_bins=10, **AT),
    "histogram fewer": lambda w, t: w.add_histogram(
        "h", noise(t, 90), bins=50, max_bins=7, **AT
    ),
    "histogram int": lambda w, t: w.add_histogram("h", t.arange(9), **AT),
    "histogram zero": lambda w, t: w.add_histogram("h", t.zeros(9), **AT),
    "histogram raw": lambda w, t: w.add_histogram_raw(
        "h", 0.0, 1.0, 3, 1.5, 2.0, [0.5, 1.0], [1, 2], **AT
    ),
    "image": lambda w, t: w.add_image("i", noise(t, 3, 4, 5), **AT),
    "image grey": lambda w, t: w.add_image("i", noise(t, 4, 5), dataformats="HW", **AT),
    "image alpha": lambda w, t: w.add_image("i", noise(t, 4, 4, 5), **AT),
    "image int": lambda w, t: w.add_image("i", t.ones(3, 2, 2, dtype=t.int64), **AT),
    "images": lambda w, t: w.add_images("i", noise(t, 11, 3, 4, 5), **AT),
    "boxes": lambda w, t: w.add_image_with_boxes(
        "b", noise(t, 3, 20, 20), t.tensor(BOXES), labels=["cat", "dog"], **AT
    ),
    "boxes large": lambda w, t: w.add_image_with_boxes(
        "b", noise(t, 3, 20, 20), t.tensor(BOXES), rescale=2, **AT
    ),
    "audio": lambda w, t: w.add_audio("a", noise(t, 1, 50) * 2 - 1, **AT),
    "text": lambda w, t: w.add_text("t", "hello é", **AT),
    "tensor": lambda w, t: w.add_tensor("t", noise(t, 2, 3), **AT),
    "tensor bool": lambda w, t: w.add_tensor("t", t.tensor([True]), **AT),
    "pr": lambda w, t: w.add_pr_curve(
        "p", noise(t, 40).round(), noise(t, 40).flip(0), **AT
    ),
    "pr weights": lambda w, t: w.add_pr_curve(
        "p", np.array([0, 1, 1]), np.array([0.1, 0.9, 0.4]), 1, 500, np.arange(3.0), 1.0
    ),
    "mesh": lambda w, t: w.add_mesh(
        "m",
        noise(t, 1, 4, 3),
        t.ones(1, 4, 3, dtype=t.int64),
        t.ones(1, 2, 3, dtype=t.int64),
        {"a": 1},
        **AT,
    ),
    "charts": lambda w, t: w.add_custom_scalars(
        {"c": {"t": ["Multiline", ["a", "b"]], "m": ["Margin", ["x", "y", "z"]]}}
    ),
    "hparams": lambda w, t: w.add_hparams(
        {"lr": 0.1, "name": "x", "on": True, "none": None},
        {"acc": 0.5},
        {"name": ["x", "y"], "lr": [0.1, 0.2]},
        run_name="r",
    ),
    "embedding": lambda w, t: w.add_embedding(
        noise(t, 5, 3), list("abcde"), noise(t, 5, 3, 2, 4), 2, "e/f"
    ),
    "purge": lambda w, t: w.add_scalar("a", 1.0, 9, 1.0),
}


def written(framework, root, call):
    """Every message and every file that a call leaves behind, by name."""
    from tensorboard.backend.event_processing import event_file_loader

    if framework is oracle:
        from torch.utils.tensorboard import SummaryWriter
    else:
        from dispatchtorch.utils.tensorboard import SummaryWriter
    with SummaryWriter(str(root), purge_step=3) as writer:
        call(writer, framework)
    found = {}
    for path in sorted(glob.glob(f"{root}/**", recursive=True)):
        name = os.path.relpath(path, root)
        if os.path.isdir(path):
            continue
        if "tfevents" not in name:
            with open(path, "rb") as file:
                found[name] = file.read()
            continue
        messages = []
        for event in event_file_loader.LegacyEventFileLoader(path).Load():
            if event.wall_time != 1.0:
                event.ClearField("wall_time")
            event.ClearField("source_metadata")
            messages.append(event)
        found[os.path.dirname(name)] = messages
    return found


def contents(messages):
    """Plugins keep messages in bytes, in which the order of maps is not fixed."""
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    shown = []
    for event in messages:
        for value in event.summary.value:
            plugin = value.metadata.plugin_data
            if plugin.plugin_name == "hparams":
                shown.append(HParamsPluginData.FromString(plugin.content))
                plugin.content = b""
    return shown


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", CALLS)
def test_the_same_is_written(name, tmp_path, capsys):
    mine = written(torch, tmp_path / "mine", CALLS[name])
    reference = written(oracle, tmp_path / "reference", CALLS[name])
    assert mine.keys() == reference.keys()
    for key, expected in reference.items():
        if isinstance(expected, list):
            assert contents(mine[key]) == contents(expected)
        assert mine[key] == expected
