"""``torch.save`` and ``torch.load``: PyTorch's checkpoint files, both ways.

What is written here opens under PyTorch and the other way round. Loading is restricted
to tensors and containers unless ``weights_only=False`` says that the file is trusted.
A checkpoint that is written to a path takes the place of the old file when it is whole,
so an interrupted ``save`` loses nothing.

Follows https://pytorch.org/docs/stable/notes/serialization.html. The parts are in
``dispatchtorch._serialization``.
"""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import warnings
from collections.abc import Iterator
from typing import Any

import dispatchtorch as torch
from dispatchtorch._serialization import legacy, reader, writer
from dispatchtorch._serialization.allowed import (
    UNSAFE_MESSAGE,
    add_safe_globals,
    clear_safe_globals,
    explain,
    get_safe_globals,
    safe_globals,
    unsafe_globals,
)
from dispatchtorch._serialization.legacy import (
    MAGIC_NUMBER,
    PROTOCOL_VERSION,
    SourceChangeWarning,
)
from dispatchtorch._serialization.locations import (
    check_available,
    default_restore_location,
    location_tag,
    register_package,
)
from dispatchtorch._serialization.names import StorageType
from dispatchtorch._serialization.options import (
    LoadEndianness,
    get_crc32_options,
    get_default_load_endianness,
    get_default_mmap_options,
    set_crc32_options,
    set_default_load_endianness,
    set_default_mmap_options,
    skip_data,
)

__all__ = [
    "DEFAULT_PROTOCOL",
    "MAGIC_NUMBER",
    "PROTOCOL_VERSION",
    "STORAGE_KEY_SEPARATOR",
    "UNSAFE_MESSAGE",
    "LoadEndianness",
    "SourceChangeWarning",
    "StorageType",
    "add_safe_globals",
    "check_module_version_greater_or_equal",
    "clear_safe_globals",
    "default_restore_location",
    "get_crc32_options",
    "get_default_load_endianness",
    "get_default_mmap_options",
    "get_safe_globals",
    "get_unsafe_globals_in_checkpoint",
    "load",
    "location_tag",
    "mkdtemp",
    "normalize_storage_type",
    "register_package",
    "safe_globals",
    "save",
    "set_crc32_options",
    "set_default_load_endianness",
    "set_default_mmap_options",
    "skip_data",
    "storage_to_tensor_type",
    "validate_cuda_device",
    "validate_hpu_device",
]

DEFAULT_PROTOCOL = 2
STORAGE_KEY_SEPARATOR = ","
_ZIP_START = b"PK\3\4"
_TRUE = ("1", "y", "yes", "true")


def save(
    obj: object,
    f: Any,
    pickle_module: Any = pickle,
    pickle_protocol: int = DEFAULT_PROTOCOL,
    _use_new_zipfile_serialization: bool = True,
    _disable_byteorder_record: bool = False,
) -> None:
    """Writes an object to a file that ``load``, here and in PyTorch, reads.

    Args:
        obj: anything that pickles; tensors that share memory will share it again.
        f: a path, whose old file stays until the new one is whole; or an object with
            ``write``.
        pickle_module: the module whose ``Pickler`` is used.
        pickle_protocol: PyTorch's ``weights_only`` loads understand 2 alone.

    Raises RuntimeError where the path's folder doesn't exist.
    """
    _check_dill_version(pickle_module)
    if not isinstance(f, (str, os.PathLike)) and not hasattr(f, "write"):
        raise AttributeError(
            "expected 'f' to be string, path, or a file-like object with a 'write' "
            "attribute"
        )
    if _use_new_zipfile_serialization:
        writer.save_zip(
            obj, f, pickle_module, pickle_protocol, not _disable_byteorder_record
        )
    else:
        legacy.save_legacy(obj, f, pickle_module, pickle_protocol)


