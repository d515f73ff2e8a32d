"""Special functions: the operators behind ``torch.special``.

What has a formula in elementary functions has a body. The rest stands on one primitive,
``_special``, which is given the function's name, so that a device has one place for all.
"""

from __future__ import annotations

import math
from typing import Any

from dispatchtorch import dtypes
from dispatchtorch.dispatch.derivative import derive, nondifferentiable
from dispatchtorch.dispatch.operator import Operator, operator, primitive
from dispatchtorch.lift import Plain, broadcast_shapes, result_type
from dispatchtorch.ops._common import scalar_type_name, torch
from dispatchtorch.ops._pointwise import number_like
from dispatchtorch.ops.pointwise_more import x_log

_HALVES = (dtypes.float16, dtypes.bfloat16)


class _Broadcasting(Plain):
    """Pointwise without a dtype rule of its own; device mixing as for its operands."""


_special = primitive(
    "_special(Tensor[] operands, str function) -> Tensor",
    lift=_Broadcasting(),
    variants="function",
)
_special.__doc__ = "A special function by name, of floating operands of one dtype."
_special.shape_rule = lambda operands, function: (
    broadcast_shapes([x.shape for x in operands]),
    operands[0].dtype,
)
nondifferentiable(_special)


def _apply(function: str, kernel: str, halves: bool, ints: bool, *values: Any) -> Any:
    """Promotes operands as PyTorch does, and calls the primitive."""
    common = result_type(values)
    if (
        common.category == dtypes.COMPLEX
        or not (ints or common.category == dtypes.FLOAT)
        or (not halves and common in _HALVES)
    ):
        raise NotImplementedError(
            f"\"{kernel}\" not implemented for '{scalar_type_name(common)}'"
        )
    if common.category < dtypes.FLOAT:
        common = dtypes.get_default_dtype()
    one = next(v for v in values if hasattr(v, "_keys"))
    operands = [
        (v if hasattr(v, "_keys") else number_like(one, v)).to(common) for v in values
    ]
    broadcast_shapes([v._shape for v in operands])
    return torch._special(operands, function)


def _row(
    name: str,
    function: str,
    kernel: str = "",
    *,
    halves: bool = False,
    ints: bool = True,
    schema: str = "(Tensor self) -> Tensor",
    variants: str = "function",
    inplace: bool = False,
) -> Operator:
    kernel = kernel or f"{name.removeprefix('special_')}_cpu"
    parts = schema.partition(")")[0].lstrip("(").split(",")
    names = [part.split()[1] for part in parts]
    space: dict[str, Any] = {"apply": _apply}
    listed = ", ".join(names)
    exec(
        f"def body({listed}): "
        f"return apply({function!r}, {kernel!r}, {halves}, {ints}, {listed})",
        space,
    )
    return operator(name + schema, tags="out", variants=variants, inplace=inplace)(
        space["body"]
    )


def _both(name: str, function: str, kernel: str, **options: Any) -> Operator:
    """A function that is public as ``torch.name`` and as a method too."""
    return _row(
        name,
        function,
        kernel,
        halves=True,
        variants="function method",
        inplace=True,
        **options,
    )


_PAIR = "(Tensor self, Tensor other) -> Tensor"
_MIXED = "(Tensor|Scalar self, Tensor|Scalar other) -> Tensor"

# Error functions.

erfc = _both("erfc", "erfc", "erfc_vml_cpu")
derive(
    erfc,
    self=lambda grad, self: -2 / math.sqrt(math.pi) * (-(self * self)).exp() * grad,
)
erfinv = _both("erfinv", "erfinv", "erfinv_vml_cpu")
derive(
    erfinv,
    self=lambda grad, result: 0.5 * math.sqrt(math.pi) * (result * result).exp() * grad,
)
erfcx = _row("special_erfcx", "erfcx")
derive(
    erfcx,
    self=lambda grad, self, result: (2 * self * result - 2 / math.sqrt(math.pi)) * grad,
)
log_ndtr = _row("special_log_ndtr", "log_ndtr")
derive(
    log_ndtr,
    self=lambda grad, self: (
        grad / torch.special_erfcx(self * -math.sqrt(0.5)) * math.sqrt(2 / math.pi)
    ),
)
ndtri = _row("special_ndtri", "ndtri")
derive(
    ndtri,
    self=lambda grad, result: (
        grad * math.sqrt(2 * math.pi) * (result * result / 2).exp()
    ),
)


