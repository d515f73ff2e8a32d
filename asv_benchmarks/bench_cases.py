"""The suites over the shared cases."""

from __future__ import annotations

from .common import CaseSuite


class Tiny(CaseSuite):
    """The cost of a call on four elements."""

    group = "tiny"


class Training(CaseSuite):
    """Whole training steps."""

    group = "training"


class Large(CaseSuite):
    """Work that the array library does."""

    group = "large"


class Optimizer(CaseSuite):
    """Steps of optimizers on the parameters of a ResNet-18."""

    group = "optimizer"
