"""Files are whole or absent."""

import contextlib
import errno
import os
import subprocess
import sys

import pytest

from jointseg_jax.storage import files

pytestmark = pytest.mark.quick


def test_a_failed_block_leaves_the_old_file(tmp_path):
    path = tmp_path / "x.txt"
    files.write_text(path, "old")
    with contextlib.suppress(RuntimeError), files.atomic_path(path) as temporary:
        temporary.write_text("half")
        assert path.read_text() == "old"
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_temporary_name_keeps_the_suffix(tmp_path):
    with files.atomic_path(tmp_path / "deep" / "x.tif") as temporary:
        assert temporary.suffix == ".tif"
        temporary.write_bytes(b"1")
    assert (tmp_path / "deep" / "x.tif").read_bytes() == b"1"


def test_what_killed_writers_left_is_swept_when_it_is_old(tmp_path):
    old, fresh = tmp_path / ".partial-1-x.txt", tmp_path / ".partial-2-x.txt"
    old.write_text("")
    fresh.write_text("")
    os.utime(old, (0, 0))
    files.write_text(tmp_path / "x.txt", "new")
    assert not old.exists()
    assert fresh.exists()


def test_what_a_killed_writer_left_goes_with_the_next_write(tmp_path):
    script = """
import os, signal, sys
from jointseg_jax.storage.files import atomic_path
with atomic_path(sys.argv[1]) as temporary:
    temporary.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "x.txt")], check=False)
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".partial-")
    of_a_running_one = files.partial(tmp_path / "z.txt")
    of_a_running_one.write_text("")
    files.write_text(tmp_path / "y.txt", "new")
    assert sorted(tmp_path.iterdir()) == sorted([tmp_path / "y.txt", of_a_running_one])


def test_an_error_names_the_file_and_not_its_temporary_name(tmp_path):
    path = tmp_path / "x.txt"
    with pytest.raises(OSError, match="No space") as raised, files.atomic_path(path):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert raised.value.filename == str(path)
    with pytest.raises(FileNotFoundError) as raised, files.atomic_path(path):  # the block wrote nothing
        pass
    assert raised.value.filename == str(path)


def test_json_keeps_order_and_refuses_nan(tmp_path):
    files.write_json(tmp_path / "x.json", {"b": 1, "a": [1.5, None, "é"]})
    assert list(files.read_json(tmp_path / "x.json")) == ["b", "a"]
    with pytest.raises(ValueError, match="JSON"):
        files.write_json(tmp_path / "x.json", {"a": float("nan")})
    assert files.read_json(tmp_path / "x.json")["b"] == 1


def test_sha256(tmp_path):
    (tmp_path / "x").write_bytes(b"abc")
    assert files.sha256(tmp_path / "x").startswith("ba7816bf")


@pytest.mark.parametrize("size", [0, 1000, 3_000_001])
def test_a_sample_of_a_file_tells_changes(tmp_path, size):
    path = tmp_path / "x"
    path.write_bytes(b"a" * size)
    digest = files.sampled_sha256(path)
    os.utime(path, (0, 0))
    assert files.sampled_sha256(path) == digest
    path.write_bytes(b"a" * (size + 1))
    assert files.sampled_sha256(path) != digest
    for place in (0, size // 2, size - 1):
        text = bytearray(b"a" * size)
        text[place : place + 40_000] = b"b" * len(text[place : place + 40_000])
        path.write_bytes(text)
        assert (files.sampled_sha256(path) != digest) == (size > 0)


def test_ids_of_scenes_become_names_of_files_that_stay_apart():
    names = ["S2A_MSIL2A_20210601", "a/b", "a b", "a_b", "..", "é", "x" * 300]
    found = [files.file_name(n) for n in names]
    assert found[0] == names[0]
    assert len(set(found)) == len(names)
    assert all("/" not in f and f not in ("", ".", "..") and len(f) < 150 for f in found)


def test_a_file_in_the_place_of_a_folder_is_named(tmp_path):
    (tmp_path / "x").write_text("")
    with pytest.raises(NotADirectoryError) as caught:
        files.write_text(tmp_path / "x" / "y", "")
    assert caught.value.filename == str(tmp_path / "x")


def _pipe(path):
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("make", "said"),
    [(_pipe, "pipe"), (os.mkdir, "folder"), (lambda path: path.symlink_to("/dev/zero"), "device")],
    ids=("pipe", "folder", "device"),
)
@pytest.mark.parametrize("read", [files.read_json, files.sha256, files.sampled_sha256])
def test_what_is_no_file_is_refused_at_once(tmp_path, make, said, read):
    """Reading it would never end."""
    make(tmp_path / "x")
    with pytest.raises(OSError, match=said):
        read(tmp_path / "x")
