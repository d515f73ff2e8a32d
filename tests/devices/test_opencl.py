"""The OpenCL device: memory, views, kernels of all families against ``cpu``."""

from __future__ import annotations

import threading

import pytest

import dispatchtorch as torch
from dispatchtorch.device_layer import fallback_counts
from dispatchtorch.dispatch.operator import all_operators
from tests.devices.opencl_cases import D, compare, needs_opencl, with_gradients

pytestmark = needs_opencl
F = torch.nn.functional


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(7)


# Memory and views.


def test_every_required_primitive_has_a_kernel():
    from dispatchtorch.backend import get_backend

    backend = get_backend(D)
    required = {n for n, op in all_operators().items() if op.is_primitive}
    assert required <= backend.kernels.keys()


@pytest.mark.parametrize(
    "dtype",
    [
        torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64,
        torch.float16, torch.bfloat16, torch.float32, torch.complex64, torch.uint16,
        torch.uint32, torch.uint64,
    ],
)  # fmt: skip
def test_values_survive_the_way_there_and_back(dtype):
    x = (torch.arange(24) % 5).to(dtype).reshape(2, 3, 4)
    there = x.to(D)
    assert there.dtype == dtype
    assert torch.equal(there.cpu(), x)
    assert torch.equal(there.transpose(0, 2).cpu(), x.transpose(0, 2))


def test_views_share_memory():
    x = torch.zeros(4, 6, device=D)
    x[1:3, ::2].add_(1)
    x.t()[5] = 7
    x.view(-1)[0] = -1
    assert x.sum().item() == 6 + 28 - 1
    assert x[1:3].data_ptr() == x.data_ptr() + 6 * 4


def test_overlapping_copies_see_the_old_values():
    x = torch.arange(6.0, device=D)
    x[1:].copy_(x[:-1])
    assert x.tolist() == [0, 0, 1, 2, 3, 4]


def test_numbers_become_memory_when_they_are_written_to():
    x = torch.tensor(3.0, device=D)
    view = x.view(1)
    x.add_(1)
    view.mul_(2)
    assert x.item() == 8


def test_views_of_other_dtypes_see_the_same_bytes():
    x = torch.tensor([1.0, -2.0], device=D)
    assert x.view(torch.int32).tolist() == [0x3F800000, 0xC0000000 - 2**32]


def test_memory_is_counted_and_given_back():
    before = torch.opencl.memory_allocated()
    x = torch.empty(1 << 16, device=D)
    assert torch.opencl.memory_allocated() - before == 4 << 16
    del x
    assert torch.opencl.memory_allocated() == before
    torch.opencl.empty_cache()


def test_dtypes_the_device_lacks_are_named():
    with pytest.raises((RuntimeError, NotImplementedError), match="float8_e4m3fn"):
        torch.empty(2, dtype=torch.float8_e4m3fn, device=D)


def test_a_device_that_is_not_there_is_an_error():
    with pytest.raises(RuntimeError, match="opencl:99"):
        torch.ones(2, device="opencl:99")


def test_too_much_memory_is_an_error_that_leaves_the_device_usable():
    with pytest.raises(RuntimeError, match="memory"):
        torch.empty(1 << 50, device=D)
    assert torch.ones(2, device=D).sum().item() == 2


def test_threads_share_the_queue():
    results = []

    def work(k: int) -> None:
        x = torch.full((100,), float(k), device=D)
        for _ in range(20):
            x = x + 1
        results.append((k, x.sum().item()))

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sorted(results) == [(k, 100.0 * (k + 20)) for k in range(4)]


# Pointwise.

UNARY = """neg abs exp expm1 sin cos tanh asin acos atan erf floor ceil round sign sigmoid
relu square exp2 sinh tan trunc logical_not isnan""".split()
BINARY = """add sub mul div fmod remainder floor_divide atan2 maximum minimum eq lt le ne
pow hypot copysign logical_and fmax""".split()


@pytest.mark.parametrize("name", UNARY)
def test_unary(name):
    compare(getattr(torch, name), torch.rand(1003) * 1.8 - 0.9)


@pytest.mark.parametrize("name", BINARY)
def test_binary_with_broadcasting_and_strides(name):
    x, y = torch.rand(5, 1, 7) + 0.5, torch.rand(6, 5).t() + 0.5
    compare(getattr(torch, name), x, y.unsqueeze(2))
    compare(getattr(torch, name), x, torch.tensor(2.0))
    if name in ("add", "sub", "mul", "div", "fmod", "remainder", "eq", "lt", "pow"):
        compare(getattr(torch, name), x, 2)


