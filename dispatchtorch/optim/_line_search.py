"""A line search for the strong Wolfe conditions, with cubic interpolation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["strong_wolfe"]

Point = tuple[Any, float, Any, Any]  # step length, loss, gradient, slope


def _cubic_minimum(
    one: Point, other: Point, bounds: tuple[Any, Any] | None = None
) -> Any:
    """Where the cubic through two losses and their slopes is least, within bounds."""
    left, right = (one, other) if one[0] <= other[0] else (other, one)
    x1, f1, _, g1 = left
    x2, f2, _, g2 = right
    low, high = bounds or (x1, x2)
    d1 = g1 + g2 - 3 * (f1 - f2) / (x1 - x2)
    square = d1**2 - g1 * g2
    if square < 0:
        return (low + high) / 2.0
    d2 = square**0.5
    least = x2 - (x2 - x1) * ((g2 + d2 - d1) / (g2 - g1 + 2 * d2))
    return min(max(least, low), high)


def strong_wolfe(
    evaluate: Callable[[Any], tuple[float, Any]],
    length: Any,
    direction: Any,
    loss: float,
    grad: Any,
    slope: Any,
    tolerance_change: float,
    *,
    decrease: float = 1e-4,
    curvature: float = 0.9,
    max_evaluations: int = 25,
) -> tuple[float, Any, Any, int]:
    """Finds a step length that lowers the loss and flattens the slope enough.

    Follows Nocedal and Wright, `Numerical Optimization`, algorithms 3.5 and 3.6, with
    the safeguards of M. Schmidt's ``minFunc``.

    Args:
        evaluate: gives the loss and the gradient after a step of some length.
        length: the first step length to try.
        direction: the direction of the step.
        loss, grad, slope: at the start; the slope is that along the direction.
        tolerance_change: stops when the bracket is narrower.
        decrease, curvature: the factors of the two conditions.
        max_evaluations: when to stop widening and narrowing the bracket.

    Returns:
        Loss and gradient at the length found, the length, and how often the loss was
        evaluated.
    """
    size = direction.abs().max()

    def at(length: Any) -> Point:
        new_loss, new_grad = evaluate(length)
        return length, new_loss, new_grad, new_grad.dot(direction)

    def falls_short(point: Point) -> bool:
        return bool(point[1] > loss + decrease * point[0] * slope)

    def is_flat(point: Point) -> bool:
        return bool(abs(point[3]) <= -curvature * slope)

    # Widen until two points have a good length between them.
    before: Point = (0, loss, grad, slope)
    point = at(length)
    evaluations = 1
    done = False
    for iteration in range(max_evaluations):
        if falls_short(point) or (iteration > 1 and point[1] >= before[1]):
            bracket = [before, point]
            break
        if is_flat(point):
            bracket, done = [point], True
            break
        if point[3] >= 0:
            bracket = [before, point]
            break
        least = point[0] + 0.01 * (point[0] - before[0])
        length = _cubic_minimum(before, point, (least, point[0] * 10))
        before, point = point, at(length)
        evaluations += 1
    else:
        iteration = max_evaluations
        bracket = [(0, loss, grad, slope), point]

    # Narrow it, always between the best point so far and another.
    low, high = (0, 1) if bracket[0][1] <= bracket[-1][1] else (1, 0)
    stalled = False
    while not done and iteration < max_evaluations:
        ends = bracket[0][0], bracket[1][0]
        left, right = min(ends), max(ends)
        if (right - left) * size < tolerance_change:
            break
        length = _cubic_minimum(bracket[0], bracket[1])

        # Twice in a row near the same end, and progress would be too slow.
        margin = 0.1 * (right - left)
        if min(right - length, length - left) < margin:
            if stalled or length >= right or length <= left:
                near_right = abs(length - right) < abs(length - left)
                length = right - margin if near_right else left + margin
                stalled = False
            else:
                stalled = True
        else:
            stalled = False

        point = at(length)
        evaluations += 1
        iteration += 1
        if falls_short(point) or point[1] >= bracket[low][1]:
            bracket[high] = point
            low, high = (0, 1) if bracket[0][1] <= bracket[1][1] else (1, 0)
        else:
            if is_flat(point):
                done = True
            elif point[3] * (bracket[high][0] - bracket[low][0]) >= 0:
                bracket[high] = bracket[low]
            bracket[low] = point

    length, loss, grad, _ = bracket[low]
    return loss, grad, length, evaluations
