"""What the commands do; ``dispatchtorch.cli`` parses their arguments."""

from __future__ import annotations