@pytest.mark.parametrize("name", ["floor_divide", "remainder", "fmod", "mul", "pow"])
def test_whole_numbers(name):
    x, y = torch.arange(-7, 8), torch.tensor([[1], [2], [3]])
    compare(getattr(torch, name), x, y)


@pytest.mark.parametrize("name", ["floor_divide", "remainder", "fmod"])
def test_whole_numbers_are_not_divided_by_zero(name):
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        getattr(torch, name)(torch.arange(3, device=D), torch.tensor([1, 0, 2]).to(D))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_types_round_as_on_the_host(dtype):
    x, y = torch.randn(33, 17).to(dtype), torch.randn(17).to(dtype)
    compare(lambda x, y: x * y + x, x, y, rtol=0.0, atol=0.0)


def test_complex_numbers():
    x, y = (
        torch.randn(5, 4, dtype=torch.complex64),
        torch.randn(4, dtype=torch.complex64),
    )
    compare(lambda x, y: [x * y, x / y, x.exp(), x.sqrt(), x.abs(), x.conj() + y], x, y)


CUTS = [
    0,
    1,
    -1,
    2,
    complex(2, -0.0),
    complex(-2, -0.0),
    1j,
    2j,
    -2j,
    30 + 2j,
    -50 + 1j,
]


@pytest.mark.parametrize(
    "name", "expm1 log1p asin acos atan tanh asinh acosh atanh tan sin".split()
)
def test_functions_of_complex_numbers(name):
    random = torch.randn(500, dtype=torch.complex128) * 2
    x = torch.cat([random, random * 1e-3, torch.tensor(CUTS, dtype=torch.complex128)])
    poles = {"log1p": [-1], "atan": [1j, -1j], "atanh": [1, -1]}
    for pole in poles.get(name, []):
        x = x[x != pole]
    before = fallback_counts()
    compare(getattr(torch, name), x, rtol=1e-8, atol=1e-12)
    assert fallback_counts() == before


def test_nan_and_infinity():
    x = torch.tensor([float("nan"), float("inf"), -float("inf"), 0.0, -0.0, 1.0])
    y = x.flip(0)
    compare(lambda x, y: [torch.maximum(x, y), torch.minimum(x, y), x + y, x > y], x, y)
    compare(lambda x: [x.amax(), x.argmax(), x.sort()[0], x.relu(), x.sign()], x)


def test_results_lie_in_memory_as_operands_do():
    x = torch.randn(4, 3, device=D).t()
    assert (x + 1).stride() == (1, 3)
    assert (x * torch.ones(3, 4, device=D)).stride() == (1, 3)


# Reductions.


@pytest.mark.parametrize("dims", [None, 0, 1, 2, (0, 2), (0, 1), (1, 2), (0, 1, 2)])
@pytest.mark.parametrize("name", ["sum", "amax", "mean"])
def test_reductions_over_any_dims(name, dims):
    def reduce(x):
        made = getattr(x, name)
        return made(dims) if dims is not None else made()

    for x in (torch.randn(6, 40, 33), torch.randn(33, 40, 6).permute(2, 1, 0)):
        compare(reduce, x, rtol=1e-5, atol=1e-5)


def test_sums_are_as_good_as_pairwise():
    x = torch.rand(1 << 20)
    exact = x.double().sum().item()
    assert abs(x.to(D).sum().item() - exact) <= 1e-6 * exact
    column = x.reshape(-1, 16).to(D).sum(0).double().cpu()
    assert ((column - x.reshape(-1, 16).double().sum(0)).abs() <= 1e-6 * exact).all()


def test_arguments_scans_and_sorting():
    x = torch.randn(7, 30, 5)
    compare(lambda x: [x.argmax(1), x.argmin(0), x.argmax()], x)
    compare(lambda x: [x.cumsum(1), x.cumprod(0)], x, rtol=1e-5, atol=1e-5)
    compare(lambda x: [*x.sort(1), *x.sort(-1, descending=True), *x.topk(3, 1)], x)
    compare(lambda x: x.sort(stable=True), torch.randint(0, 4, (200,)))


# Indexing.


def test_indexing():
    x = torch.randn(7, 9, 11)
    i, j = torch.randint(0, 7, (5,)), torch.randint(-9, 9, (5,))
    compare(lambda x, i, j: [x[i], x[i, j], x[:, j, i], x[i, :, j], x[x > 0]], x, i, j)
    compare(lambda x: (x > 0).nonzero(), x)


