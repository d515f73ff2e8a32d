"""Operators by family: schema, decomposition and derivative side by side.

Importing this package declares them all; nothing is generated before its first use.
"""

from __future__ import annotations
