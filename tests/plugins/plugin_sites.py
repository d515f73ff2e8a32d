"""Installed plugins for tests: distributions written to a folder, used in a subprocess.

A folder on the path with a package and its ``*.dist-info`` is what pip leaves behind,
and all that ``importlib.metadata`` looks at.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

HEAD = """\
from dispatchtorch.backend import Backend, Overlay
from dispatchtorch.dispatch.layer import Layer

class Device(Backend):
    def __init__(self, name):
        self.device_type = name
        super().__init__()

class Plugin:
"""


def device_plugin(name: str) -> str:
    """A module with a Plugin that registers a device of that name and no kernels."""
    return HEAD + (
        "    def dispatchtorch_register_device(self, register):\n"
        f"        register(Device({name!r}))\n"
    )


def overlay_plugin(name: str) -> str:
    """A module with a Plugin that registers an empty overlay on cpu."""
    return HEAD + (
        "    def dispatchtorch_register_kernels(self, register):\n"
        f"        register(Overlay({name!r}, 'cpu'))\n"
    )


def plugin(body: str) -> str:
    """A module with a Plugin of the given methods."""
    return HEAD + "".join(f"    {line}\n" for line in dedent(body).splitlines())


class Site:
    """A folder of installed distributions, and Python processes that see it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def install(
        self,
        distribution: str,
        entries: str | dict[str, str],
        modules: dict[str, str],
        version: str = "1.0",
        metadata: str | None = None,
    ) -> Path:
        """Writes a distribution and returns its dist-info folder.

        ``entries`` are those of our group by name, or a whole entry_points.txt.
        """
        for name, source in modules.items():
            (self.folder / f"{name}.py").write_text(source)
        folder = f"{distribution.replace('-', '_')}-{version}.dist-info"
        info = self.folder / folder
        info.mkdir()
        if metadata is None:
            metadata = (
                f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n"
            )
        if metadata:
            (info / "METADATA").write_text(metadata)
        if not isinstance(entries, str):
            lines = [f"{name} = {value}" for name, value in entries.items()]
            entries = "\n".join(["[dispatchtorch]", *lines])
        (info / "entry_points.txt").write_text(entries + "\n")
        return info

    def device(self, name: str, distribution: str = "", source: str = "") -> None:
        """Installs a device plugin in the module ``<name>_plugin``."""
        self.install(
            distribution or f"dispatchtorch-{name}",
            {name: f"{name}_plugin:Plugin [api-1]"},
            {f"{name}_plugin": source or device_plugin(name)},
        )

    def extension(self, name: str, source: str = "") -> None:
        """Installs an extension in the module ``<name>_plugin``."""
        self.install(
            f"dispatchtorch-{name}",
            {name: f"{name}_plugin:Plugin [api-1, extension]"},
            {f"{name}_plugin": source or overlay_plugin(name)},
        )

    def run(self, code: str, *before: Path, **settings: str) -> str:
        """What a process prints that runs ``code``; settings without the prefix."""
        roots = [self.folder, *before][::-1]
        for package in ("dispatchtorch", "dispatchtorch_numpy"):
            spec = importlib.util.find_spec(package)
            assert spec is not None and spec.submodule_search_locations
            roots.append(Path(next(iter(spec.submodule_search_locations))).parent)
        env = {
            k: v for k, v in os.environ.items() if not k.startswith("DISPATCHTORCH_")
        }
        env["PYTHONPATH"] = os.pathsep.join(map(str, roots))
        env.update({f"DISPATCHTORCH_{k}": v for k, v in settings.items()})
        done = subprocess.run(
            [sys.executable, "-c", PRELUDE + dedent(code)],
            env=env,
            cwd=self.folder.parent,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


# What the processes' code may use.
PRELUDE = """\
import sys
from dispatchtorch import backend, plugins
from dispatchtorch.backend import get_backend, registered_backends
from dispatchtorch.plugins import manager

def imported(name):
    return f"{name}_plugin" in sys.modules

def status(name, distribution=None):
    return next(
        s for s in manager.report()
        if s.name == name and distribution in (None, s.distribution)
    )

def error_of(call, *args, kind=Exception):
    try:
        call(*args)
    except kind as error:
        return error
    raise AssertionError("it raised nothing")
"""