@operator("special_ndtr(Tensor self) -> Tensor", tags="out", variants="function")
def ndtr(self):
    """The distribution function of the standard normal distribution."""
    x = self * math.sqrt(0.5)
    return torch.where(x.abs() < 1, 1 + torch.erf(x), torch.erfc(-x)) * 0.5


# Gamma functions.

lgamma = _both("lgamma", "lgamma", "lgamma_vml_cpu")
derive(lgamma, self=lambda grad, self: grad * torch.digamma(self))
digamma = _both("digamma", "digamma", "digamma")
derive(digamma, self=lambda grad, self: grad * torch.polygamma(1, self))


@operator("polygamma(int n, Tensor self) -> Tensor", tags="out", variants="function")
def polygamma(n, self):
    """The ``n``-th derivative of digamma."""
    if n < 0:
        raise RuntimeError("polygamma(n, x) does not support negative n.")
    if n == 0:
        return torch.digamma(self)
    if n == 1:
        return _apply("trigamma", "trigamma", True, True, self)
    if self.is_complex():
        raise NotImplementedError(
            f"\"polygamma\" not implemented for '{scalar_type_name(self.dtype)}'"
        )
    scale = (-1.0) ** (n + 1) * math.gamma(n + 1.0)
    if self.dtype in _HALVES:
        return (scale * torch.special_zeta(float(n + 1), self.float())).to(self.dtype)
    return scale * torch.special_zeta(float(n + 1), self)


derive(
    polygamma,
    self=lambda grad, n, self: grad * torch.polygamma(n + 1, self),
)


@operator("mvlgamma(Tensor self, int p) -> Tensor", tags="out", inplace=True)
def mvlgamma(self, p):
    """The logarithm of the multivariate gamma function of dimension ``p``."""
    if p < 1:
        raise RuntimeError(f"p has to be greater than or equal to 1")  # noqa: F541
    if self.dtype is dtypes.bool:
        raise RuntimeError("The input tensor may not be a boolean tensor.")
    if self.dtype.category < dtypes.FLOAT:
        self = self.to(dtypes.get_default_dtype())
    steps = torch.arange(p, dtype=self.dtype, device=self.device) / 2
    constant = p * (p - 1) / 4 * math.log(math.pi)
    return torch.lgamma(self.unsqueeze(-1) - steps).sum(-1) + constant


derive(
    mvlgamma,
    self=lambda grad, self, p: (
        grad
        * torch.digamma(
            self.unsqueeze(-1)
            - torch.arange(p, dtype=self.dtype, device=self.device) / 2
        ).sum(-1)
    ),
)


def _igamma_other(sign: int) -> Any:
    return lambda grad, self, other: (
        sign * grad * ((self - 1) * other.log() - other - torch.lgamma(self)).exp()
    )


def _igamma_self(grad: Any) -> Any:
    raise NotImplementedError("the derivative for 'igamma: input' is not implemented.")


for _name, _scipy, _sign in (("igamma", "gammainc", 1), ("igammac", "gammaincc", -1)):
    _op = _both(_name, _scipy, f"{_name}_cpu", schema=_PAIR, ints=False)
    derive(_op, self=_igamma_self, other=_igamma_other(_sign))

zeta = _row("special_zeta", "zeta", schema=_MIXED)


def _zeta_self(grad: Any) -> Any:
    raise NotImplementedError("the derivative for 'zeta' is not implemented.")


derive(
    zeta,
    number_name_="SpecialZetaBackward1",
    self=_zeta_self,
    other=lambda grad, self, other: (
        grad * -self * torch.special_zeta(self + 1.0, other)
    ),
)

