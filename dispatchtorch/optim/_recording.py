"""Update rules written down, to be run as one formula.

A rule that is run on :class:`Recorded` tensors computes nothing: what it does becomes
the lines of a formula, which a device may run at once on many parameters.
"""

from __future__ import annotations

from typing import Any

__all__ = ["Recorded", "Recording"]


class Recording:
    """The lines and the numbers of a formula while it is written."""

    __slots__ = ("lines", "made", "numbers")

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.numbers: list[Any] = []
        self.made = 0

    def tensors(self, count: int) -> list[Recorded]:
        """The tensors of a row."""
        return [Recorded(self, f"x{i}") for i in range(count)]


class Recorded:
    """A tensor of which only a name is known, with the methods that rules use.

    The methods are those of tensors. All tensors of a formula have one shape and dtype.
    """

    __slots__ = ("name", "recording")

    dtype = None
    is_sparse = False
    # Added below: these and more, each also in place.
    add: Any
    add_: Any
    fill: Any
    maximum_: Any
    minimum_: Any
    mul_: Any
    reciprocal: Any
    __neg__: Any
    __sub__: Any

    def __init__(self, recording: Recording, name: str) -> None:
        self.recording = recording
        self.name = name

    def _line(self, target: Any, name: str, others: tuple[Any, ...]) -> Any:
        """Adds a line whose target is a tensor, or the letter of a new one."""
        recording = self.recording
        if type(target) is str:
            recording.made += 1
            target = Recorded(recording, f"{target}{recording.made}")
        line = f"{target.name} = {name}({self.name}"
        for other in others:
            if type(other) is Recorded:
                line += f", {other.name}"
            elif isinstance(other, (float, int)):
                line += f", n{len(recording.numbers)}"
                recording.numbers.append(other)
            else:
                kind = type(other).__name__
                raise TypeError(f"a formula has no operands of type {kind}")
        recording.lines.append(line + ")")
        return target

    def detach(self) -> Any:
        return self

    def clone(self) -> Any:
        return self._line("t", "copy", ())

    def copy_(self, other: Any) -> Any:
        return other._line(self, "copy", ())

    def clamp_(self, least: float, most: float) -> Any:
        return self.maximum_(least).minimum_(most)

    def lerp_(self, end: Any, weight: float) -> Any:
        if weight < 0.5:
            self.add_((end - self).mul_(weight))
        else:
            end._line(self, "sub", ((end - self).mul_(1 - weight),))
        return self

    def __gt__(self, other: Any) -> Any:
        return self._line("m", "gt", (other,))

    def __lt__(self, other: Any) -> Any:
        return self._line("m", "lt", (other,))

    def __rsub__(self, other: Any) -> Any:
        return (-self).add_(other)

    def __rtruediv__(self, other: Any) -> Any:
        return self.reciprocal().mul_(other)


def _add_method(name: str) -> None:
    def fresh(self: Recorded, *others: Any) -> Any:
        return self._line("t", name, others)

    def in_place(self: Recorded, *others: Any) -> Any:
        return self._line(self, name, others)

    setattr(Recorded, name, fresh)
    setattr(Recorded, name + "_", in_place)


for _name in (
    "abs", "add", "div", "fill", "masked_fill", "maximum", "minimum", "mul", "neg", "reciprocal",
    "sign", "sqrt", "sub",
):  # fmt: skip
    _add_method(_name)
for _operator, _name in (
    ("add", "add"), ("radd", "add"), ("sub", "sub"), ("mul", "mul"), ("rmul", "mul"),
    ("truediv", "div"), ("neg", "neg"),
):  # fmt: skip
    setattr(Recorded, f"__{_operator}__", getattr(Recorded, _name))
