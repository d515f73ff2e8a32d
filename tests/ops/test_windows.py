"""torch.signal.windows, and the windows of torch itself."""

from __future__ import annotations

import pytest

import dispatchtorch as torch

try:  # the comparisons are skipped without PyTorch
    from tests.ops.oracle import compare
except ImportError:  # pragma: no cover
    compare = None

windows = torch.signal.windows
MORE = {
    "exponential": [{"tau": 3.0}, {"tau": -1.0}, {"center": 2, "sym": False},
                    {"center": 2}],
    "gaussian": [{"std": 2.0}, {"std": 0.0}],
    "kaiser": [{"beta": 3.0}, {"beta": -1.0}, {"beta": 0.0}],
    "general_cosine": [{"a": []}, {"a": 3}, {"a": (1.0, 2.0, 3.0)}],
    "general_hamming": [{"alpha": 0.7}],
}  # fmt: skip
ROWS = [(name, {}) for name in windows.__all__] + [
    (name, options) for name, listed in MORE.items() for options in listed
]


@pytest.mark.oracle
@pytest.mark.parametrize(("name", "options"), ROWS, ids=str)
def test_windows(name, options):
    if name == "general_cosine":
        options = {"a": [0.5, 0.3, 0.2], **options}
    for m in (0, 1, 2, 7, 8, -1):
        for sym in (True, False):
            compare(
                lambda module: getattr(module.signal.windows, name)(
                    m, **{"sym": sym, **options}
                )
            )
    for dtype in ("float64", "int64", "float16"):
        compare(
            lambda module: getattr(module.signal.windows, name)(
                5, dtype=getattr(module, dtype), **options
            )
        )


@pytest.mark.oracle
@pytest.mark.parametrize("name", windows.__all__)
def test_windows_can_require_grad(name):
    options = {"a": [0.5, 0.3]} if name == "general_cosine" else {}

    def run(module):
        return getattr(module.signal.windows, name)(6, requires_grad=True, **options)

    compare(run, grad_fn=name not in ("bartlett",))


LEGACY = [
    ("bartlett", ()), ("blackman", ()), ("hann", ()), ("hamming", ()), ("kaiser", ()),
    ("hann", (False,)), ("hamming", (True, 0.5)), ("hamming", (False, 0.5, 0.3)),
    ("kaiser", (True, 3.0)), ("kaiser", (False, 0.0)),
]  # fmt: skip


@pytest.mark.oracle
@pytest.mark.parametrize(
    "dtype", ["float32", "float64", "float16", "bfloat16", "int64"]
)
@pytest.mark.parametrize(("name", "arguments"), LEGACY, ids=str)
def test_windows_of_the_top_level(name, arguments, dtype):
    for length in (-1, 0, 1, 2, 7, 8):
        compare(
            lambda module: getattr(module, f"{name}_window")(
                length, *arguments, dtype=getattr(module, dtype)
            ),
            atol=1e-6,
        )


def test_a_periodic_window_is_a_symmetric_one_without_its_end(device):
    for name in ("bartlett", "blackman", "hann", "hamming", "kaiser"):
        make = getattr(torch, f"{name}_window")
        periodic, symmetric = make(8, device=device), make(9, False, device=device)
        assert torch.equal(periodic, symmetric[:8])


def test_windows_are_made_on_their_device(device):
    for name in windows.__all__:
        options = {"a": [0.5, 0.5]} if name == "general_cosine" else {}
        made = getattr(windows, name)(5, device=device, **options)
        assert made.device.type == device