def test_writing_by_index():
    def put(x, i, j):
        x = x.clone()
        x[i, j] = 1.5
        x[:, j] += 1
        return x.index_put((i,), x[i] * 2, accumulate=True)

    i, j = torch.randint(0, 7, (50,)), torch.arange(50) % 9
    compare(put, torch.randn(7, 9, 11), i, j, rtol=1e-4, atol=1e-4)


def test_gather_and_scatter():
    x, k = torch.randn(7, 9, 11), torch.randint(0, 9, (7, 30, 11))
    compare(lambda x, k: x.gather(1, k), x, k)
    compare(lambda x, k, s: x.scatter_add(1, k, s), x, k, torch.randn(7, 30, 11))


def test_indices_out_of_range_raise_and_leave_the_device_usable():
    x = torch.arange(3.0, device=D)
    with pytest.raises(IndexError, match="index 9 is out of bounds for dimension 0"):
        x[torch.tensor([9], device=D)].cpu()
    with pytest.raises(RuntimeError, match="index -1 is out of bounds"):
        x.gather(0, torch.tensor([-1], device=D)).cpu()
    assert x[torch.tensor([2], device=D)].item() == 2


# Products.

SHAPES = [(3, 4, 5), (1, 200, 1), (65, 33, 130), (130, 200, 99), (0, 3, 2), (2, 0, 3)]


@pytest.mark.parametrize("tiling", ["", "packed", "local"])
@pytest.mark.parametrize("m, k, n", SHAPES)
def test_products_of_matrices(monkeypatch, tiling, m, k, n):
    monkeypatch.setenv("DISPATCHTORCH_OPENCL_TILING", tiling)
    x, y = torch.randn(m, k), torch.randn(k, n)
    compare(lambda x, y: [x @ y, y.t() @ x.t()], x, y, rtol=1e-4, atol=1e-4)


def test_batched_products():
    x, y = torch.randn(2, 3, 60, 50), torch.randn(3, 50, 70)
    compare(lambda x, y: x @ y, x, y, rtol=1e-4, atol=1e-4)
    whole = torch.arange(12).reshape(3, 4)
    compare(lambda x: x @ x.t(), whole)
    compare(lambda x: x @ x.mH, torch.randn(4, 5, dtype=torch.complex64))


L = torch.linalg
SYSTEMS = {
    "lu": lambda a, s, b: L.lu(a),
    "lu_factor": lambda a, s, b: L.lu_factor(a[..., 1:]),
    "inv": lambda a, s, b: L.inv(a),
    "slogdet": lambda a, s, b: L.slogdet(a),
    "solve": lambda a, s, b: L.solve(a, b),
    "cholesky": lambda a, s, b: L.cholesky(s),
    "upper cholesky": lambda a, s, b: L.cholesky(s, upper=True),
    "solve_triangular": lambda a, s, b: L.solve_triangular(s, b, upper=False),
    "unitriangular": lambda a, s, b: L.solve_triangular(
        s.mT / 9, b, upper=True, unitriangular=True
    ),
}


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128], ids=str)
@pytest.mark.parametrize("shape", [(1, 1), (33, 33), (2, 3, 4, 4)])
@pytest.mark.parametrize("name", SYSTEMS)
def test_small_linear_systems(name, shape, dtype):
    a = torch.randn(shape, dtype=dtype)
    s = a @ a.mH + torch.eye(shape[-1], dtype=dtype)
    b = torch.randn((*shape[:-1], 2), dtype=dtype)
    before = fallback_counts()
    compare(SYSTEMS[name], a, s, b, rtol=1e-7, atol=1e-7)
    assert fallback_counts() == before


def test_systems_without_a_solution_raise():
    with pytest.raises(L.LinAlgError, match="diagonal element 2 is zero"):
        L.inv(torch.ones(2, 2, device=D))
    with pytest.raises(L.LinAlgError, match="leading minor of order 2"):
        L.cholesky(torch.diag(torch.tensor([1.0, -1.0, 1.0])).to(D))


# Neural networks.

CONVOLUTIONS = [
    ((4, 6, 9, 10), (8, 6, 3, 3), {"padding": 1}),
    ((4, 6, 9, 10), (8, 3, 3, 3), {"stride": 2, "padding": 1, "groups": 2}),
    ((2, 6, 9, 10), (4, 6, 3, 2), {"dilation": 2}),
    ((2, 6, 5, 5), (7, 6, 1, 1), {}),
    ((2, 32, 20, 20), (32, 32, 3, 3), {"padding": 1}),
]


@pytest.mark.parametrize("shape, kernel, options", CONVOLUTIONS)
def test_convolutions_and_their_gradients(shape, kernel, options):
    function = with_gradients(lambda x, w: F.conv2d(x, w, **options))
    compare(function, torch.randn(shape), torch.randn(kernel) / 4, rtol=1e-3, atol=1e-2)


