"""An output folder is empty, new, or ours; nothing else is written to, and no input is."""

import dataclasses
import json
import multiprocessing
import os
import threading

import pytest

from jointseg_jax.errors import InputError
from jointseg_jax.storage import formats
from jointseg_jax.storage.folders import MARKER, check_apart, check_file, claim

pytestmark = pytest.mark.quick


def names(folder):
    return sorted(f.name for f in folder.iterdir())


def test_a_new_an_empty_and_our_own_folder_are_taken(tmp_path):
    for _ in range(2):  # without a lock, which some file systems do not have
        with claim(tmp_path / "deep" / "new", "map", run={"network": "a"}, names=["x.tif"]) as taken:
            (taken.folder / "x.tif").write_text("1")
    assert names(tmp_path / "deep" / "new") == [MARKER, "x.tif"]
    (tmp_path / "empty").mkdir()
    with claim(tmp_path / "empty", "map"):
        (tmp_path / "empty" / "x.tif").write_text("1")
    assert names(tmp_path / "empty") == [MARKER, "x.tif"]


@pytest.mark.parametrize("name", ["README.md", "image.tif", "items"])
def test_a_folder_of_others_is_left_as_it_is(tmp_path, name):
    (tmp_path / name).mkdir() if name == "items" else (tmp_path / name).write_text("mine")
    with pytest.raises(InputError, match=rf"contains {name} but no {MARKER} .*: choose a new or an empty folder"):
        with claim(tmp_path, "map"):
            pass
    assert names(tmp_path) == [name]


@pytest.mark.parametrize("name", [".DS_Store", ".gitignore", "lost+found", "slurm-1.out", "train.log"])
def test_what_systems_and_shells_leave_does_not_count(tmp_path, name):
    (tmp_path / name).write_text("")
    with claim(tmp_path, "map"):
        pass


def test_where_this_process_prints_to_does_not_count(tmp_path, monkeypatch):
    with (tmp_path / "output.txt").open("w") as out:
        monkeypatch.setattr("sys.stdout", out)
        with claim(tmp_path, "map"):
            pass


def test_a_folder_belongs_to_one_run_and_to_one_kind(tmp_path):
    with claim(tmp_path / "x", "map", run={"network": "a", "scene": "s"}):
        (tmp_path / "x" / "image.tif").write_text("1")
    with pytest.raises(
        InputError, match=r"map of another run \(network: a there, b here\): choose another folder or remove it"
    ):
        with claim(tmp_path / "x", "map", run={"network": "b", "scene": "s"}):
            pass
    with pytest.raises(InputError, match="contains a map, but this is a training run: choose another folder"):
        with claim(tmp_path / "x", "training run"):
            pass
    assert names(tmp_path / "x") == [MARKER, "image.tif"]


def test_a_run_that_fails_before_it_wrote_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError), claim(tmp_path / "new", "map"):
        raise RuntimeError
    assert names(tmp_path) == []

    def begin():
        with claim(tmp_path, "map") as taken:
            (taken.folder / "x").write_text("")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        begin()
    assert names(tmp_path) == [MARKER, "x"]


def test_inputs_may_not_lie_in_the_output(tmp_path):
    scene, out = tmp_path / "scene", tmp_path / "out"
    scene.mkdir()
    (scene / "s2.tif").write_text("1")
    for folder, read in ((scene, scene), (scene, scene / "s2.tif"), (tmp_path, scene)):
        with pytest.raises(InputError, match=r"is an input|lies in the output folder .*: choose another folder"):
            check_apart(folder, [read])
    check_apart(scene / "map", [scene, scene / "s2.tif"])
    check_apart(out, [scene])
    out.symlink_to(scene)
    with pytest.raises(InputError, match="is an input"):
        check_apart(out, [scene])
    out.unlink()
    out.mkdir()
    (out / "link.tif").symlink_to(scene / "s2.tif")
    with pytest.raises(InputError, match="lies in"):
        check_apart(out, [out / "link.tif"])


def test_inputs_may_lie_beside_what_is_written_where_that_is_said(tmp_path):
    (tmp_path / "raw").mkdir()
    with claim(tmp_path, "dataset", inputs=[tmp_path / "raw"], beside=["sites"]):
        (tmp_path / "sites").mkdir()
    for given in (tmp_path, tmp_path / "sites" / "a"):
        with pytest.raises(InputError, match=r"is an input|lies in"):
            check_apart(tmp_path, [given], ["sites"])
    (tmp_path / MARKER).unlink()
    with pytest.raises(InputError, match="contains sites but no"):
        with claim(tmp_path, "dataset", inputs=[tmp_path / "raw"], beside=["sites"]):
            pass