# Entropies and products with logarithms.


@operator("special_entr(Tensor self) -> Tensor", tags="out", variants="function")
def entr(self):
    """-x log(x); 0 at 0 and -inf below."""
    if self.is_complex():
        raise NotImplementedError(
            f"\"entr_cpu\" not implemented for '{scalar_type_name(self.dtype)}'"
        )
    if self.dtype.category < dtypes.FLOAT:
        self = self.to(dtypes.get_default_dtype())
    safe = torch.where(self > 0, self, 1)
    made = torch.where(self > 0, -self * safe.log(), -math.inf)
    return torch.where(self != self, self, torch.where(self == 0, 0, made))


derive(
    entr,
    self=lambda grad, self: grad * -(self.log() + 1),
)
xlog1py = x_log("special_xlog1py", lambda y: torch.log1p(y))
derive(
    xlog1py,
    name_="SpecialXlog1PyBackward0",
    number_name_="SpecialXlog1PyBackward2",
    self=lambda grad, self, other: (
        grad * torch.where((self == 0) & (other <= -1), 0, _log1p_of(grad, other))
    ),
    other=lambda grad, self, other: grad * self / (other + 1),
)


def _log1p_of(grad: Any, other: Any) -> Any:
    return (other if hasattr(other, "_keys") else grad.new_full((), other)).log1p()


# Bessel functions.

i0 = _both("i0", "i0", "i0_vml_cpu")
derive(i0, self=lambda grad, self: grad * torch.special_i1(self))
i0e = _row("special_i0e", "i0e", halves=True)
derive(
    i0e,
    name_="SpecialI0EBackward0",
    self=lambda grad, self, result: (
        grad * (torch.special_i1e(self) - torch.sgn(self) * result)
    ),
)
i1 = _row("special_i1", "i1", halves=True)
i1e = _row("special_i1e", "i1e", halves=True)


def _over(value: Any, self: Any) -> Any:
    """``value / self``, whose limit at 0 is a half for i1 and i1e."""
    zero = self == 0
    return torch.where(zero, 0.5, value / torch.where(zero, 1, self))


def _refuse_halves(self: Any, name: str) -> None:
    if self.dtype in _HALVES:
        raise NotImplementedError(
            f"\"{name}_backward\" not implemented for '{scalar_type_name(self.dtype)}'"
        )


def _i1_backward(grad: Any, self: Any, result: Any) -> Any:
    _refuse_halves(self, "i1")
    return grad * (torch.i0(self) - _over(result, self))


def _i1e_backward(grad: Any, self: Any, result: Any) -> Any:
    _refuse_halves(self, "i1e")
    slope = torch.special_i0e(self) - result * torch.sgn(self) - _over(result, self)
    return grad * slope


derive(i1, self=_i1_backward)
derive(i1e, name_="SpecialI1EBackward0", self=_i1e_backward)
for _name in """
    bessel_j0 bessel_j1 bessel_y0 bessel_y1 modified_bessel_i0 modified_bessel_i1
    modified_bessel_k0 modified_bessel_k1 airy_ai spherical_bessel_j0
    scaled_modified_bessel_k0 scaled_modified_bessel_k1
""".split():
    _x = "x" if _name.startswith(("scaled", "airy", "spherical")) else "self"
    nondifferentiable(
        _row("special_" + _name, _name, schema=f"(Tensor {_x}) -> Tensor")
    )

# Orthogonal polynomials.

for _name in """
    chebyshev_polynomial_t chebyshev_polynomial_u chebyshev_polynomial_v
    chebyshev_polynomial_w hermite_polynomial_h hermite_polynomial_he
    laguerre_polynomial_l legendre_polynomial_p shifted_chebyshev_polynomial_t
    shifted_chebyshev_polynomial_u shifted_chebyshev_polynomial_v
    shifted_chebyshev_polynomial_w
""".split():
    nondifferentiable(
        _row(
            "special_" + _name,
            _name,
            schema="(Tensor|Scalar x, Tensor|Scalar n) -> Tensor",
        )
    )
