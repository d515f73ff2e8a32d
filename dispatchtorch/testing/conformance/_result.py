"""What the kit finds out: results, and the report that they make."""

from __future__ import annotations

from collections import Counter
from typing import Any

__all__ = ["FAILURES", "OUTCOMES", "Report", "Result"]

#: All outcomes, and what each one means.
OUTCOMES = {
    "pass": "as on cpu",
    "fallback": "as on cpu, and computed there: the device has no kernel",
    "fail": "not as on cpu",
    "unsupported": "the device says that it can't",
    "known failure": "fails, as the device's plugin says",
    "unexpected pass": "passes, and the plugin says that it fails",
    "not applicable": "the device hasn't what the check is about",
}
#: The outcomes that make the run a failure.
FAILURES = ("fail", "unexpected pass")


class Result:
    """One row of the report.

    ``subject`` is an operator or "device"; ``check`` a dtype or what was looked at;
    ``detail`` says what differs, ``sample`` the smallest call that shows it;
    ``fallbacks`` counts the calls that ran on the host.
    """

    __slots__ = ("check", "detail", "fallbacks", "outcome", "sample", "subject")

    def __init__(
        self,
        subject: str,
        check: str,
        outcome: str,
        detail: str = "",
        sample: str = "",
        fallbacks: int = 0,
    ) -> None:
        self.subject = subject
        self.check = check
        self.outcome = outcome
        self.detail = detail
        self.sample = sample
        self.fallbacks = fallbacks

    @property
    def failed(self) -> bool:
        return self.outcome in FAILURES

    def as_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in sorted(self.__slots__)}

    def __str__(self) -> str:
        line = f"{self.outcome:<15} {self.subject} [{self.check}]"
        if self.sample:
            line += f" {self.sample}"
        return f"{line}: {self.detail}" if self.detail else line


class Report:
    """All results of a run on one device."""

    def __init__(self, device: str, description: dict[str, str]) -> None:
        self.device = device
        self.description = description
        self.results: list[Result] = []
        self.fallbacks: dict[str, tuple[int, int]] = {}
        self.seconds = 0.0

    @property
    def failed(self) -> bool:
        return any(result.failed for result in self.results)

    def counts(self) -> Counter[str]:
        """How many results have each outcome."""
        return Counter(result.outcome for result in self.results)

    def of(self, outcome: str) -> list[Result]:
        return [result for result in self.results if result.outcome == outcome]

    def by_subject(self) -> dict[str, list[Result]]:
        """The results of each operator (or of the device), in order."""
        found: dict[str, list[Result]] = {}
        for result in self.results:
            found.setdefault(result.subject, []).append(result)
        return found
