"""Each name of CuPy that the device uses is there, with the parameters that it is given."""

from __future__ import annotations

import importlib
import inspect
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.devices.cuda.names import calls, chains

API = json.loads(Path(__file__).with_name("cupy_api.json").read_text("utf-8"))
# Members of objects, which the record of modules doesn't have, and what is asked for by
# getattr or try: none of these is relied on.
MEMBERS = {"cupy.__version__", "cupy.cuda.nvtx"}


def _recorded(name: str) -> bool:
    """Whether the record has a name, or knows the class that the rest is a member of."""
    for module in sorted(API["modules"], key=len, reverse=True):
        if name == module:
            return True
        if name.startswith(module + "."):
            first, _, rest = name[len(module) + 1 :].partition(".")
            found = (
                first in API["modules"][module] or f"{module}.{first}" in API["modules"]
            )
            members = API["classes"].get(f"{module}.{first}")
            if found and rest and members is not None:
                return rest.partition(".")[0] in members or rest.startswith("__")
            return found
    return False


@pytest.mark.parametrize("name", sorted(chains()))
def test_names_are_in_the_record_of_cupy(name):
    assert name in MEMBERS or _recorded(name), f"{chains()[name]}: no {name} in CuPy"


@pytest.mark.parametrize(
    "call", sorted(set(map(str, [c for c in calls() if c[1] >= 0 or c[2]])))
)
def test_calls_fit_the_recorded_parameters(call):
    name, count, keywords, place = eval(call)
    module, _, function = name.rpartition(".")
    known = API["modules"].get(module, {}).get(function)
    if known is None or any(p.startswith("*") for p in known):
        pytest.skip("CuPy doesn't tell its parameters")
    assert count <= len(known), f"{place}: {name} takes {known}"
    assert not set(keywords) - set(known), f"{place}: {name} takes {known}"


def test_the_installed_cupy_has_the_names():
    """In a process of its own: the stand-in may be what this one knows as CuPy."""
    code = f"""
import importlib, sys
sys.path = {[p for p in sys.path if "standin" not in p]!r}
try:
    import cupy
except Exception:
    sys.exit(77)
missing = []
for name in {sorted(set(chains()) - MEMBERS)!r}:
    parts = name.split(".")
    found = None
    for cut in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:cut]))
        except ImportError:
            continue
        for part in parts[cut:]:
            found = getattr(found, part, None)
        break
    if found is None:
        missing.append(name)
print(missing)
sys.exit(bool(missing))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    if done.returncode == 77:
        pytest.skip("CuPy isn't installed")
    assert not done.returncode, done.stdout + done.stderr


def test_the_record_is_of_a_supported_cupy():
    assert int(API["version"].partition(".")[0]) >= 14


def test_the_stand_in_has_nothing_that_cupy_lacks():
    standin = Path(__file__).with_name("standin")
    sys.path.insert(0, str(standin))
    try:
        module: Any = importlib.import_module("cupy_standin")
    finally:
        sys.path.remove(str(standin))
    members = {
        n for n, v in vars(module.ndarray).items()
        if not n.startswith("__") and n not in ("_a", "_key", "_reduced", "_fill_in")
    }  # fmt: skip
    assert members <= set(API["classes"]["cupy.ndarray"])
    known = API["modules"]["cupy"]
    functions = {
        n for n, v in vars(module).items()
        if inspect.isfunction(v) and v.__module__ == "cupy_standin" and n[0] != "_"
    }  # fmt: skip
    cuda = API["modules"]["cupy.cuda"]
    assert functions - {"dtype_of"} <= set(known) | set(cuda)
