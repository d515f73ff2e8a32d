"""Where the storage classes live; ``dispatchtorch.storage`` is the face."""

from __future__ import annotations
