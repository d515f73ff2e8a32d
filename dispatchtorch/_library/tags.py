"""``torch.Tag``: marks of operators that tools ask for."""

from __future__ import annotations

from typing import Any

from dispatchtorch.dispatch.operator import Operator

__all__ = ["Tag", "tags_of"]

_NAMES = (
    "core cudagraph_unsafe data_dependent_output dynamic_output_shape "
    "flexible_layout generated inplace inplace_view maybe_aliasing_or_mutating "
    "needs_contiguous_strides needs_exact_strides needs_fixed_stride_order "
    "nondeterministic_bitwise nondeterministic_seeded out out_variant pointwise "
    "pt2_compliant_tag reduction view_copy"
)


class Tag:
    """One tag: ``torch.Tag.pointwise`` and its kind."""

    __members__: dict[str, Tag] = {}

    def __init__(self, name: str, value: int) -> None:
        self.name = name
        self.value = value

    def __repr__(self) -> str:
        return f"<Tag.{self.name}: {self.value}>"

    def __str__(self) -> str:
        return f"Tag.{self.name}"

    def __int__(self) -> int:
        return self.value

    def __reduce__(self) -> tuple[Any, ...]:
        return getattr, (Tag, self.name)


for _i, _name in enumerate(_NAMES.split()):
    Tag.__members__[_name] = Tag(_name, _i)
    setattr(Tag, _name, Tag.__members__[_name])

_OF = {
    "random": "nondeterministic_seeded",
    "pointwise": "pointwise",
    "data_dependent": "dynamic_output_shape",
}


def tags_of(op: Operator) -> list[Tag]:
    """The tags of an operator: those it was declared with, and what is known of it."""
    from dispatchtorch.lift import Pointwise

    names = [_OF[tag] for tag in sorted(op.tags) if tag in _OF]
    if isinstance(op.lift, Pointwise) and "pointwise" not in names:
        names.append("pointwise")
    given = list(op.rules.get("tags", ()))
    return given + [t for n in names if (t := Tag.__members__[n]) not in given]