def load(
    f: Any,
    map_location: Any = None,
    pickle_module: Any = None,
    *,
    weights_only: bool | None = None,
    mmap: bool | None = None,
    **pickle_load_args: Any,
) -> Any:
    """Reads an object that ``save``, here or in PyTorch, has written.

    Args:
        f: a path, or an object with ``read``, ``readline``, ``seek`` and ``tell``.
        map_location: where the tensors go: a device or its name for all, a dict from
            the devices they were on, or a function of (storage, location) that gives
            the storage, moved, or None for the default: where they were.
        pickle_module: the module whose ``Unpickler`` is used; it executes what the file
            says.
        weights_only: restricts the file to tensors, containers and what
            ``add_safe_globals`` has named; the default unless ``pickle_module`` is
            given. Without it, a file can run any code.
        mmap: maps the file, a path, instead of reading it: data is read when used.
        pickle_load_args: arguments of the ``Unpickler``, such as ``encoding``.

    An ``UntypedStorage`` loads as one; PyTorch gives a ``TypedStorage`` of bytes.

    Raises UnpicklingError for what ``weights_only`` doesn't allow, RuntimeError for
    damaged files.
    """
    weights_only = _decide_weights_only(weights_only, pickle_module)
    if weights_only and pickle_load_args:
        warnings.warn(
            "pickle_load_args only works if `weights_only=False`.", stacklevel=2
        )
    pickle_load_args.setdefault("encoding", "utf-8")
    if not weights_only:
        pickle_module = pickle if pickle_module is None else pickle_module
        _check_dill_version(pickle_module)
    with _opened(f) as file:
        try:
            zipped = _is_zip(file)
            if weights_only:
                _refuse_arguments(pickle_load_args, zipped)
            if not zipped:
                if mmap:
                    name = f"{f}, " if isinstance(f, (str, os.PathLike)) else ""
                    raise RuntimeError(
                        "mmap can only be used with files saved with "
                        f"`torch.save({name}_use_new_zipfile_serialization=True), "
                        "please torch.save your checkpoint with this option in order "
                        "to use mmap."
                    )
                return legacy.load_legacy(
                    file, map_location, pickle_module, pickle_load_args
                )
            if mmap and not isinstance(f, (str, os.PathLike)):
                raise ValueError(
                    "f must be a file path in order to use the mmap argument"
                )
            mapped = reader.map_file(f) if mmap else None
            return reader.load_zip(
                file, map_location, pickle_module, pickle_load_args, mapped
            )
        except pickle.UnpicklingError as error:
            if not weights_only:
                raise
            raise explain(error) from None


def _refuse_arguments(given: dict[str, Any], zipped: bool) -> None:
    """TypeError for what the restricted unpickler doesn't take, in PyTorch's words."""
    for name in given:
        if name != "encoding":
            who = "Unpickler.__init__" if zipped else "load"
            raise TypeError(f"{who}() got an unexpected keyword argument '{name}'")


def _decide_weights_only(weights_only: bool | None, pickle_module: Any) -> bool:
    """Whether to restrict, from the argument and the environment."""
    force, unforce = (
        os.environ.get(name, "0") in _TRUE
        for name in (
            "TORCH_FORCE_WEIGHTS_ONLY_LOAD",
            "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD",
        )
    )
    if force and unforce:
        raise RuntimeError(
            "Only one of `TORCH_FORCE_WEIGHTS_ONLY_LOAD` or "
            "`TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD` should be set, but both were set."
        )
    if force:
        decided = True
    elif weights_only is not None:
        decided = weights_only
    elif unforce:
        warnings.warn(
            "Environment variable TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD detected, since the"
            "`weights_only` argument was not explicitly passed to `torch.load`, "
            "forcing weights_only=False.",
            UserWarning,
            stacklevel=3,
        )
        decided = False
    else:
        decided = pickle_module is None
    if decided and pickle_module is not None:
        raise RuntimeError(
            "Can not safely load weights when explicit pickle_module is specified"
        )
    return decided


@contextlib.contextmanager
def _opened(f: Any) -> Iterator[Any]:
    if isinstance(f, (str, os.PathLike)):
        with open(f, "rb") as file:
            yield file
        return
    for name in ("seek", "tell", "read", "readline"):
        if not hasattr(f, name):
            raise AttributeError(
                f"{type(f).__name__!r} object has no attribute {name!r}. You can only "
                "torch.load from a file that is seekable. Please pre-load the data "
                "into a buffer like io.BytesIO and try to load from it instead."
            )
    try:
        f.seek(f.tell())
    except io.UnsupportedOperation as error:
        raise io.UnsupportedOperation(
            f"{error}. You can only torch.load from a file that is seekable. Please "
            "pre-load the data into a buffer like io.BytesIO and try to load from it "
            "instead."
        ) from error
    yield f