def test_convolutions_of_other_dims():
    compare(F.conv1d, torch.randn(2, 3, 20), torch.randn(4, 3, 5), rtol=1e-4, atol=1e-4)
    x, w = torch.randn(1, 2, 5, 6, 7), torch.randn(3, 2, 2, 2, 2)
    compare(F.conv3d, x, w, rtol=1e-4, atol=1e-4)
    w = torch.randn(6, 4, 3, 3)
    transposed = with_gradients(lambda x, w: F.conv_transpose2d(x, w, stride=2))
    compare(transposed, torch.randn(2, 6, 5, 5), w, rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize(
    "pool",
    [
        lambda x: F.max_pool2d(x, 3, 2, 1, return_indices=True),
        lambda x: F.avg_pool2d(x, 3, 2, 1),
        lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False, ceil_mode=True),
        lambda x: F.adaptive_avg_pool2d(x, 3),
    ],
)
def test_pooling(pool):
    compare(with_gradients(pool), torch.randn(2, 3, 9, 10), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dim", [0, 1, 2])
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax(name, dim):
    function = with_gradients(lambda x: getattr(x, name)(dim))
    compare(function, torch.randn(9, 37, 21), rtol=1e-4, atol=1e-4)


def test_losses_and_normalisation():
    x, labels = torch.randn(8, 5), torch.randint(0, 5, (8,))
    compare(with_gradients(F.cross_entropy), x, labels, rtol=1e-4, atol=1e-5)
    compare(with_gradients(lambda x: F.layer_norm(x, (5,))), x, rtol=1e-3, atol=1e-3)
    table = torch.randn(10, 4)
    embedded = with_gradients(lambda t, k: F.embedding(k, t))
    compare(embedded, table, torch.randint(0, 10, (3, 7)), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("shape", [(8, 5), (3, 4, 6, 7), (2, 3, 1, 1)])
def test_batch_normalisation(shape, affine):
    def normalised(x, w, b):
        mean, var = torch.zeros_like(w.detach()), torch.ones_like(w.detach())
        given = (w, b) if affine else (None, None)
        made = F.batch_norm(x, mean, var, *given, training=True, momentum=0.3)
        if not affine:
            made = made + (w + b).sum()
        return made, mean, var

    x, c = torch.randn(shape) + 3, shape[1]
    function = with_gradients(normalised)
    weight = torch.rand(c) + 0.5
    compare(function, x, weight, torch.randn(c), rtol=1e-3, atol=1e-3)


# Transforms and special functions.


@pytest.mark.parametrize("n", [1, 2, 12, 60, 64, 125, 1021])
def test_fourier_transforms_of_any_size(n):
    def both(x):
        y = torch.fft.fft(x)
        back = torch.fft.ifft(y.t(), dim=0)
        return torch.view_as_real(y), torch.view_as_real(back)

    compare(both, torch.randn(3, n), rtol=1e-3, atol=1e-3)
    compare(
        lambda x: torch.fft.irfft(torch.fft.rfft(x, norm="ortho")), torch.randn(2, 20)
    )


@pytest.mark.parametrize(
    "name", ["i0", "i0e", "i1", "i1e", "log_ndtr", "gammaln", "digamma", "erfc"]
)
def test_special_functions(name):
    x = torch.linspace(-19.7, 20, 101)
    compare(getattr(torch.special, name), x, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: torch.special.zeta(1.1 + x.abs(), 0.3 + x.flip(0).abs()),
        lambda x: torch.special.zeta(torch.full_like(x, 3), x),
        lambda x: [torch.polygamma(n, x) for n in (1, 2, 4)],
        lambda x: torch.special.ndtri(x / 20),
        torch.special.spherical_bessel_j0,
    ],
)
def test_special_functions_in_double(function):
    ends = torch.tensor([0.0, 1, -2, 20, float("inf"), float("nan"), 1e-9])
    x = torch.cat([torch.linspace(-4.3, 20, 201), ends]).double()
    before = fallback_counts()
    compare(function, x, rtol=1e-8, atol=1e-10)
    assert fallback_counts() == before


@pytest.mark.parametrize(
    "name",
    [
        "chebyshev_polynomial_t", "hermite_polynomial_he", "laguerre_polynomial_l",
        "legendre_polynomial_p", "shifted_chebyshev_polynomial_w",
    ],
)  # fmt: skip
def test_orthogonal_polynomials(name):
    x, n = torch.rand(9), torch.arange(-1.0, 8)
    compare(getattr(torch.special, name), x, n, rtol=1e-3, atol=1e-3)
