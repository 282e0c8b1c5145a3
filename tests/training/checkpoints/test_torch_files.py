"""PyTorch files are read without PyTorch: every type and view, damage named, code refused."""

import collections
import os
import pathlib
import pickle
import zipfile

import jax.numpy as jnp
import numpy as np
import pytest
from torch_writer import Call, Global, Parameter, Storage, Tensor, save_legacy, save_zip, tensor

from jointseg_jax.errors import InputError
from jointseg_jax.training.checkpoints.torch_files import read_arrays

pytestmark = pytest.mark.quick
FILES = pathlib.Path(__file__).parents[2] / "data_files"
SAVERS = pytest.mark.parametrize("save", [save_zip, save_legacy])


@pytest.mark.parametrize("name", ["various.pth", "various_legacy.pth"])
def test_files_that_pytorch_wrote(name):
    arrays = read_arrays(FILES / name)
    base = np.arange(24, dtype=np.float32).reshape(4, 6)
    expected = {
        "float": base,
        "transposed": base.T,
        "slice": base[1:3, 2:4],
        "parameter": np.float32([1.5, -2.5]),
        "half": np.float16([0.5, 65504]),
        "bfloat16": np.asarray([1, 3.140625], jnp.bfloat16),
        "double": np.float64([1 / 3]),
        "long": np.int64(7),
        "bool": np.array([True, False]),
        "empty": np.zeros((0, 3), np.float32),
        "nested.list.0": np.zeros(2, np.float32),
    }
    assert list(arrays) == list(expected)
    for key, array in expected.items():
        assert arrays[key].dtype == array.dtype
        np.testing.assert_array_equal(arrays[key], array)


@SAVERS
@pytest.mark.parametrize(
    "dtype",
    ["float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool", "complex64"],
)
def test_every_type(save, dtype, tmp_path):
    array = np.array([[0, 1, 3], [1, 0, 2]]).astype(np.dtype(getattr(jnp, dtype) if dtype == "bfloat16" else dtype))
    save(tmp_path / "a.pth", {"x": tensor(array)})
    (found,) = read_arrays(tmp_path / "a.pth").values()
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)


@SAVERS
def test_views_of_one_storage_and_nesting(save, tmp_path):
    storage = Storage(np.arange(10, dtype=np.float32))
    state = collections.OrderedDict(
        [
            ("row", Tensor(storage, (3,), (1,), offset=2)),
            ("columns", Parameter(Tensor(storage, (2, 3), (1, 2), offset=1))),
            ("repeated", Tensor(storage, (2, 2), (0, 1), offset=8)),
            ("oldest", Tensor(storage, (1,), (1,), offset=9, function="_rebuild_tensor")),
        ]
    )
    state._metadata = collections.OrderedDict(version=1)  # as module.state_dict() leaves it
    save(tmp_path / "a.pth", {"epoch": 3, "params_ema": state, "rates": [0.1, tensor(np.int64(5))]})
    found = read_arrays(tmp_path / "a.pth")
    expected = {
        "params_ema.row": [2, 3, 4],
        "params_ema.columns": [[1, 3, 5], [2, 4, 6]],
        "params_ema.repeated": [[8, 9], [8, 9]],
        "params_ema.oldest": [9],
        "rates.1": 5,
    }
    assert list(found) == list(expected)
    for key, values in expected.items():
        np.testing.assert_array_equal(found[key], values)


def test_parts_of_storages(tmp_path):
    """The older form may refer to a part of a storage and to a tensor within that part."""
    part = Storage(np.arange(8, dtype=np.float32), view=(2, 4))
    save_legacy(tmp_path / "a.pth", {"x": Tensor(part, (3,), (1,), offset=1)})
    np.testing.assert_array_equal(read_arrays(tmp_path / "a.pth")["x"], [3, 4, 5])
    save_legacy(tmp_path / "a.pth", {"x": Tensor(part, (4,), (1,), offset=1)})
    with pytest.raises(InputError, match="reaches beyond its"):
        read_arrays(tmp_path / "a.pth")


def test_big_endian_files(tmp_path):
    save_zip(tmp_path / "a.pth", {"x": tensor(np.float32([1, 2.5]))}, folder="weights", byteorder="big")
    np.testing.assert_array_equal(read_arrays(tmp_path / "a.pth")["x"], np.float32([1, 2.5]))


def test_numpy_files_are_known_by_their_content(tmp_path):
    np.savez(tmp_path / "a.npz", **{"features.0.weight": np.eye(3)})
    (tmp_path / "a.npz").rename(tmp_path / "a.pth")
    found = read_arrays(tmp_path / "a.pth")
    np.testing.assert_array_equal(found["features.0.weight"], np.eye(3))


@SAVERS
@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("os", "system"),
        ("builtins", "eval"),
        ("torch.storage", "_load_from_bytes"),
        ("torch.nn.modules.container", "Sequential"),
        ("collections", "defaultdict"),
        ("torch", "FloatStorage.from_file"),
    ],
)
def test_code_is_refused_by_name_and_not_run(save, module, name, tmp_path):
    mark = tmp_path / "ran"
    save(tmp_path / "a.pth", {"x": tensor(np.zeros(2)), "bad": Call(module, name, f"touch {mark}")})
    with pytest.raises(InputError, match=rf"a\.pth would run {module}\.{name} when it is read, which is refused: "):
        read_arrays(tmp_path / "a.pth")
    assert not mark.exists()


