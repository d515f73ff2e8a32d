"""Sparse layouts: what a sparse tensor holds, the layer that runs it, and its rules.

Imported when the first sparse tensor is made. Everything here is written in operators on
dense indices and values, so that every device has sparse tensors.
"""

from __future__ import annotations
