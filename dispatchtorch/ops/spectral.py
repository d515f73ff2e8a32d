"""Spectra of signals over time (``stft``, ``istft``), and the windows they look through."""

from __future__ import annotations

import math
import warnings
from typing import Any

from dispatchtorch import dtypes
from dispatchtorch.dispatch.derivative import nondifferentiable
from dispatchtorch.dispatch.operator import operator
from dispatchtorch.ops._common import scalar_type_name, torch
from dispatchtorch.ops.creation import _OPTIONS, as_dtype, finish
from dispatchtorch.ops.linalg import _CPP
from dispatchtorch.ops.view import unfold_backward
from dispatchtorch.tensor import Tensor

# Windows. See https://docs.pytorch.org/docs/stable/generated/torch.hann_window.html.


def _described(dtype: dtypes.dtype, layout: Any, device: Any) -> str:
    names = {"int64": "long int", "int32": "int", "int16": "short int", "bool": "bool"}
    cpp = names.get(dtype.name, _CPP.get(dtype.name, dtype.name))
    kind = "Sparse" if "sparse" in str(layout) else "Strided"
    default = " (default)" if layout is None else ""
    return (
        f"TensorOptions(dtype={cpp}, device={device or 'cpu'}, layout={kind}{default}, "
        "requires_grad=false (default), pinned_memory=false, memory_format=(nullopt))"
    )


def _check_window(name: str, length: int, options: dict[str, Any]) -> None:
    dtype, layout = options["dtype"], options["layout"]
    if layout is not None and str(layout) != "torch.strided":
        raise RuntimeError(
            f"{name} is not implemented for sparse types, got: "
            f"{_described(dtype, layout, options['device'])}"
        )
    if dtype.category < dtypes.FLOAT:
        raise RuntimeError(
            f"{name} expects floating point dtypes, got: "
            f"{_described(dtype, layout, options['device'])}"
        )
    if length < 0:
        raise RuntimeError(
            f"{name} requires non-negative window_length, got window_length={length}"
        )


def _of(k: Tensor, value: float) -> Tensor:
    """A number rounded to the window's dtype, which matters for half types."""
    return torch.full((), value, dtype=k.dtype, device=k.device)  # type: ignore[no-any-return]


def _bartlett(n: int, k: Tensor) -> Tensor:
    k = k.mul_(_of(k, 2.0 / (n - 1)))
    k[((n - 1) >> 1) + 1 :].mul_(-1).add_(2)
    return k


def _blackman(n: int, k: Tensor) -> Tensor:
    k = k.mul_(_of(k, math.pi / (n - 1)))
    third = k.mul(4).cos_().mul_(_of(k, 0.08))
    return third - k.mul(2).cos_().mul_(0.5) + _of(k, 0.42)


def _hamming(n: int, k: Tensor, alpha: float = 0.54, beta: float = 0.46) -> Tensor:
    k = k.mul_(_of(k, math.pi * 2 / (n - 1))).cos_()
    return k.mul_(_of(k, -beta)).add_(_of(k, alpha))


def _hann(n: int, k: Tensor) -> Tensor:
    return _hamming(n, k, 0.5, 0.5)


def _kaiser(n: int, k: Tensor, beta: float = 12.0) -> Tensor:
    half = (n - 1) / 2
    wide = k.to(dtypes.float32) if k.dtype.itemsize < 4 else k
    x = (wide - half) / half
    bound = torch.full((), beta, dtype=wide.dtype, device=k.device)
    return torch.i0(bound * (1 - x * x).clamp_(min=0).sqrt()) / torch.i0(bound)  # type: ignore[no-any-return]


