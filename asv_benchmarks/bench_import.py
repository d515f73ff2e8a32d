"""Import time, in a fresh interpreter."""

from __future__ import annotations

import subprocess
import sys


class Import:
    """``import dispatchtorch`` and, for the difference, ``import numpy``."""

    params = ["dispatchtorch", "numpy"]
    param_names = ["module"]

    def time_import(self, module: str) -> None:
        subprocess.run([sys.executable, "-c", f"import {module}"], check=True)
