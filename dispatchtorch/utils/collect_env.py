"""``python -m dispatchtorch.utils.collect_env``: what a report of a problem should say."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

__all__ = [
    "SystemEnv",
    "get_env_info",
    "get_os",
    "get_pip_packages",
    "get_platform",
    "get_pretty_env_info",
    "get_python_platform",
    "main",
    "run",
]

_PACKAGES = (
    "dispatchtorch",
    "numpy",
    "ml_dtypes",
    "torch",
    "scipy",
    "cupy",
    "pyopencl",
)


class SystemEnv(NamedTuple):
    """What ``get_env_info`` found."""

    torch_version: str
    python_version: str
    python_platform: str
    os: str
    cpu_info: str
    devices: str
    pip_packages: str


def run(command: str | list[str]) -> tuple[int, str, str]:
    """(exit status, output, errors) of a command."""
    shell = isinstance(command, str)
    done = subprocess.run(command, capture_output=True, text=True, shell=shell)
    return done.returncode, done.stdout.strip(), done.stderr.strip()


def get_platform() -> str:
    """``"linux"``, ``"darwin"``, ``"win32"``, …"""
    return sys.platform


def get_python_platform() -> str:
    """Python's description of the platform."""
    return platform.platform()


def get_os(run_lambda: Callable[..., Any] = run) -> str:
    """The name and version of the operating system."""
    try:
        with open("/etc/os-release") as file:
            lines = dict(line.rstrip().split("=", 1) for line in file if "=" in line)
        return f"{lines['PRETTY_NAME'].strip(chr(34))} ({platform.machine()})"
    except (OSError, KeyError):
        return f"{platform.system()} {platform.release()} ({platform.machine()})"


def get_pip_packages(run_lambda: Callable[..., Any] = run, patterns: Any = None) -> str:
    """The versions of installed packages whose names hold one of the patterns."""
    from importlib.metadata import distributions

    wanted = tuple(patterns or _PACKAGES)
    found = {
        f"{each.metadata['Name']}=={each.version}"
        for each in distributions()
        if any(name in (each.metadata["Name"] or "").lower() for name in wanted)
    }
    return "\n".join(sorted(found))


def _devices() -> str:
    from dispatchtorch.backend import get_backend
    from dispatchtorch.plugins import manager

    lines = []
    for name in manager.known_devices():
        try:
            backend = get_backend(name)
            usable = backend.is_available()
        except RuntimeError:
            continue
        count = backend.device_count() if usable else 0
        why = "" if usable else f" ({backend.unavailable_reason()})"
        names = ", ".join(backend.device_name(index) for index in range(count))
        lines.append(f"{name}: {names or 'not available'}{why}")
    return "\n".join(lines)


def get_env_info() -> SystemEnv:
    """Versions, platform, processor, devices and packages."""
    import dispatchtorch as torch

    capabilities = torch.cpu.get_capabilities()
    return SystemEnv(
        torch_version=f"{torch.__version__} (PyTorch {torch.version.pytorch} semantics)",
        python_version=f"{sys.version.split()[0]} ({platform.architecture()[0]})",
        python_platform=get_python_platform(),
        os=get_os(),
        cpu_info=f"{capabilities['cpu_name']}, {os.cpu_count()} processors",
        devices=_devices(),
        pip_packages=get_pip_packages(),
    )


def get_pretty_env_info() -> str:
    """The same as text."""
    parts = []
    for name, value in get_env_info()._asdict().items():
        title = name.replace("_", " ").capitalize()
        gap = "\n  " if "\n" in value else " "
        parts.append(f"{title}:{gap}{value.replace(chr(10), chr(10) + '  ')}")
    return "\n".join(parts)


def main() -> None:
    """Prints the report."""
    print("Collecting environment information...")
    print(get_pretty_env_info())


if __name__ == "__main__":
    main()
