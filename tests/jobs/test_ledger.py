"""Rows of the ledger: damaged rows do not count, and the files are as their row says."""

import json
import os
import subprocess
import sys
import time

import pytest

from jointseg_jax import __version__
from jointseg_jax.jobs.ledger import Ledger
from jointseg_jax.storage import files, formats

pytestmark = pytest.mark.quick


@pytest.fixture
def said():
    return []


@pytest.fixture
def ledger(tmp_path, said):
    return Ledger(tmp_path / "product" / "ledger", say=said.append)


def add(ledger, unit="50N_0051_0340", data=b"map", **row):
    path = ledger.product / "tiles" / unit / "map.tif"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return ledger.add(unit, row, {"map": path})


def test_a_row_is_what_was_given_with_what_the_ledger_adds(ledger, said):
    row = add(ledger, bounds=(0.1, 2, 3e-17, -1e300), datetime=None, scene="é", nested={"b": 1, "a": [True]})
    assert row == {
        "unit": "50N_0051_0340",
        "bounds": [0.1, 2, 3e-17, -1e300],
        "datetime": None,
        "scene": "é",
        "nested": {"b": 1, "a": [True]},
        "files": {"map": {"path": "tiles/50N_0051_0340/map.tif", "sha256": files.sha256(_map(ledger)), "bytes": 3}},
        "format": {"name": "ledger row", "version": formats.LEDGER.version, "software": __version__},
        "checksum": row["checksum"],
    }
    assert ledger.done() == {"50N_0051_0340": row}
    assert ledger.row("50N_0051_0340") == row
    assert files.read_json(ledger.folder / "50N_0051_0340.json") == row
    assert ledger.find("50N_0051_0340", deep=True) == row
    assert ledger.find("50N_0051_0341") is None
    assert not said


def _map(ledger, unit="50N_0051_0340"):
    return ledger.product / "tiles" / unit / "map.tif"


def test_an_empty_ledger_makes_nothing(ledger):
    assert ledger.done() == {}
    assert ledger.row("a") is None
    assert ledger.find("a") is None
    assert not ledger.product.exists()


def replace(path, before, after):
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


DAMAGE = {
    "a pipe": lambda path: (path.unlink(), os.mkfifo(path)),
    "torn": lambda path: os.truncate(path, path.stat().st_size - 20),
    "empty": lambda path: path.write_text(""),
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "latin": lambda path: path.write_bytes(b'{"a": "\xe9"}'),
    "list": lambda path: path.write_text("[1]"),
    "no checksum": lambda path: path.write_text('{"unit": "damaged", "files": {}}'),
    "edited": lambda path: replace(path, '"impervious_m2": 3', '"impervious_m2": 4'),
    "edited inside": lambda path: replace(path, '"bytes": 3', '"bytes": 4'),
    "no files": lambda path: files.write_json(path, formats.seal({"unit": path.stem}, formats.LEDGER)),
    "another's": lambda path: path.write_text(path.with_name("whole.json").read_text()),
}


@pytest.mark.parametrize("how", DAMAGE)
def test_a_damaged_row_does_not_count_and_is_reported(ledger, said, how):
    add(ledger, "whole", impervious_m2=3)
    add(ledger, "damaged", impervious_m2=3)
    assert set(ledger.done()) == {"damaged", "whole"}
    DAMAGE[how](ledger.folder / "damaged.json")
    assert set(ledger.done()) == {"whole"}
    assert len(said) == 1
    assert str(ledger.folder / "damaged.json") in said[0]
    assert "does not count" in said[0]
    assert ledger.find("damaged") is None
    add(ledger, "damaged", impervious_m2=3)
    assert set(ledger.done()) == {"damaged", "whole"}


def test_a_row_written_in_another_layout_counts(ledger, said):
    """The checksum covers the values, not the layout of the JSON."""
    add(ledger, "a", share=0.1, name="é")
    path = ledger.folder / "a.json"
    path.write_text(json.dumps(dict(reversed(json.loads(path.read_text()).items()))))
    assert set(ledger.done()) == {"a"}
    assert not said


def test_other_files_in_the_folder_are_not_rows(ledger, said):
    add(ledger, "a")
    for name in (".partial-7-ab-b.json", ".nfs0001.json", "notes.txt", "b.json~"):
        (ledger.folder / name).write_text("{")
    assert set(ledger.done()) == {"a"}
    assert not said