def test_only_listed_files_are_replaced_and_removed(tmp_path):
    with claim(tmp_path, "product") as taken:
        taken.announce(["items/a.json", "items/b.json", "c.json"])
        for name in ("items/a.json", "items/b.json", "c.json"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text("ours")
    (tmp_path / "items" / "own.json").write_text("mine")
    with claim(tmp_path, "product") as taken:
        with pytest.raises(InputError, match=r"items/own.json was not written by this program .*: move it"):
            taken.announce(["items/own.json"])
        taken.announce(["items/a.json"])
        taken.sweep(["items/a.json"], under="items/")
    assert names(tmp_path / "items") == ["a.json", "own.json"]
    assert (tmp_path / "c.json").exists()
    assert json.loads((tmp_path / MARKER).read_text())["files"] == ["c.json", "items/a.json"]


def test_older_output_is_recognised(tmp_path):
    (tmp_path / "plan").write_text("")
    with claim(tmp_path, "product", older=lambda folder: ["plan"] if (folder / "plan").exists() else None) as taken:
        assert taken.files == {"plan"}
    with claim(tmp_path, "product") as taken:
        assert taken.files == {"plan"}


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format": 1}', '{"format": "x"}'])
def test_a_damaged_marker_is_one_sentence(tmp_path, content):
    (tmp_path / MARKER).write_text(content)
    with pytest.raises(InputError, match=rf"{MARKER} is damaged"):
        with claim(tmp_path, "map"):
            pass


def test_a_newer_marker_is_one_sentence(tmp_path):
    with claim(tmp_path, "map"):
        pass
    newer = dataclasses.replace(formats.FOLDER, version=formats.FOLDER.version + 1)
    formats.write_record(tmp_path / MARKER, {"owner": "me"}, newer)
    with pytest.raises(InputError, match=rf"{MARKER} was written by .*: upgrade jointseg-jax"):
        with claim(tmp_path, "map"):
            pass


def _race(folder, network, go, ends):
    go.wait()
    try:
        with claim(folder, "map", run={"network": network}):
            (folder / "x.tif").write_text(network)
        ends.put("taken")
    except InputError as error:
        ends.put(str(error))


def test_of_two_runs_at_once_one_gets_the_folder(tmp_path):
    context = multiprocessing.get_context("spawn")
    go, ends = context.Event(), context.Queue()
    runs = [context.Process(target=_race, args=(tmp_path / "x", network, go, ends)) for network in "ab"]
    for run in runs:
        run.start()
    go.set()
    found = sorted(ends.get(timeout=60) for _ in runs)
    for run in runs:
        run.join()
    assert "another run" in found[0]
    assert found[1] == "taken"


def test_files_that_belong_together_have_one_writer_at_a_time(tmp_path):
    """A lock excludes another claim of this process as it does one of another process."""
    with claim(tmp_path / "x", "map", names=["a"], others="refuse") as first:
        with pytest.raises(InputError, match=r"x is in use by another map \(process \d+ on .*\): wait until it ends"):
            with claim(tmp_path / "x", "map", names=["b"], others="refuse"):
                pass
        (tmp_path / "x" / "a").write_text("first")
        first.announce(["c"])
    assert names(tmp_path / "x") == [".lock", MARKER, "a"]
    with claim(tmp_path / "x", "map", names=["b"], others="refuse") as second:
        second.sweep(["b"])
    assert names(tmp_path / "x") == [".lock", MARKER]
    with pytest.raises(RuntimeError), claim(tmp_path / "y", "map", others="refuse"):
        raise RuntimeError
    assert names(tmp_path) == ["x"]


def test_a_process_may_wait_for_its_turn(tmp_path):
    order = []

    def second():
        with claim(tmp_path / "x", "map", others="wait"):
            order.append("second")

    waiting = threading.Thread(target=second)
    with claim(tmp_path / "x", "map", others="wait"):
        waiting.start()
        waiting.join(0.2)
        order.append("first")
    waiting.join(60)
    assert order == ["first", "second"]


def test_a_file_where_the_folder_should_be(tmp_path):
    (tmp_path / "file").write_text("mine")
    for folder in (tmp_path / "file", tmp_path / "file" / "deeper"):
        with pytest.raises(InputError, match=r"file is a file|cannot be written .*: choose another folder"):
            with claim(folder, "map"):
                pass
    assert (tmp_path / "file").read_text() == "mine"


def test_an_output_file_is_new_or_ours(tmp_path):
    read, table = tmp_path / "read.gpkg", tmp_path / "table.csv"
    read.write_text("x")
    ours = lambda path: path.read_text().startswith("share")  # noqa: E731
    check_file(table, "table", ours, [read])
    table.write_text("share,1")
    check_file(table, "table", ours, [read])
    table.write_text("mine")
    with pytest.raises(InputError, match="exists and is not a table of this program: choose another name"):
        check_file(table, "table", ours, [read])
    with pytest.raises(InputError, match="is a folder, but the table is written to a file"):
        check_file(tmp_path, "table", ours)
    with pytest.raises(InputError, match="is an input"):
        check_file(read, "table", lambda path: True, [read])
    os.link(read, tmp_path / "same.gpkg")
    with pytest.raises(InputError, match="exists and is not a table"):
        check_file(tmp_path / "same.gpkg", "table", ours, [read])