def _is_zip(file: Any) -> bool:
    position = file.tell()
    start = file.read(len(_ZIP_START))
    file.seek(position)
    return bool(start == _ZIP_START)


def get_unsafe_globals_in_checkpoint(f: Any) -> list[str]:
    """The names in a checkpoint that ``load(weights_only=True)`` would refuse.

    Reads the names alone and runs nothing. ValueError for files that are no zip archive
    of ``save``'s.
    """
    with _opened(f) as file:
        if not _is_zip(file):
            raise ValueError("Expected input to be a checkpoint returned by torch.save")
        archive = reader.ArchiveReader(file)
        if "constants.pkl" in archive:
            raise ValueError("Expected input to be a checkpoint returned by torch.save")
        return unsafe_globals(archive.read("data.pkl"))


# -- small things that PyTorch shows here ----------------------------------------------


def _get_layout(name: str) -> Any:
    """The layout that prints as ``name``: how layouts are pickled."""
    short = name.removeprefix("torch.")
    found = getattr(torch, short, None) if short in _LAYOUTS else None
    if not name.startswith("torch.") or found is None:
        raise KeyError(name)
    return found


_LAYOUTS = frozenset(
    ["strided", "jagged", "sparse_coo", "_mkldnn"]
    + [f"sparse_{kind}" for kind in ("csr", "csc", "bsr", "bsc")]
)


def normalize_storage_type(storage_type: Any) -> Any:
    """The class that ``torch`` itself shows for a storage class of any device."""
    return getattr(torch, storage_type.__name__)


def storage_to_tensor_type(storage: Any) -> Any:
    """The tensor class of a storage: ``torch.FloatTensor`` for ``FloatStorage``."""
    name = storage.type()
    module = torch
    for part in name.split(".")[1:-1]:
        module = getattr(module, part)
    return getattr(module, name.rpartition(".")[2].replace("Storage", "Tensor"))


def _validate(kind: str, location: str) -> int:
    device = torch.device(location)
    if device.type != kind:
        raise ValueError(f"Expected a {kind} device, but got: {location}")
    check_available(device)
    return 0 if device.index is None else int(device.index)


def validate_cuda_device(location: str) -> int:
    """The index in ``"cuda:1"``. RuntimeError where there is no such device."""
    return _validate("cuda", location)


def validate_hpu_device(location: str) -> int:
    """The index in ``"hpu:1"``. RuntimeError where there is no such device."""
    return _validate("hpu", location)


def check_module_version_greater_or_equal(
    module: Any, req_version_tuple: tuple[int, ...], error_if_malformed: bool = True
) -> bool:
    """Whether ``module.__version__`` is at least the version in the tuple.

    A version that can't be compared is a RuntimeError, or else a warning and True.
    """
    try:
        parts = module.__version__.split(".")
        version = tuple(
            type(wanted)(part)
            for wanted, part in zip(req_version_tuple, parts, strict=False)
        )
        return version >= req_version_tuple
    except Exception as error:
        message = (
            f"'{module.__name__}' module version string is malformed "
            f"'{getattr(module, '__version__', None)}' and cannot be compared with "
            f"tuple {req_version_tuple}"
        )
        if error_if_malformed:
            raise RuntimeError(message) from error
        warnings.warn(
            message + ", but continuing assuming that requirement is met", stacklevel=2
        )
        return True


def _check_dill_version(pickle_module: Any) -> None:
    name = getattr(pickle_module, "__name__", None)
    if name == "dill" and not check_module_version_greater_or_equal(
        pickle_module, (0, 3, 1)
    ):
        raise ValueError(
            "'torch' supports dill >= 0.3.1, but you have dill "
            f"{pickle_module.__version__}. Please upgrade dill or switch to 'pickle'"
        )


@contextlib.contextmanager
def mkdtemp() -> Iterator[str]:
    """A temporary folder that is removed when the block ends."""
    import tempfile

    with tempfile.TemporaryDirectory() as path:
        yield path