def _window(name: str, formula: Any, doc: str, *extra: str) -> None:
    """Declares ``<name>_window`` and its overloads with more parameters."""

    def body(window_length, periodic=True, *rest, dtype, layout, device, requires_grad):  # type: ignore[no-untyped-def]
        options = {"dtype": as_dtype(dtype), "layout": layout, "device": device}
        _check_window(f"{name}_window", window_length, options)
        if window_length < 2:
            return finish(torch.ones((window_length,), **options), requires_grad)
        n = window_length + 1 if periodic else window_length
        made = formula(n, torch.arange(n, **options), *rest).to(options["dtype"])
        if periodic:
            made = made.narrow(0, 0, window_length).clone()
        return finish(made, requires_grad)

    overloads = ("", ".periodic(bool periodic)", *extra)
    for overload in overloads:
        head, _, listed = overload.rstrip(")").partition("(")
        names = [each.split()[1] for each in listed.split(", ") if each]
        schema = (
            f"{name}_window{head}(int window_length, "
            f"{listed + ', ' if listed else ''}{_OPTIONS}) -> Tensor"
        )
        nondifferentiable(
            operator(schema, tags="factory", variants="function")(
                _adapted(body, names, doc)
            )
        )


def _adapted(body: Any, names: list[str], doc: str) -> Any:
    """``body`` with the parameters of one overload's schema."""
    from dispatchtorch.dispatch.codegen import compile_function

    listed = "".join(f", {name}" for name in names)
    keywords = "dtype, layout, device, pin_memory, requires_grad"
    made = compile_function(
        f"def window(window_length{listed}, *, {keywords}):\n"
        f"    return body(window_length{listed}, dtype=dtype, layout=layout, "
        "device=device, requires_grad=requires_grad)",
        "window",
        {"body": body},
    )
    made.__doc__ = doc
    return made


_window("bartlett", _bartlett, "A triangle from 0 to 1 and back.")
_window("blackman", _blackman, "Blackman's window of three cosines.")
_window("hann", _hann, "Hann's window, one wave of a raised cosine.")
_window(
    "hamming",
    _hamming,
    "Hamming's window, alpha - beta cos(2π n / N).",
    ".periodic_alpha(bool periodic, float alpha)",
    ".periodic_alpha_beta(bool periodic, float alpha, float beta)",
)
_window(
    "kaiser",
    _kaiser,
    "Kaiser's window of Bessel functions.",
    ".beta(bool periodic, float beta)",
)

# Spectra over time.

_warned: set[str] = set()


def _warn_once(text: str) -> None:
    if text not in _warned:
        _warned.add(text)
        warnings.warn(text, stacklevel=4)


_NO_WINDOW = (
    "To suppress this warning and use a rectangular window, explicitly set "
    "`window=torch.ones(n_fft, device=<device>)`."
)


def _shown(value: Any) -> str:
    if isinstance(value, Tensor):
        kind = _TYPE_WORDS.get(value.dtype.name, scalar_type_name(value.dtype))
        return f"torch.{kind}Tensor{{{list(value._shape)}}}"
    return str(int(value)) if isinstance(value, bool) else str(value)


_TYPE_WORDS = {"uint8": "Byte", "int8": "Char"}


def _call(name: str, signal: str, **arguments: Any) -> str:
    listed = ", ".join(f"{k}={_shown(v)}" for k, v in arguments.items())
    return f"{name}({signal}, {listed})"


def _in_middle(window: Tensor | None, n_fft: int, length: int, like: Tensor) -> Any:
    """A window of ``length`` in the middle of ``n_fft`` zeros; ones where it is None."""
    if window is None:
        real = like.dtype.to_real()
        window = torch.ones((length,), dtype=real, device=like.device)
    if length == n_fft:
        return window
    left = (n_fft - length) // 2
    return torch.constant_pad_nd(window, (left, n_fft - length - left), 0)


