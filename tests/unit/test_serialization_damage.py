"""Damaged checkpoints: noticed, refused in clear words, and never costly."""

from __future__ import annotations

import io
import pickle
import random
import tracemalloc

import pytest

import dispatchtorch as torch

pytestmark = pytest.mark.filterwarnings("ignore:Detected pickle protocol")

serialization = torch.serialization
# What damage may raise; anything else is a bug.
CLEAR = (
    pickle.UnpicklingError,
    RuntimeError,
    EOFError,
    ValueError,
    NotImplementedError,
)


def load(data, **kwargs):
    return serialization.load(io.BytesIO(data), **kwargs)


def checkpoint(zipped):
    buffer = io.BytesIO()
    obj = {
        "w": torch.arange(20.0),
        "b": torch.nn.Parameter(torch.ones(3)),
        "n": [1, "x"],
    }
    serialization.save(obj, buffer, _use_new_zipfile_serialization=zipped)
    return buffer.getvalue()


def contents(obj):
    return {k: v.tolist() if hasattr(v, "tolist") else v for k, v in obj.items()}


def test_a_flipped_bit_never_passes_unnoticed():
    good = checkpoint(True)
    expected = contents(load(good))
    rng = random.Random(0)
    noticed = 0
    for position in range(len(good)):
        data = bytearray(good)
        data[position] ^= 1 << rng.randrange(8)
        try:
            found = load(bytes(data))
        except CLEAR:
            noticed += 1
        else:
            assert contents(found) == expected, position
    assert noticed > len(good) // 4  # the rest is padding and unused fields


@pytest.mark.parametrize("weights_only", [True, False])
def test_a_truncated_archive_is_refused(weights_only):
    good = checkpoint(True)
    for length in range(0, len(good), 3):
        with pytest.raises(CLEAR):
            load(good[:length], weights_only=weights_only)


def test_a_truncated_legacy_file_is_refused():
    good = checkpoint(False)
    for length in range(len(good)):
        with pytest.raises(CLEAR):
            load(good[:length])


def test_damaged_legacy_files_fail_clearly_and_cheaply():
    good = checkpoint(False)
    rng = random.Random(1)
    tracemalloc.start()
    try:
        for _ in range(1500):
            data = bytearray(good)
            for _ in range(rng.randint(1, 3)):
                data[rng.randrange(len(data))] = rng.randrange(256)
            try:
                load(bytes(data))
            except CLEAR:
                pass
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 16 << 20


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"x",
        b"hello world",
        b"\x80",
        b"PK\3\4",
        b"PK\3\4" + b"x" * 100,
        b"\0" * 1000,
    ],
)
def test_what_is_no_checkpoint_is_refused(data):
    for weights_only in (True, False):
        with pytest.raises(CLEAR):
            load(data, weights_only=weights_only)
