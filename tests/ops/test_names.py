"""The public names of PyTorch are here, but for those that are out of scope."""

from __future__ import annotations

import importlib
import re

import pytest

import dispatchtorch

pytestmark = pytest.mark.oracle
oracle = pytest.importorskip("torch")

#: Why a name isn't here: reason -> pattern of names (see docs/operators.md).
OUT_OF_SCOPE = {
    "quantised tensors": r"""
        qu?int\d.* q_.* quantize.* fake_quantize.* fused_moving_avg_obs_fake_quant
        choose_qparams_optimized dequantize int_repr empty_quantized fbgemm_.* qscheme""",
    "dtypes that no array library computes in": r"""
        bits\d.* bit u?int[1-7] float4_e2m1fn_x2 complex32 chalf""",
    "TorchScript: its types, graphs and runtime": r"""
        .*Type(?:Info)? Script.* LiteScriptModule StaticModule Graph.* Block Node Value
        Use Code Capsule Argument.* CompleteArgumentSpec AliasDb Gradient .*Executor.*
        ExecutionPlan IODescriptor CallStack CompilationUnit ConcreteModule.*
        DeepCopyMemoTable .*StorageContext ErrorReport FileCheck FunctionSchema Future
        JITException LockingLogger NoopLogger OperatorInfo PyTorchFile.* ModuleDict
        ParameterDict BufferDict TracingState ThroughputBenchmark Benchmark.* AVG SUM
        import_ir_module.* parse_ir parse_schema parse_type_comment
        merge_type_from_type_comment unify_type_list fork wait cpp Type""",
    "C++ dispatch keys": "DispatchKey.* ExcludeDispatchKeyGuard DisableTorchFunction",
    "compilers and exporters": "compile export cond sym_fresh_size",
    "kernels of one vendor's library": r"""
        cudnn_.* miopen_.* mkldnn_.* to_mkldnn batch_norm_(?!update).*""",
    "autocast of devices that no plugin provides": r".*autocast_(?:ipu|xla|gpu).*",
    "first-class dims and nested tensors": "index to_padded_tensor",
    "functionalisation's internals": "slice_inverse native_norm grad_dtype",
    "what PyTorch's file imports for itself": r"""
        BroadcastingList\d Callable DType Optional TYPE_CHECKING Tensor dataclasses
        boolean_dispatch handle_torch_function has_torch_function.* importlib math np grad
        .*_notes torch warnings GRID_SAMPLE_.*""",
}
_PATTERNS = {
    reason: re.compile("|".join(f"(?:{p})" for p in patterns.split()))
    for reason, patterns in OUT_OF_SCOPE.items()
}
#: Families that are being written, or come from plugins: they may be here or not.
_SPARSE = re.compile(
    r"(?:.*_indices|.*_indices_copy|values(?:_copy)?|coalesce|is_coalesced|sparse_.*"
    r"|dense_dim|.*sparse.*|to_dense|hs?p?mm|s(?:s|)p?addmm|saddmm|smm|spmm|dsmm"
    r"|indices(?:_copy)?|hspmm|sspaddmm)"
)

NAMESPACES = [
    "",
    "Tensor",
    "fft",
    "linalg",
    "special",
    "nn.functional",
    "signal.windows",
]


def _public(path):
    owner = oracle
    for part in filter(None, path.split(".")):
        owner = getattr(owner, part)
    listed = getattr(owner, "__all__", None) or dir(owner)
    return {name for name in listed if not name.startswith("_")}


def _has(path, name):
    if path == "Tensor":
        owner = dispatchtorch.Tensor
    else:
        owner = importlib.import_module(f"dispatchtorch.{path}".rstrip("."))
    try:
        return hasattr(owner, name)
    except ImportError:
        return False


def _reason(name):
    return next((r for r, p in _PATTERNS.items() if p.fullmatch(name)), None)


@pytest.mark.parametrize("path", NAMESPACES)
def test_public_names_exist(path):
    names = {n for n in _public(path) if not (_reason(n) or _SPARSE.fullmatch(n))}
    missing = sorted(name for name in names if not _has(path, name))
    share = 1 - len(missing) / len(names)
    assert share >= 0.97, f"{share:.1%} of torch.{path} are here, without {missing}"


