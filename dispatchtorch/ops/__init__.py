"""Operators by family: schema, decomposition and derivative side by side.

A family is imported when one of its operators is first named (``_index.py`` says which
declares what, ``all.py`` imports them all); nothing is generated before its first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dispatchtorch.dispatch.operator import families
from dispatchtorch.ops._index import FAMILIES

families.set_index(__name__, f"{__name__}.all", FAMILIES)

if TYPE_CHECKING:  # users' `torch.ops` is dispatchtorch._ops.ops

    def __getattr__(name: str) -> Any: ...
