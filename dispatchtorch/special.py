"""``torch.special``: special functions, generated from the operators when first named."""

from __future__ import annotations

from typing import Any

# Public name -> operator, where it isn't ``special_<name>``.
_RENAMED = dict(
    pair.split(":")
    for pair in """
    digamma:digamma erf:erf erfc:erfc erfinv:erfinv exp2:exp2 expit:sigmoid expm1:expm1
    gammainc:igamma gammaincc:igammac gammaln:lgamma i0:i0 log1p:log1p logit:logit
    log_softmax:log_softmax logsumexp:logsumexp multigammaln:mvlgamma
    polygamma:polygamma psi:digamma round:round sinc:sinc softmax:softmax xlogy:xlogy
    """.split()
)
_OWN = """
    airy_ai bessel_j0 bessel_j1 bessel_y0 bessel_y1 chebyshev_polynomial_t
    chebyshev_polynomial_u chebyshev_polynomial_v chebyshev_polynomial_w entr erfcx
    hermite_polynomial_h hermite_polynomial_he i0e i1 i1e laguerre_polynomial_l
    legendre_polynomial_p log_ndtr modified_bessel_i0 modified_bessel_i1
    modified_bessel_k0 modified_bessel_k1 ndtr ndtri scaled_modified_bessel_k0
    scaled_modified_bessel_k1 shifted_chebyshev_polynomial_t
    shifted_chebyshev_polynomial_u shifted_chebyshev_polynomial_v
    shifted_chebyshev_polynomial_w spherical_bessel_j0 xlog1py zeta
""".split()

__all__ = sorted([*_RENAMED, *_OWN])


def __getattr__(name: str) -> Any:
    if name not in _RENAMED and name not in _OWN:
        raise AttributeError(f"module 'torch.special' has no attribute '{name}'")
    import dispatchtorch
    from dispatchtorch.dispatch.operator import Packet, packets

    if name in _OWN:
        made = getattr(dispatchtorch, f"special_{name}")
    else:
        found = packets[_RENAMED[name]]
        alias = Packet(f"special_{name}", found.overloads, found.variants)
        made = alias.callable("function")
    globals()[name] = made
    return made


def __dir__() -> list[str]:
    return list(__all__)
