"""The conformance kit: what works on a device, measured against ``cpu``.

    report = run("npu")
    print(render(report, "md"))

``dispatchtorch conformance --device npu`` does the same on the command line, and
``pytest --pyargs dispatchtorch.testing --device npu`` runs each check as a test.
A plugin says in ``dispatchtorch_conformance_expectations`` what is known to fail and how
exact its device is.
"""

from __future__ import annotations

from . import _streams as _streams  # its checks join those of _device
from ._report import render
from ._result import FAILURES, OUTCOMES, Report, Result
from ._run import Kit, run

__all__ = ["FAILURES", "OUTCOMES", "Kit", "Report", "Result", "render", "run"]