@pytest.mark.parametrize("reason", OUT_OF_SCOPE)
def test_no_reason_outlives_its_names(reason):
    everything = set().union(*map(_public, NAMESPACES))
    assert any(_PATTERNS[reason].fullmatch(name) for name in everything)


LEGACY_TYPES = {
    "FloatTensor": "float32", "DoubleTensor": "float64", "HalfTensor": "float16",
    "BFloat16Tensor": "bfloat16", "LongTensor": "int64", "IntTensor": "int32",
    "ShortTensor": "int16", "CharTensor": "int8", "ByteTensor": "uint8",
    "BoolTensor": "bool",
}  # fmt: skip


@pytest.mark.parametrize(("name", "dtype"), LEGACY_TYPES.items())
def test_legacy_tensor_types(name, dtype):
    kind = getattr(dispatchtorch, name)
    wanted = getattr(dispatchtorch, dtype)
    assert kind.dtype is wanted
    assert kind([1, 0]).tolist() == [1, 0]
    assert kind(2, 3).shape == (2, 3)
    assert kind(2, 3).dtype is wanted
    assert isinstance(kind(2), kind)
    assert not isinstance(dispatchtorch.zeros(2, dtype=dispatchtorch.complex64), kind)
    assert dispatchtorch.ones(2).type(kind).dtype is wanted
    assert kind(2).type() == f"torch.{name}"
    assert repr(kind) == f"<class 'torch.{name}'>"
    with pytest.raises(RuntimeError, match="legacy constructor expects device type"):
        kind(2, device="meta")


CALLS = [
    lambda m: m.set_float32_matmul_precision("high") or m.get_float32_matmul_precision(),
    lambda m: m.set_deterministic_debug_mode(5),
    lambda m: m.set_deterministic_debug_mode("none"),
    lambda m: m.use_deterministic_algorithms(3),
    lambda m: m.set_num_interop_threads(0),
    lambda m: (m.sym_int(-3.7), m.sym_float(3), m.sym_max(1, 2.0), m.sym_min(1, 2.0)),
    lambda m: (m.sym_not(True), m.sym_ite(True, 1, 2), m.sym_sum([1, 2]), m.sym_sqrt(4)),
    lambda m: (m.e, m.pi, m.inf, m.newaxis),
    lambda m: m.is_inference(m.ones(2)),
    lambda m: m.get_device(m.ones(2)),
    lambda m: m.zeros(7, 3).fill_diagonal_(5, True).tolist(),
    lambda m: m.zeros(3, 7).fill_diagonal_(5, True).tolist(),
    lambda m: m.zeros(2, 3, 2).fill_diagonal_(5),
    lambda m: m.zeros(2).fill_diagonal_(5),
    lambda m: m.arange(6.0).reshape(2, 3).resize(3, 2).tolist(),
    lambda m: m.arange(6.0).reshape(2, 3).resize(4, 2),
    lambda m: m.arange(6.0).reshape(2, 3).where(m.tensor(True), 0).tolist(),
    lambda m: m.norm_except_dim(m.ones(3, 2, 2), 2, 1).stride(),
    lambda m: m.norm_except_dim(m.ones(3, 2), 1, -1).tolist(),
    lambda m: m.zeros(2, 3, 4).permute(2, 0, 1).dim_order(),
    lambda m: m.zeros(2, 1, 3).dim_order(ambiguity_check=True),
    lambda m: m.zeros(2, 3).expand(4, 2, 3).dim_order(),
    lambda m: m.ones(2).map2_(m.ones(2), m.ones(2), lambda a, b, c: a + b + c).tolist(),
    lambda m: m.as_strided_(m.arange(6.0), (2, 2), (1, 2)).tolist(),
    lambda m: m.batch_norm_update_stats(m.arange(6.0).reshape(3, 2), None, None, 0.1)[1]
    .tolist(),
    lambda m: m.FloatTensor(3.5),
    lambda m: m.LongTensor("a"),
]  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("call", CALLS, ids=range(len(CALLS)))
def test_they_do_what_pytorchs_do(call):
    def outcome(module):
        try:
            return call(module)
        except Exception as error:
            return type(error), str(error).partition("\nException raised")[0]

    assert outcome(dispatchtorch) == outcome(oracle)
    dispatchtorch.set_float32_matmul_precision("highest")
    oracle.set_float32_matmul_precision("highest")
