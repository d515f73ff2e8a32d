"""``python -m dispatchtorch``: the same as the ``dispatchtorch`` command."""

from __future__ import annotations

import sys

from dispatchtorch.cli import main

if __name__ == "__main__":
    sys.exit(main())
