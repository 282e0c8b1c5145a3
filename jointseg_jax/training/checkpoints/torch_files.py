"""Reads the arrays of a PyTorch weight file without PyTorch, and without running code in the file.

A `.pth` file is a pickle, and a pickle is a program. It may use ordered dictionaries, tensors and storages; any other
name is refused. Both forms of PyTorch are read: the zip archive since 1.6, and the earlier stream of pickles, in which
torchvision's and ESRGAN's older weights are published.
"""

import collections
import io
import math
import os
import pathlib
import pickle
import pickletools
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO, NamedTuple

import jax.numpy as jnp
import numpy as np

from jointseg_jax.errors import InputError

_STORAGES: dict[str, np.dtype[Any]] = {
    "DoubleStorage": np.dtype(np.float64),
    "FloatStorage": np.dtype(np.float32),
    "HalfStorage": np.dtype(np.float16),
    "BFloat16Storage": np.dtype(jnp.bfloat16),
    "LongStorage": np.dtype(np.int64),
    "IntStorage": np.dtype(np.int32),
    "ShortStorage": np.dtype(np.int16),
    "CharStorage": np.dtype(np.int8),
    "ByteStorage": np.dtype(np.uint8),
    "BoolStorage": np.dtype(np.bool_),
    "ComplexFloatStorage": np.dtype(np.complex64),
    "ComplexDoubleStorage": np.dtype(np.complex128),
}
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C  # the first pickle of the older form
_LEGACY_PROTOCOL = 1001
_PICKLE_PROTOCOL = 4  # at most; PyTorch writes 2 unless told otherwise
_DEPTH = 100  # dictionaries and lists within one another
# Errors that a damaged pickle, archive or tensor description raises.
_BROKEN = (
    pickle.UnpicklingError,
    zipfile.BadZipFile,
    EOFError,
    OSError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    OverflowError,
    MemoryError,
    RuntimeError,
    struct.error,
    zlib.error,
)


def read_arrays(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """All arrays of a weight file by name.

    Args:
        path: a file written by `torch.save` (of a state dict, or of dictionaries around state dicts) or by
            `numpy.savez`; the form follows from its content, not its suffix.

    Returns:
        {name: array}. Names of nested dictionaries are joined with dots: {"params": {"conv.weight": ...}} gives
        "params.conv.weight". Values that are not arrays (epoch numbers, settings) are left out. Arrays keep the
        precision of the file (bfloat16 is `jax.numpy.bfloat16`) and may be read-only.

    Raises:
        InputError: the file is missing, damaged, no weight file, or would run code.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise InputError(f"{path} is not a file: give the path of a PyTorch .pth file or a NumPy .npz file of weights")
    try:
        with path.open("rb") as file:
            start = file.read(4)
            file.seek(0)
            if start == b"PK\x03\x04":
                found = _read_zip(file)
            elif start[:1] == b"\x80":
                found = _read_legacy(file)
            else:
                found = None
    except _ForbiddenError as error:
        raise InputError(
            f"{path} would run {error} when it is read, which is refused: save only the weights, with "
            "torch.save(model.state_dict(), ...) or numpy.savez"
        ) from None
    except PermissionError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): check its permissions") from error
    except _BROKEN as error:
        raise InputError(f"{path} is damaged or truncated ({_reason(error)}): download or save it again") from error
    if not found:
        raise InputError(
            f"{path} contains no weights: give a file written by torch.save(model.state_dict(), ...) or numpy.savez"
        )
    return found


class _ForbiddenError(Exception):
    """The pickle uses a name that is not allowed; the message is that name."""


# The pickle receives named tuples, because unlike functions and classes they have no attributes that it could set.


class _StorageType(NamedTuple):
    """Stands for classes such as torch.FloatStorage."""

    dtype: np.dtype


class _Storage(NamedTuple):
    """Refers to a flat array elsewhere in the file."""

    key: str
    dtype: np.dtype
    length: int
    first: int  # its first element in the storage `key`: older files store views of storages


class _Tensor(NamedTuple):
    """A view of a storage; strides in elements."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _Function(NamedTuple):
    """A function of this module in place of one of PyTorch's."""

    function: Callable[..., Any]

    def __call__(self, *args: Any) -> Any:
        return self.function(*args)


class _Unpickler(pickle.Unpickler):
    """Builds `_Tensor`s from a pickle that may use only the names a state dict needs.

    Attributes:
        dtypes: of every storage met, by key.
        opcodes: of the pickle.
    """

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file, encoding="utf-8")  # of strings that Python 2 wrote
        self.dtypes: dict[str, np.dtype] = {}
        start = file.tell()
        self.opcodes = _check_opcodes(file)
        file.seek(start)

    def find_class(self, module: str, name: str) -> Any:
        match module, name:
            case "collections", "OrderedDict":
                return collections.OrderedDict
            case "torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2":
                return _Function(_rebuild_tensor)
            case "torch._utils", "_rebuild_parameter":
                return _Function(_rebuild_parameter)
            case "torch", storage if storage in _STORAGES:
                return _StorageType(_STORAGES[storage])
        raise _ForbiddenError(f"{module}.{name}")

    def persistent_load(self, pid: Any) -> _Storage:
        kind, storage, key, _, length, *rest = pid
        if kind != "storage" or not isinstance(storage, _StorageType):
            raise ValueError(f"an unknown reference {kind!r}")
        self.dtypes[str(key)] = storage.dtype
        first = 0
        if rest and rest[0] is not None:
            _, first, length = rest[0]
        return _Storage(str(key), storage.dtype, int(length), int(first))