@pytest.mark.parametrize(
    ("damage", "deep", "sentence"),
    [
        (lambda p: p.unlink(), False, "is missing"),
        (lambda p: p.write_bytes(b"longer"), False, "has 6 bytes where its row says 3"),
        (lambda p: p.write_bytes(b""), False, "has 0 bytes where its row says 3"),
        (lambda p: p.write_bytes(b"mad"), True, "has another SHA-256 than its row says"),
    ],
)
def test_files_that_are_not_as_the_row_says(ledger, said, damage, deep, sentence):
    add(ledger)
    damage(_map(ledger))
    if deep:  # the size fits
        assert ledger.find("50N_0051_0340")
        assert not said
    assert ledger.find("50N_0051_0340", deep) is None
    assert ledger.row("50N_0051_0340") is None
    assert len(said) == 1
    assert f"{_map(ledger)} {sentence}" in said[0]
    assert "50N_0051_0340 will be done again" in said[0]


@pytest.mark.parametrize("name", ["", ".", "..", ".a", "../a", "a/b", "a\n", "a b", "-a", "é", "a" * 201, "a\0"])
def test_names_that_cannot_be_files_are_refused(ledger, name):
    with pytest.raises(ValueError, match="cannot name a unit"):
        ledger.add(name, {}, {})


def test_rows_that_cannot_be_written_are_refused_and_leave_nothing(ledger, tmp_path):
    (tmp_path / "outside").write_text("")
    for row, given, error in (
        ({"a": float("nan")}, {}, ValueError),
        ({"files": {}}, {}, ValueError),
        ({"checksum": ""}, {}, ValueError),
        ({"a": object()}, {}, TypeError),
        ({}, {"x": tmp_path / "outside"}, ValueError),
        ({}, {"x": ledger.product / ".." / "outside"}, ValueError),
        ({}, {"x": ledger.product / "missing"}, FileNotFoundError),
    ):
        with pytest.raises(error):
            ledger.add("a", row, given)
    assert ledger.done() == {}


def test_a_product_may_be_moved_and_reached_by_a_link(ledger, tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "product")
    add(ledger, "a")
    linked = Ledger(tmp_path / "link" / "ledger")
    linked.add("b", {}, {"map": ledger.product / "tiles" / "a" / "map.tif"})
    ledger.add("c", {}, {"map": tmp_path / "link" / "tiles" / "a" / "map.tif"})
    ledger.product.rename(tmp_path / "moved")
    moved = Ledger(tmp_path / "moved" / "ledger")
    assert set(moved.done()) == {"a", "b", "c"}
    assert all(moved.find(unit, deep=True) for unit in moved.done())


WRITER = """
import pathlib, sys
from jointseg_jax.storage.files import atomic_path
from jointseg_jax.jobs.ledger import Ledger
ledger, number = Ledger(sys.argv[1]), int(sys.argv[2])
path = ledger.product / "map.bin"
for _ in range(150):
    with atomic_path(path) as temporary:
        temporary.write_bytes(b"%d" % number * 50_000)
    ledger.add("shared", {"writer": number}, {"map": path})
    own = ledger.product / f"own{number}.bin"
    own.write_bytes(b"x")
    ledger.add(f"own{number}", {}, {"map": own})
"""


def test_several_processes_write_one_unit_with_other_bits_each(ledger, said):
    """The row describes the file of the last writer, and readers see whole rows all the time."""
    ledger.product.mkdir(parents=True)
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(ledger.folder), str(number)]) for number in range(4)]
    seen = 0
    while any(writer.poll() is None for writer in writers):
        seen += ledger.row("shared") is not None
        time.sleep(0.001)
    assert [writer.returncode for writer in writers] == [0] * 4
    assert seen > 10
    assert not said
    assert set(ledger.done()) == {"shared", "own0", "own1", "own2", "own3"}
    assert ledger.find("shared", deep=True), said


def test_rows_of_version_1_count_and_newer_ones_stop_the_run(ledger, said):
    row = add(ledger, "a", share=0.1)
    path = ledger.folder / "a.json"
    old = {k: v for k, v in row.items() if k not in ("format", "checksum")}
    files.write_json(path, {**old, "checksum": formats.checksum(old)})
    assert set(ledger.done()) == {"a"}
    files.write_json(path, formats.seal(old, formats.Format("ledger row", 9, "")))
    with pytest.raises(formats.Newer, match=r"a\.json was written by jointseg-jax .*upgrade"):
        ledger.done()
    assert not said
