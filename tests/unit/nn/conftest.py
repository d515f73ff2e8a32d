"""Fixtures of the tests of ``torch.nn``."""

from __future__ import annotations

from pathlib import Path

import pytest

if not (Path(__file__).parents[2] / "conftest.py").exists():
    # The devices to test on are listed at the top of the tests; alone, there is one.

    @pytest.fixture
    def device() -> str:
        return "cpu"