def _check_opcodes(file: BinaryIO) -> int:
    """Counts the opcodes of one pickle without running it.

    Raises:
        ValueError: loading would exhaust memory, or the protocol is too new.
    """
    count = 0
    for count, (opcode, argument, _) in enumerate(pickletools.genops(file)):
        if opcode.proto > _PICKLE_PROTOCOL:
            raise ValueError(f"an opcode {opcode.name} that weights do not need")
        # Python allocates every memo slot up to the one used.
        if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT") and (argument or 0) > count:
            raise ValueError(f"memo slot {argument} is used at opcode {count} of a pickle")
    return count


def _rebuild_tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> _Tensor:
    if not isinstance(storage, _Storage):
        raise ValueError("a tensor without a storage")
    return _Tensor(storage, int(offset), tuple(int(n) for n in shape), tuple(int(n) for n in strides))


def _rebuild_parameter(data: Any, *_: Any) -> Any:
    return data


def _read_zip(file: BinaryIO) -> dict[str, np.ndarray] | None:
    """Arrays of a zip archive of PyTorch or NumPy; None if it is neither."""
    with zipfile.ZipFile(file) as archive:
        names = archive.namelist()
        pickles = [name for name in names if name == "data.pkl" or name.endswith("/data.pkl")]
        if pickles:
            return _read_torch_zip(archive, pickles[0].removesuffix("data.pkl"))
        if not names or not all(name.endswith(".npy") for name in names):
            return None
    file.seek(0)
    try:
        with np.load(file, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except ValueError as error:
        if "allow_pickle" in str(error):
            raise _ForbiddenError("the pickle of an array of Python objects") from None
        raise


def _read_torch_zip(archive: zipfile.ZipFile, folder: str) -> dict[str, np.ndarray]:
    unpickler = _Unpickler(io.BytesIO(archive.read(f"{folder}data.pkl")))
    content = unpickler.load()
    order = f"{folder}byteorder"
    swapped = order in archive.namelist() and archive.read(order).strip() == b"big"
    storages: dict[str, bytes] = {}
    arrays = {}
    for name, tensor in _tensors(content, unpickler.opcodes):
        key = tensor.storage.key
        if key not in storages:
            storages[key] = archive.read(f"{folder}data/{key}")
        arrays[name] = _array(tensor, storages[key], swapped)
    return arrays


def _read_legacy(file: BinaryIO) -> dict[str, np.ndarray] | None:
    """Arrays of the older form: five pickles (magic, version, machine, content, storage keys), then the storages."""
    if _Unpickler(file).load() != _LEGACY_MAGIC:
        return None
    if _Unpickler(file).load() != _LEGACY_PROTOCOL:
        raise ValueError("an unknown version of the format")
    _Unpickler(file).load()
    unpickler = _Unpickler(file)
    content = unpickler.load()
    storages = {}
    for key in map(str, _Unpickler(file).load()):
        length = int.from_bytes(_exactly(file, 8), "little")
        storages[key] = _exactly(file, length * unpickler.dtypes[key].itemsize)
    return {name: _array(tensor, storages[tensor.storage.key]) for name, tensor in _tensors(content, unpickler.opcodes)}


def _exactly(file: BinaryIO, count: int) -> bytes:
    # Checked before reading, because a damaged count must not allocate memory.
    left = os.fstat(file.fileno()).st_size - file.tell()
    if count > left:
        raise EOFError(f"{count} bytes are declared, but only {left} follow")
    return file.read(count)


def _tensors(content: Any, opcodes: int) -> Iterator[tuple[str, _Tensor]]:
    """Every tensor in nested dictionaries and lists, with its dotted name.

    Raises:
        ValueError: they are nested too deep, or outnumber the opcodes of the pickle. Every object written costs at
            least one opcode, but containers that are referred to twice at every level grow exponentially.
    """
    left = max(opcodes, 1000)
    waiting: list[tuple[str, Any, int]] = [("", content, 0)]
    while waiting:
        prefix, item, depth = waiting.pop()
        left -= 1
        if left < 0 or depth > _DEPTH:
            raise ValueError("dictionaries or lists are nested too deep or refer to each other")
        if isinstance(item, _Tensor):
            yield prefix, item
        elif isinstance(item, Mapping) or (isinstance(item, list | tuple) and not isinstance(item, _Storage)):
            inside = item.items() if isinstance(item, Mapping) else enumerate(item)
            found = [(f"{prefix}.{key}" if prefix else str(key), value, depth + 1) for key, value in inside]
            waiting.extend(reversed(found))


def _array(tensor: _Tensor, data: bytes, swapped: bool = False) -> np.ndarray:
    """The array of a tensor, a view of its storage, after a check of its bounds."""
    storage, shape, strides = tensor.storage, tensor.shape, tensor.strides
    if (
        len(shape) != len(strides)
        or min((*shape, *strides, tensor.offset, storage.first, storage.length), default=0) < 0
    ):
        raise ValueError(f"a tensor of shape {shape} with strides {strides}")
    size = storage.dtype.itemsize
    last = tensor.offset + sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True))
    empty = math.prod(shape) == 0
    held = len(data) // size - storage.first
    if storage.length > held or (not empty and last >= storage.length):
        raise ValueError(f"a tensor of shape {shape} reaches beyond its {min(held, storage.length)} stored values")
    if empty:
        return np.zeros(shape, storage.dtype)
    flat = np.frombuffer(data, storage.dtype)[storage.first + tensor.offset :]
    if swapped:
        flat = flat.byteswap()
    return np.lib.stride_tricks.as_strided(flat, shape, tuple(stride * size for stride in strides), writeable=False)


def _reason(error: BaseException) -> str:
    return str(error).rstrip(".") or type(error).__name__
