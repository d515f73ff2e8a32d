"""A Python environment of its own for packages that tests install for real.

It sees the packages of the environment that runs the tests, and has the commands of the
console that documentation shows: ``pip``, ``pytest``, ``dispatchtorch``, ``python``.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tomllib
import venv
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
PLUGINS = REPOSITORY / "plugins"
COMMANDS = {
    "pip": "-m pip --disable-pip-version-check",
    "pytest": "-m pytest -p no:cacheprovider",
    "dispatchtorch": "-m dispatchtorch",
}
# Packages are built with what is there, so that tests need no network.
BEFORE = {
    "pip": 'if [ "$1" = install ]; then shift\n'
    'set -- install --no-build-isolation --no-deps "$@"; fi\n'
}
# Plugins of the parent environment, which aren't what is tested.
FOREIGN = ("cuda", "loopback", "opencl", "onednn")


class Environment:
    """A virtual environment in ``folder``, which must not exist."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        venv.EnvBuilder(with_pip=False, symlinks=True).create(folder)
        self.bin = folder / "bin"
        for name, what in COMMANDS.items():
            script = self.bin / name
            script.write_text(
                f'#!/bin/sh\n{BEFORE.get(name, "")}exec "{self.bin}/python" {what} "$@"\n'
            )
            script.chmod(0o755)
        self.packages = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
        parent = sysconfig.get_path("purelib")
        (self.packages / "parent.pth").write_text(
            f"import site; site.addsitedir({parent!r})\n"
        )

    def develop(self, *projects: Path) -> None:
        """What ``pip install -e`` leaves behind, without the seconds that it takes."""
        for project in projects:
            told = tomllib.loads((project / "pyproject.toml").read_text())["project"]
            name, version = told["name"], told["version"]
            info = self.packages / f"{name.replace('-', '_')}-{version}.dist-info"
            info.mkdir()
            (info / "METADATA").write_text(
                f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
            )
            entries = told["entry-points"]["dispatchtorch"].items()
            lines = ["[dispatchtorch]", *(f"{key} = {value}" for key, value in entries)]
            (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
            (self.packages / f"{name}.pth").write_text(f"{project / 'src'}\n")

    def run(self, command: str, cwd: Path, *, fails: bool = False) -> str:
        """What a shell command prints; its status is checked."""
        env = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
        env["PATH"] = f"{self.bin}{os.pathsep}{env['PATH']}"
        env["PYTHONPATH"] = str(REPOSITORY)
        env["VIRTUAL_ENV"] = str(self.folder)
        env["PYTHONDONTWRITEBYTECODE"] = "1"
        env["OMP_NUM_THREADS"] = "1"
        env["DISPATCHTORCH_PLUGINS_DENY"] = ",".join(FOREIGN)
        env["DISPATCHTORCH_FALLBACK"] = "silent"
        done = subprocess.run(
            ["/bin/sh", "-c", command],
            cwd=cwd,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
            check=False,
        )
        assert (done.returncode != 0) is fails, f"$ {command}\n{done.stdout}"
        return done.stdout


def needs_compiler() -> str:
    """Why plugins in C can't be tested here; empty where they can."""
    import importlib.util
    import shutil

    if importlib.util.find_spec("cffi") is None:
        return "cffi isn't installed"
    if shutil.which(os.environ.get("CC", "cc")) is None:
        return "there is no C compiler"
    return "" if sys.platform != "win32" else "the plugins in C are for POSIX"