@operator(
    "stft(Tensor self, int n_fft, int? hop_length=None, int? win_length=None, "
    "Tensor? window=None, bool center=True, str pad_mode='reflect', "
    "bool normalized=False, bool? onesided=None, bool? return_complex=None, "
    "bool? align_to_window=None) -> Tensor"
)
def stft(
    self,
    n_fft,
    hop_length=None,
    win_length=None,
    window=None,
    center=True,
    pad_mode="reflect",
    normalized=False,
    onesided=None,
    return_complex=None,
    align_to_window=None,
):
    """Spectra of overlapping parts of a signal ([batch,] time), each through a window.

    Gives ([batch,] frequency, frame), with a last dim of two unless ``return_complex``.
    """
    if center:
        if align_to_window is not None:
            raise RuntimeError(
                "stft align_to_window should only be set when center = false"
            )
        wide = self.view((1,) * (3 - self.ndim) + self._shape)
        wide = torch.pad(wide, (n_fft // 2, n_fft // 2), pad_mode)
        self = wide.view(wide._shape[3 - self.ndim :]) if self.ndim < 3 else wide
    hop = n_fft >> 2 if hop_length is None else hop_length
    length = n_fft if win_length is None else win_length
    wants_complex = return_complex
    is_complex = self.is_complex() or (window is not None and window.is_complex())
    if return_complex is None:
        if not is_complex:
            raise RuntimeError(
                "stft requires the return_complex parameter be given for real inputs, "
                "and will further require that return_complex=True in a future PyTorch "
                "release."
            )
        wants_complex = True
    elif not return_complex:
        _warn_once(
            "stft with return_complex=False is deprecated. In a future pytorch release, "
            "stft will return complex tensors for all inputs, and return_complex=False "
            "will raise an error.\nNote: you can still call torch.view_as_real on the "
            "complex output to recover the old return format."
        )
    if window is None:
        _warn_once(
            "A window was not provided. A rectangular window will be applied,which is "
            "known to cause spectral leakage. Other windows such as torch.hann_window or "
            "torch.hamming_window are recommended to reduce spectral leakage."
            + _NO_WINDOW
        )

    def fail(expected: str) -> RuntimeError:
        kind = _TYPE_WORDS.get(self.dtype.name, scalar_type_name(self.dtype))
        called = _call(
            "stft",
            f"torch.{kind}Tensor{list(self._shape)}",
            n_fft=n_fft,
            hop_length=hop,
            win_length=length,
            window=window,
            normalized=normalized,
            onesided=onesided,
            return_complex=wants_complex,
            align_to_window=align_to_window,
        )
        return RuntimeError(f"{called} : expected {expected}")

    if self.dtype.category < dtypes.FLOAT:
        raise fail("a tensor of floating point or complex values")
    if not 1 <= self.ndim <= 2:
        raise fail("a 1D or 2D tensor")
    signal = self if self.ndim == 2 else self.unsqueeze(0)
    total = signal._shape[-1]
    if not 0 < n_fft <= total:
        raise fail(f"0 < n_fft < {total}, but got n_fft={n_fft}")
    if hop <= 0:
        raise fail(f"hop_length > 0, but got hop_length={hop}")
    if not 0 < length <= n_fft:
        raise fail(f"0 < win_length <= n_fft, but got win_length={length}")
    if window is not None and window._shape != (length,):
        raise fail(
            f"a 1D window tensor of size equal to win_length={length}, but got window "
            f"with size {list(window._shape)}"
        )
    if onesided and is_complex:
        raise RuntimeError("Cannot have onesided output if window or input is complex")
    if not center and align_to_window:
        left = (n_fft - length) // 2
        signal = torch.constant_pad_nd(signal, (left, left), 0)
        frames = 1 + (total - length) // hop
        short = (frames - 1) * hop + n_fft - signal._shape[-1]
        if short > 0:
            signal = torch.constant_pad_nd(signal, (0, short), 0)
    parts = signal.unfold(-1, n_fft, hop)
    if window is not None or length < n_fft:
        parts = parts * _in_middle(window, n_fft, length, self)
    elif signal.dtype.to_real().itemsize < 4:
        raise RuntimeError(
            f"MKL FFT doesn't support tensors of type: {scalar_type_name(signal.dtype)}"
        )
    mode = 1 if normalized else 0
    if is_complex:
        made = torch._fft_c2c(parts, (2,), mode, forward=True)
    else:
        made = torch._fft_r2c(parts, (2,), mode, onesided=onesided is not False)
    made.transpose_(1, 2)
    if self.ndim == 1:
        made.squeeze_(0)
    return made if wants_complex else torch.view_as_real(made)


@operator(
    "istft(Tensor self, int n_fft, int? hop_length=None, int? win_length=None, "
    "Tensor? window=None, bool center=True, bool normalized=False, "
    "bool? onesided=None, int? length=None, bool return_complex=False) -> Tensor"
)
def istft(
    self,
    n_fft,
    hop_length=None,
    win_length=None,
    window=None,
    center=True,
    normalized=False,
    onesided=None,
    length=None,
    return_complex=False,
):
    """The signal whose ``stft`` comes nearest to given spectra ([batch,] freq, frame)."""
    hop = n_fft >> 2 if hop_length is None else hop_length
    win = n_fft if win_length is None else win_length
    if window is None:
        _warn_once(
            "A window was not provided. A rectangular window will be applied.Please "
            "provide the same window used by stft to make the inversion lossless."
            + _NO_WINDOW
        )

    def fail(what: str) -> RuntimeError:
        kind = scalar_type_name(self.dtype)
        called = _call(
            "istft",
            f"{self.device.type.upper()}{kind}Type{list(self._shape)}",
            n_fft=n_fft,
            hop_length=hop,
            win_length=win,
            window=window,
            center=center,
            normalized=normalized,
            onesided=onesided,
            length=length,
            return_complex=return_complex,
        )
        return RuntimeError(called + what)

    if not self.is_complex():
        raise RuntimeError(
            "istft requires a complex-valued input tensor matching the output from stft "
            "with return_complex=True."
        )
    if self.ndim < 2:
        raise IndexError(
            f"Dimension out of range (expected to be in range of [{-self.ndim - 1}, "
            f"{self.ndim}], but got -3)"
        )
    bins, frames = self._shape[-2:]
    expected = n_fft + hop * (frames - 1)
    if not self.numel():
        raise fail(" : input tensor cannot be empty.")
    if self.ndim > 3:
        raise fail(
            f" : expected a tensor with 3 or 4 dimensions, but got {self.ndim + 1}"
        )
    half = bins != n_fft if onesided is None else onesided
    wanted = n_fft // 2 + 1 if half else n_fft
    if bins != wanted:
        raise fail(
            " : expected the frequency dimension (3rd to the last) of the input tensor "
            f"to match n_fft{' / 2 + 1' if half else ''} when onesided={half}, but got "
            f"{bins}"
        )
    if not 0 < hop <= win:
        raise fail(" : expected 0 < hop_length <= win_length")
    if not 0 < win <= n_fft:
        raise fail(" : expected 0 < win_length <= n_fft")
    if window is not None and window._shape != (win,):
        raise fail(
            " : Invalid window shape. window has to be 1D and length of `win_length`"
        )
    if window is not None and window.is_complex() and not return_complex:
        raise RuntimeError("Complex windows are incompatible with return_complex=False")
    if return_complex and half:
        raise RuntimeError("Cannot have onesided output if window or input is complex")
    spectra = self if self.ndim == 3 else self.unsqueeze(0)
    spectra = spectra.transpose(1, 2)
    mode = 1 if normalized else 2
    if return_complex:
        parts = torch._fft_c2c(spectra, (2,), mode, forward=False)
    else:
        parts = torch._fft_c2r(spectra.narrow(2, 0, n_fft // 2 + 1), (2,), mode, n_fft)
    weights = _in_middle(window, n_fft, win, self)
    length_of = (spectra._shape[0], expected)
    summed = unfold_backward(parts * weights, length_of, 1, n_fft, hop)
    squares = weights.pow(2).expand(1, frames, n_fft)
    envelope = unfold_backward(squares, (1, expected), 1, n_fft, hop)
    start = n_fft // 2 if center else 0
    if length is not None:
        end = start + length
    else:
        end = expected - n_fft // 2 if center else expected
    summed, envelope = summed[:, start:end], envelope[:, start:end]
    if bool(envelope.abs().min() < 1e-11):
        raise fail(" window overlap add min: 1\n[ CPUBoolType{} ]")
    made = summed / envelope
    if self.ndim == 2:
        made = made.squeeze(0)
    if end > expected:
        warnings.warn(
            "The length of signal is shorter than the length parameter. Result is being "
            "padded with zeros in the tail. Please check your center and hop_length "
            "settings.",
            stacklevel=2,
        )
        made = torch.constant_pad_nd(made, (0, end - expected), 0)
    return made
