"""``dispatchtorch doctor``: what is installed, what works, and how to get the rest."""

from __future__ import annotations

import platform
import warnings
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

__all__ = ["doctor", "self_test"]


def doctor() -> int:
    """Prints the report; returns 1 if an available device fails its self-test."""
    import dispatchtorch as torch
    from dispatchtorch.plugins import manager

    print(
        f"dispatchtorch {torch.__version__} (PyTorch {torch.version.pytorch} semantics)"
    )
    print(f"Python {platform.python_version()} on {platform.platform()}")
    for name in ("numpy", "pluggy", "ml_dtypes", "scipy", "matplotlib", "torch"):
        print(f"  {name:<12} {_version(name)}")
    print("\nPlugins")
    for status in manager.report(load=True):
        line = f"  {status.name:<14} {status.kind:<10} {status.state:<13}"
        print(f"{line} {status.distribution or ''} {status.version or ''}".rstrip())
        if status.error:
            print(f"    {status.error}")
        if status.hint:
            print(f"    {status.hint}")
    print("\nDevices")
    failed = False
    for name in sorted(manager.known_devices()):
        failed |= not _device(name)
    return int(failed)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _device(name: str) -> bool:
    """Prints what is known of a device; False if it is available and fails."""
    from dispatchtorch.backend import get_backend
    from dispatchtorch.plugins import manager

    try:
        backend = get_backend(name)
    except RuntimeError as error:
        print(f"  {name}: not installed")
        hint = _pip_line(str(error), name)
        if hint:
            print(f"    {hint}")
        return True
    if not backend.is_available():
        print(f"  {name}: unavailable: {backend.unavailable_reason()}")
        return True
    words = (backend.version, f"{backend.device_count()} device(s)")
    print(f"  {name}: {' '.join(word for word in words if word)}")
    for index in range(backend.device_count()):
        print(f"    {index}: {backend.device_name(index)}")
    for plugin, report in manager.device_report(name).items():
        for key, value in report.items():
            print(f"    {plugin}: {key} = {value}")
    passed = True
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of crossings to the host, which are no fault
        checks = self_test(name)
    for label, reason in checks:
        print(
            f"    {'PASS' if reason is None else 'FAIL'} {label}"
            + (f": {reason}" if reason else "")
        )
        passed &= reason is None
    return passed


def _pip_line(message: str, device: str) -> str:
    from dispatchtorch.plugins import KNOWN

    hint: Any = KNOWN.get(device, "")
    return str(hint) if hint else ""


def self_test(device: str) -> list[tuple[str, str | None]]:
    """Small computations with known answers: (what, None or why it failed)."""
    import dispatchtorch as torch

    def arithmetic() -> None:
        x = torch.arange(6.0, device=device).reshape(2, 3)
        _expect((x * 2 + 1).sum().item(), 36.0)

    def product() -> None:
        x = torch.ones(4, 5, device=device)
        _expect((x @ x.t()).sum().item(), 80.0)

    def gradient() -> None:
        x = torch.full((3,), 3.0, device=device, requires_grad=True)
        (x * x).sum().backward()
        _expect(x.grad.sum().item(), 18.0)

    def views() -> None:
        x = torch.zeros(4, device=device)
        x[1:3].add_(1)
        _expect(x.tolist(), [0.0, 1.0, 1.0, 0.0])

    def layers() -> None:
        x = torch.ones(1, 1, 4, 4, device=device)
        w = torch.ones(1, 1, 3, 3, device=device)
        _expect(torch.conv2d(x, w).sum().item(), 36.0)

    if device == "meta":

        def shapes() -> None:
            x = torch.empty(2, 3, device="meta")
            _expect(tuple((x @ x.t()).shape), (2, 2))

        return [_attempt("shapes", shapes)]
    checks: list[tuple[str, Callable[[], None]]] = [
        ("arithmetic", arithmetic),
        ("matrix product", product),
        ("gradient", gradient),
        ("views and in-place writes", views),
        ("convolution", layers),
    ]
    return [_attempt(label, check) for label, check in checks]


def _attempt(label: str, check: Callable[[], None]) -> tuple[str, str | None]:
    try:
        check()
    except Exception as error:
        return label, f"{type(error).__name__}: {error}"
    return label, None


def _expect(found: Any, wanted: Any) -> None:
    if found != wanted:
        raise AssertionError(f"got {found}, expected {wanted}")
