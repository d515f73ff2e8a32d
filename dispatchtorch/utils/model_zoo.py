"""The former home of ``hub.load_state_dict_from_url``."""

from __future__ import annotations

import dispatchtorch as torch

__all__ = ["load_url"]

load_url = torch.hub.load_state_dict_from_url