def test_code_is_refused_in_any_pickle(tmp_path):
    """Whatever stands first in a stream of pickles is refused as well, and so are NumPy's object arrays."""

    class Malicious:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'ran'}",)

    (tmp_path / "a.pth").write_bytes(pickle.dumps(Malicious(), protocol=4))
    with pytest.raises(InputError, match=r"would run (posix|nt)\.system"):
        read_arrays(tmp_path / "a.pth")
    np.savez(tmp_path / "b.npz", x=np.array([Malicious()]), allow_pickle=True)
    (tmp_path / "ran").unlink(missing_ok=True)
    with pytest.raises(InputError, match=r"would run the pickle of an array of Python objects"):
        read_arrays(tmp_path / "b.npz")
    assert not (tmp_path / "ran").exists()


def test_pickles_cannot_change_what_they_are_given(tmp_path):
    """A pickle's BUILD sets attributes; on a function of ours they would outlive the file."""
    data = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n}X\x08\x00\x00\x00functionK\x01sb."
    with zipfile.ZipFile(tmp_path / "a.pth", "w") as archive:
        archive.writestr("a/data.pkl", data)
    with pytest.raises(InputError, match="damaged"):
        read_arrays(tmp_path / "a.pth")


@pytest.mark.parametrize(
    ("shape", "strides", "offset"),
    [((5,), (1,), 0), ((2,), (1,), 3), ((2, 2), (3, 1), 0), ((2,), (-1,), 1), ((2,), (1,), -1), ((2, 2), (1,), 0)],
)
def test_tensors_stay_inside_their_storage(shape, strides, offset, tmp_path):
    save_zip(tmp_path / "a.pth", {"x": Tensor(Storage(np.zeros(4, np.float32)), shape, strides, offset)})
    with pytest.raises(InputError, match=r"a\.pth is damaged or truncated \(a tensor of shape"):
        read_arrays(tmp_path / "a.pth")


@SAVERS
def test_a_file_cut_anywhere_is_an_input_error(save, tmp_path):
    path = tmp_path / "a.pth"
    save(path, {"params": {"x": tensor(np.arange(12, dtype=np.float32)), "y": tensor(np.ones((2, 2)))}})
    whole = path.read_bytes()
    assert len(read_arrays(path)) == 2
    for length in range(0, len(whole) - 1, 7):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"a\.pth (is damaged or truncated|contains no weights)"):
            read_arrays(path)


@pytest.mark.parametrize(
    "damage",
    [
        (b"q\x00", b"r\x00\x00\x00\xff"),  # place 4278190080 of the memo: 34 GB
        (b"\x80\x02}", b"\x80\x05\x96\x00\x00\x00\x00\x00\x00\x00\x00"),  # a byte array, of protocol 5
    ],
    ids=["memo", "protocol"],
)
def test_damage_does_not_take_all_memory(damage, tmp_path):
    path = tmp_path / "a.pth"
    save_legacy(path, {"x": tensor(np.zeros(2))})
    whole = path.read_bytes()
    at = whole.rindex(b"\x80\x02}")  # the content
    path.write_bytes(whole[:at] + whole[at:].replace(*damage, 1))
    with pytest.raises(InputError, match=r"damaged or truncated \((memo slot 4278190080|an opcode BYTEARRAY8)"):
        read_arrays(path)


def test_what_is_no_weight_file(tmp_path):
    missing = tmp_path / "missing.pth"
    for path in (missing, tmp_path):
        with pytest.raises(InputError, match="is not a file: give the path of"):
            read_arrays(path)
    text = tmp_path / "page.pth"
    text.write_text("<html>404</html>")
    archive = tmp_path / "docs.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("readme.txt", "no weights")
    plain = tmp_path / "numbers.pth"
    plain.write_bytes(pickle.dumps({"epoch": 3}, protocol=2))
    empty = tmp_path / "empty.pth"
    save_zip(empty, {"epoch": 3, "storage": Storage(np.zeros(1, np.float32)), "type": Global("torch", "FloatStorage")})
    for path in (text, archive, plain, empty):
        with pytest.raises(InputError, match=rf"{path.name} contains no weights: give a file written by"):
            read_arrays(path)


def doubling(levels):
    """A pickle of a list that holds a list twice, which holds a list twice, and so on."""
    twice = b"".join(b"](" + b"h" + bytes([i]) + b"h" + bytes([i]) + b"eq" + bytes([i + 1]) for i in range(levels))
    return b"\x80\x02]q\x00" + twice + b"."


@pytest.mark.parametrize("content", [doubling(200), b"\x80\x02" + b"]" * 5000 + b"a" * 4999 + b"."])
def test_lists_within_lists_without_end(tmp_path, content):
    with zipfile.ZipFile(tmp_path / "bomb.pth", "w") as archive:
        archive.writestr("archive/data.pkl", content)
    with pytest.raises(InputError, match=r"bomb\.pth is damaged .*lists are nested too deep"):
        read_arrays(tmp_path / "bomb.pth")
