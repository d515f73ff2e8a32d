"""torch.fft, torch.stft and torch.istft: values, layouts, gradients, errors."""

from __future__ import annotations

import numpy as np
import pytest

import dispatchtorch as torch
from dispatchtorch.autograd import gradcheck, gradgradcheck

try:  # the comparisons are skipped without PyTorch
    from tests.ops.oracle import compare, spec
except ImportError:  # pragma: no cover
    compare = spec = None

_RNG = np.random.default_rng(0)
REAL = _RNG.standard_normal((3, 4, 5))
SPECTRUM = REAL + 1j * _RNG.standard_normal((3, 4, 5))
SIGNALS = _RNG.standard_normal((2, 40))

ONE_DIM = ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft")
SEVERAL = tuple(f"{name}{n}" for name in ONE_DIM for n in ("n", "2"))
TAKES_REAL_ONLY = ("rfft", "ihfft", "rfftn", "rfft2", "ihfftn", "ihfft2")


def _operand(name, grad=True, dtype=None):
    return spec(REAL if name in TAKES_REAL_ONLY else SPECTRUM, dtype, grad=grad)


oracle = pytest.mark.oracle


@oracle
@pytest.mark.parametrize("norm", [None, "ortho", "forward"])
@pytest.mark.parametrize("n", [None, 3, 8])
@pytest.mark.parametrize("dim", [-1, 0])
@pytest.mark.parametrize("name", ONE_DIM)
def test_along_one_dim(name, dim, n, norm):
    def run(module, x):
        return getattr(module.fft, name)(x, n=n, dim=dim, norm=norm).resolve_conj()

    compare(run, _operand(name), strides=False)


