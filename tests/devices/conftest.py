"""Devices' packages that aren't installed are taken from the repository."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

_BACKENDS = Path(__file__).parents[2] / "backends"

# Their kernels have tests that need neither the device nor its array library.
for _folder, _package in (("cupy", "dispatchtorch_cupy"),):
    if importlib.util.find_spec(_package) is None:
        sys.path.append(str(_BACKENDS / _folder))
