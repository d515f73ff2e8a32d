"""Which transform leads from unconstrained numbers into a constraint.

``biject_to(constraint)`` is a bijection, for Hamiltonian Monte Carlo and the like;
``transform_to(constraint)`` any map with room for optimisation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dispatchtorch.distributions import constraints, transforms

__all__ = ["ConstraintRegistry", "biject_to", "transform_to"]


class ConstraintRegistry:
    """Factories of transforms by class of constraint."""

    def __init__(self) -> None:
        self._registry: dict[type, Callable[[Any], Any]] = {}
        super().__init__()

    def register(
        self, constraint: Any, factory: Callable[[Any], Any] | None = None
    ) -> Any:
        """Registers a factory for a class of constraints; a decorator without one."""
        if factory is None:
            return lambda factory: self.register(constraint, factory)
        if isinstance(constraint, constraints.Constraint):
            constraint = type(constraint)
        if not isinstance(constraint, type) or not issubclass(
            constraint, constraints.Constraint
        ):
            raise TypeError(
                "Expected constraint to be either a Constraint subclass or instance, "
                f"but got {constraint}"
            )
        self._registry[constraint] = factory
        return factory

    def __call__(self, constraint: Any) -> Any:
        """The transform whose codomain is `constraint`; NotImplementedError if none."""
        factory = self._registry.get(type(constraint))
        if factory is None:
            raise NotImplementedError(
                f"Cannot transform {type(constraint).__name__} constraints"
            )
        return factory(constraint)


biject_to = ConstraintRegistry()
transform_to = ConstraintRegistry()


def _half_line(constraint: Any) -> Any:
    if isinstance(constraint, constraints.less_than):
        bound, scale = constraint.upper_bound, -1
    else:
        bound, scale = constraint.lower_bound, 1
    return transforms.ComposeTransform(
        [transforms.ExpTransform(), transforms.AffineTransform(bound, scale)]
    )


def _interval(constraint: Any) -> Any:
    low, high = constraint.lower_bound, constraint.upper_bound
    sigmoid = transforms.SigmoidTransform()
    if isinstance(low, int | float) and isinstance(high, int | float):
        if low == 0 and high == 1:
            return sigmoid
    return transforms.ComposeTransform(
        [sigmoid, transforms.AffineTransform(low, high - low)]
    )


_BOTH: dict[Any, Callable[[Any], Any]] = {
    constraints.real: lambda c: transforms.identity_transform,
    constraints.greater_than: _half_line,
    constraints.greater_than_eq: _half_line,
    constraints.less_than: _half_line,
    constraints.interval: _interval,
    constraints.half_open_interval: _interval,
    constraints.corr_cholesky: lambda c: transforms.CorrCholeskyTransform(),
}
for _constraint, _factory in _BOTH.items():
    biject_to.register(_constraint, _factory)
    transform_to.register(_constraint, _factory)
biject_to.register(constraints.simplex, lambda c: transforms.StickBreakingTransform())
transform_to.register(constraints.simplex, lambda c: transforms.SoftmaxTransform())
transform_to.register(
    constraints.lower_cholesky, lambda c: transforms.LowerCholeskyTransform()
)
for _constraint in (constraints.positive_semidefinite, constraints.positive_definite):
    transform_to.register(_constraint, lambda c: transforms.PositiveDefiniteTransform())


def _register_compound(registry: ConstraintRegistry) -> None:
    """Constraints made of others, by what the registry has for those."""
    registry.register(
        constraints.independent,
        lambda c: transforms.IndependentTransform(
            registry(c.base_constraint), c.reinterpreted_batch_ndims
        ),
    )
    registry.register(
        constraints.cat,
        lambda c: transforms.CatTransform(
            [registry(each) for each in c.cseq], c.dim, c.lengths
        ),
    )
    registry.register(
        constraints.stack,
        lambda c: transforms.StackTransform([registry(each) for each in c.cseq], c.dim),
    )


_register_compound(biject_to)
_register_compound(transform_to)
