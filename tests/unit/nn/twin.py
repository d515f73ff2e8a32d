"""Runs a script under this framework and under PyTorch, and compares what comes out.

A script sees `torch` and `nn` and leaves its result in `out`; one expression is its own
result. Compared are the result (tensors by value, dtype and shape, all else by `repr`),
the exception's class and words, the warnings, and where the random numbers then stand.
"""

from __future__ import annotations

import re
import warnings
from typing import Any

import numpy as np


def _words(text: str) -> str:
    return re.sub(r"0x[0-9a-f]+", "0x", text.replace("dispatchtorch", "torch"))


def _described(value: Any, tensor: type) -> Any:
    """`value` in builtin types and arrays, the same for both frameworks."""
    if isinstance(value, tensor):
        kind = _words(str(value.dtype)), tuple(value.shape), value.requires_grad
        if value.device.type == "meta":
            return "tensor", kind, None
        plain = value.detach()
        if not plain.is_complex():
            plain = plain.double()
        return "tensor", kind, plain.cpu().numpy()
    if isinstance(value, (list, tuple)):
        return type(value).__name__, [_described(v, tensor) for v in value]
    if isinstance(value, dict):
        return "dict", [(k, _described(v, tensor)) for k, v in value.items()]
    return _words(repr(value))


def outcome(script: str, framework: Any) -> tuple[Any, list[str], Any]:
    """(result or exception, warnings, next random numbers)."""
    name = framework.__name__
    script = re.sub(r"\b(from|import) torch\b", rf"\1 {name}", script)
    scope: dict[str, Any] = {"torch": framework, "nn": framework.nn, "np": np}
    scope["__name__"] = "script"
    framework.manual_seed(0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            if "out = " in script:
                exec(script, scope)
                value = scope["out"]
            else:
                *lines, last = script.rsplit(";", 1)
                exec(";".join(lines), scope)
                value = eval(last.strip(), scope)
            result = _described(value, framework.Tensor)
        except Exception as error:
            result = "raised", type(error).__name__, _words(str(error))
    said = [f"{w.category.__name__}: {_words(str(w.message))}" for w in caught]
    return result, said, framework.rand(3).cpu().numpy()


def _compare(ours: Any, theirs: Any, rtol: float, atol: float) -> None:
    if isinstance(theirs, np.ndarray):
        scale = max(1.0, float(np.abs(theirs[np.isfinite(theirs)]).max(initial=0)))
        np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=atol * scale)
    elif isinstance(theirs, (list, tuple)):
        assert len(ours) == len(theirs), (ours, theirs)
        for a, b in zip(ours, theirs, strict=True):
            _compare(a, b, rtol, atol)
    else:
        assert ours == theirs


def _brief(result: Any) -> str:
    return ": ".join(result[1:]) if result[0] == "raised" else "a result"


def assert_same(
    script: str, rtol: float = 1e-4, atol: float = 2e-6, ignore: str = ""
) -> None:
    """The script does here what it does under PyTorch.

    `ignore` is a pattern of warnings that only PyTorch's kernels give.
    """
    import torch as oracle

    import dispatchtorch

    theirs, their_words, their_randoms = outcome(script, oracle)
    ours, our_words, our_randoms = outcome(script, dispatchtorch)
    if "raised" in (ours[0], theirs[0]):
        assert _brief(ours) == _brief(theirs)
    _compare(ours, theirs, rtol, atol)
    if ignore:
        their_words = [w for w in their_words if not re.search(ignore, w)]
    assert our_words == their_words
    np.testing.assert_array_equal(our_randoms, their_randoms)