@oracle
@pytest.mark.parametrize(
    "options",
    [{}, {"dim": (0, 2)}, {"s": (2, 6)}, {"s": (-1, 4), "dim": (1, 0)},
     {"norm": "ortho"}, {"dim": (-1,), "norm": "forward"}],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("name", SEVERAL)
def test_along_several_dims(name, options):
    def run(module, x):
        return getattr(module.fft, name)(x, **options).resolve_conj()

    compare(run, _operand(name), strides=False, gradgrad=False)


@oracle
@pytest.mark.parametrize("dim", [(0,), (1,), (0, 1), (2, 0), (2, 1, 0), (0, 1, 2, 3)])
@pytest.mark.parametrize("order", [(0, 1, 2, 3), (2, 0, 1, 3), (3, 1, 2, 0)])
@pytest.mark.parametrize("name", ["fftn", "rfftn", "irfftn"])
def test_memory_is_laid_out_as_pytorch_does(name, order, dim):
    x = _RNG.standard_normal((2, 3, 4, 5))
    x = x if name == "rfftn" else x + 0j

    def run(module, x):
        return getattr(module.fft, name)(x.permute(order), dim=dim)

    compare(run, spec(x))


@oracle
@pytest.mark.parametrize("dtype", ["float32", "int64", "bool", "uint8", "complex64"])
def test_single_precision_stays_single(dtype):
    values = np.arange(6).reshape(2, 3) % 2
    compare(lambda m, x: m.fft.fft(x), spec(values, dtype))


@oracle
@pytest.mark.parametrize("call", [
    lambda f, x: f.fft(x.real.half()),
    lambda f, x: f.fft(x, 0),
    lambda f, x: f.fft(x, dim=5),
    lambda f, x: f.fft(x, norm="none"),
    lambda f, x: f.fft(x[0, 0, 0]),
    lambda f, x: f.rfft(x),
    lambda f, x: f.ihfft(x),
    lambda f, x: f.irfft(x[..., :1]),
    lambda f, x: f.fftn(x, dim=(0, 0)),
    lambda f, x: f.fftn(x, s=(2,), dim=(0, 1)),
    lambda f, x: f.fftn(x, s=(2, 2, 2, 2)),
    lambda f, x: f.fft2(x[0, 0]),
    lambda f, x: f.rfftn(x),
    lambda f, x: f.ihfftn(x),
    lambda f, x: f.irfftn(x, dim=()),
    lambda f, x: f.rfftn(x.real, dim=()),
    lambda f, x: f.hfftn(x, s=(3, 0)),
    lambda f, x: f.fftshift(x, dim=4),
    lambda f, x: f.fftfreq(-1),
    lambda f, x: f.fftfreq(4, dtype=None, d=0.0),
], ids=range(20))  # fmt: skip
def test_errors_are_pytorchs(call):
    compare(lambda m, x: call(m.fft, x), spec(SPECTRUM))


@oracle
@pytest.mark.parametrize("n", [0, 1, 4, 5])
@pytest.mark.parametrize("name", ["fftfreq", "rfftfreq"])
def test_frequencies(name, n):
    compare(lambda m: getattr(m.fft, name)(n, 0.5))


@oracle
@pytest.mark.parametrize("name", ["fftshift", "ifftshift"])
@pytest.mark.parametrize("dim", [None, 0, (0, 1)])
def test_shifts(name, dim):
    compare(lambda m, x: getattr(m.fft, name)(x, dim=dim), spec(REAL, grad=True))


@oracle
def test_nodes_have_pytorchs_names():
    for name in ("fft", "rfft", "irfft", "hfft"):
        compare(lambda m, x: getattr(m.fft, name)(x), _operand(name), grad_fn=True)


@pytest.mark.parametrize("name", [*ONE_DIM, "fftn", "rfftn", "irfftn", "hfftn"])
def test_gradients_are_those_of_differences(name):
    values = REAL[:2, :2] if name in TAKES_REAL_ONLY else SPECTRUM[:2, :2]
    x = torch.tensor(values, requires_grad=True)
    assert gradcheck(getattr(torch.fft, name), (x,))
    assert gradgradcheck(getattr(torch.fft, name), (x,))


def test_inverses_give_the_signal_back(device):
    x = torch.tensor(REAL, device=device)
    fft = torch.fft
    assert torch.allclose(fft.ifft(fft.fft(x)).real, x)
    assert torch.allclose(fft.irfft(fft.rfft(x), 5), x)
    assert torch.allclose(fft.hfft(fft.ihfft(x), 5), x)
    assert torch.allclose(fft.irfftn(fft.rfftn(x), x.shape), x)
    assert torch.allclose(fft.hfftn(fft.ihfftn(x), x.shape), x)
    assert torch.equal(fft.ifftshift(fft.fftshift(x)), x)


def test_transforms_without_points_in_the_batch_are_empty():
    assert torch.fft.fft(torch.zeros(0, 3)).shape == (0, 3)
    assert torch.fft.irfft(torch.zeros(0, 3)).shape == (0, 4)


def test_shapes_on_meta():
    x = torch.zeros(3, 4, 5, device="meta")
    assert torch.fft.rfftn(x).shape == (3, 4, 3)
    assert torch.fft.irfft(x).shape == (3, 4, 8)


def test_all_names_are_there():
    assert all(hasattr(torch.fft, name) for name in torch.fft.__all__)


SHORT_TIME = [
    {},
    {"hop_length": 3, "win_length": 6},
    {"center": False},
    {"onesided": False, "normalized": True},
    {"pad_mode": "constant"},
    {"center": False, "win_length": 4, "align_to_window": True},
    {"return_complex": False},
]


@oracle
@pytest.mark.parametrize("options", SHORT_TIME, ids=str)
@pytest.mark.parametrize("batch", [False, True])
def test_short_time_spectra(options, batch):
    signal = SIGNALS if batch else SIGNALS[0]
    win_length = options.get("win_length", 8)
    window = np.hanning(win_length + 2)[1:-1]

    def run(module, x, w):
        return module.stft(x, 8, window=w, **{"return_complex": True, **options})

    compare(run, spec(signal, grad=True), spec(window, grad=True))


@oracle
@pytest.mark.parametrize(
    "options",
    [{}, {"length": 33}, {"length": 45}, {"normalized": True}, {"onesided": True},
     {"hop_length": 3}],
    ids=str,
)  # fmt: skip
def test_signals_of_short_time_spectra(options):
    window = np.hanning(10)[1:-1]
    spectra = _RNG.standard_normal((2, 5, 9)) + 1j * _RNG.standard_normal((2, 5, 9))

    def run(module, x, w):
        return module.istft(x, 8, window=w, **options)

    compare(run, spec(spectra, grad=True), spec(window, grad=True), strides=False)


@oracle
@pytest.mark.parametrize("call", [
    lambda m, x: m.stft(x, 8),
    lambda m, x: m.stft(x, 8, win_length=9, return_complex=True),
    lambda m, x: m.stft(x, 8, 0, return_complex=True),
    lambda m, x: m.stft(x, 50, center=False, return_complex=True),
    lambda m, x: m.stft(x.long(), 8, return_complex=True),
    lambda m, x: m.stft(x + 0j, 8, onesided=True),
    lambda m, x: m.stft(x, 8, align_to_window=True, return_complex=True),
    lambda m, x: m.stft(x, 8, window=x[0, :3], return_complex=True),
    lambda m, x: m.istft(x, 8),
    lambda m, x: m.istft(x + 0j, 8),
    lambda m, x: m.istft(x[:, :5] + 0j, 8),
    lambda m, x: m.istft((x[:, :35] + 0j).reshape(2, 5, 7), 8, 9),
    lambda m, x: m.istft((x[:, :35] + 0j).reshape(2, 5, 7), 8, return_complex=True),
], ids=range(13))  # fmt: skip
def test_short_time_errors_are_pytorchs(call):
    compare(call, spec(SIGNALS))


def test_a_signal_comes_back_from_its_short_time_spectra(device):
    x = torch.tensor(SIGNALS, device=device)
    window = torch.hann_window(8, dtype=torch.float64, device=device)
    spectra = x.stft(8, window=window, return_complex=True)
    assert torch.allclose(spectra.istft(8, window=window), x)
