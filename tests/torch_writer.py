"""Writes files in the format of `torch.save` without PyTorch, for tests: the documented layout, byte by byte."""

import collections
import io
import pickle
import zipfile

import numpy as np

STORAGES = {
    "float64": "DoubleStorage",
    "float32": "FloatStorage",
    "float16": "HalfStorage",
    "bfloat16": "BFloat16Storage",
    "int64": "LongStorage",
    "int32": "IntStorage",
    "int16": "ShortStorage",
    "int8": "CharStorage",
    "uint8": "ByteStorage",
    "bool": "BoolStorage",
    "complex64": "ComplexFloatStorage",
}


class Global:
    """Pickled as the name of something that need not exist here."""

    def __init__(self, module, name):
        self.module, self.name = module, name

    def __call__(self):
        raise AssertionError("only its name is used")


class Storage:
    """A flat array, pickled by reference; `view` (first, length) refers to a part of it (older form only)."""

    def __init__(self, array, view=None):
        self.array, self.view = array, view


class Tensor:
    """A view of a storage; strides in elements."""

    def __init__(self, storage, shape, strides, offset=0, function="_rebuild_tensor_v2"):
        self.storage, self.shape, self.strides, self.offset, self.function = storage, shape, strides, offset, function


class Parameter:
    def __init__(self, tensor):
        self.tensor = tensor


class Call:
    """Pickled as the call of a named function."""

    def __init__(self, module, name, *args):
        self.function, self.args = Global(module, name), args


def tensor(array):
    """A contiguous tensor with a storage of its own."""
    array = np.asarray(array)
    strides = tuple(int(np.prod(array.shape[d + 1 :])) for d in range(array.ndim))
    return Tensor(Storage(np.ascontiguousarray(array).ravel()), array.shape, strides)


class _Pickler(pickle._Pickler):
    def __init__(self, file, views):
        super().__init__(file, protocol=2)
        self.storages = []
        self.views = views

    def save(self, obj, save_persistent_id=True):
        if isinstance(obj, Global):
            self.write(pickle.GLOBAL + f"{obj.module}\n{obj.name}\n".encode())
        else:
            super().save(obj, save_persistent_id)

    def persistent_id(self, obj):
        if not isinstance(obj, Storage):
            return None
        if obj not in self.storages:
            self.storages.append(obj)
        key = str(self.storages.index(obj))
        kind = Global("torch", STORAGES[obj.array.dtype.name])
        reference = ("storage", kind, key, "cpu", obj.array.size)
        return (*reference, obj.view and (f"view{key}", *obj.view)) if self.views else reference

    def reducer_override(self, obj):
        if isinstance(obj, Tensor):
            args = (obj.storage, obj.offset, obj.shape, obj.strides, False, collections.OrderedDict())
            return Global("torch._utils", obj.function), args if obj.function.endswith("v2") else args[:4]
        if isinstance(obj, Parameter):
            return Global("torch._utils", "_rebuild_parameter"), (obj.tensor, True, collections.OrderedDict())
        if isinstance(obj, Call):
            return obj.function, obj.args
        return NotImplemented


def _pickled(content, views=False):
    stream = io.BytesIO()
    pickler = _Pickler(stream, views)
    pickler.dump(content)
    return stream.getvalue(), pickler.storages


def save_zip(path, content, *, folder="archive", byteorder="little"):
    """The form of PyTorch 1.6 and later."""
    data, storages = _pickled(content)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{folder}/data.pkl", data)
        archive.writestr(f"{folder}/byteorder", byteorder)
        for key, storage in enumerate(storages):
            array = storage.array.byteswap() if byteorder == "big" else storage.array
            archive.writestr(f"{folder}/data/{key}", array.tobytes())
        archive.writestr(f"{folder}/version", "3\n")


def save_legacy(path, content):
    """The form before it."""
    data, storages = _pickled(content, views=True)
    with path.open("wb") as file:
        for header in (0x1950A86A20F9469CFC6C, 1001, {"protocol_version": 1001, "little_endian": True}):
            pickle.dump(header, file, protocol=2)
        file.write(data)
        pickle.dump([str(key) for key in range(len(storages))], file, protocol=2)
        for storage in storages:
            file.write(storage.array.size.to_bytes(8, "little") + storage.array.tobytes())
