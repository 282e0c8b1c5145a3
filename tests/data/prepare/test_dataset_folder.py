"""The folder of a dataset: nothing that preparation did not write is removed or replaced."""

import shutil

import pandas as pd
import pytest
import toy

from jointseg_jax.data.dataset import load
from jointseg_jax.data.prepare.preparation import prepare
from jointseg_jax.errors import InputError
from jointseg_jax.storage import formats
from jointseg_jax.storage.folders import MARKER


def tree(folder):
    """All files below a folder, with their contents; the locks are nobody's data."""
    return {f.relative_to(folder): f.read_bytes() for f in folder.rglob("*") if f.is_file() and f.name[0] != "."}


@pytest.mark.parametrize("placed", ["dataset/sites", "dataset"])
def test_raw_data_where_the_dataset_is_to_lie_are_refused(own, placed):
    """The table of raw sites in the dataset's own folder, and the sites in `DATASET/sites/NAME`."""
    root, config = own
    raw = root.parent / placed
    shutil.copytree(root, raw)
    config.source.root = str(raw)
    before = tree(root.parent)
    with pytest.raises(InputError, match=r"is an input|lies in the output folder .*: choose another folder"):
        prepare(config, say=toy.quiet)
    assert tree(root.parent) == before


def test_raw_data_behind_a_table_elsewhere_are_refused(one):
    """The table lies elsewhere, the site it lists in a folder that a finished dataset would write."""
    folder, config = one
    data = prepare(config, say=toy.quiet)
    target = data.root / "sites" / "new"
    shutil.copytree(folder, target)
    table = pd.DataFrame([{"site": "new", "region": "south", "date": "", "folder": str(target)}])
    table.to_csv(folder.parent / "sites.csv", index=False)
    config.source.only = ()
    config.split.table.train = ("new",)
    before = tree(data.root)
    with pytest.raises(InputError, match=r"the input .*new.* lies in "):
        prepare(config, say=toy.quiet)
    assert tree(data.root) == before


def test_a_folder_of_a_sites_name_that_is_not_ours_is_refused(one):
    folder, config = one
    data = prepare(config, say=toy.quiet)
    (data.root / "sites" / "b").mkdir()
    (data.root / "sites" / "b" / "image.tif").write_text("mine")
    toy.keep_only(config, "a", "b")
    with pytest.raises(InputError, match=r"sites/b was not written by this program, .*move it away"):
        prepare(config, say=toy.quiet)
    assert (data.root / "sites" / "b" / "image.tif").read_text() == "mine"
    shutil.move(data.root / "sites" / "b", folder.parent / "elsewhere")
    assert set(prepare(config, say=toy.quiet).sites) == {"a", "b"}


def test_a_folder_of_other_things_is_refused(one):
    folder, config = one
    root = folder.parent.parent / "dataset"
    root.mkdir()
    (root / "index.parquet").write_text("mine")
    with pytest.raises(InputError, match=r"contains index.parquet but no MADE_BY file of this program: choose a new"):
        prepare(config, say=toy.quiet)
    assert tree(root) == {(root / "index.parquet").relative_to(root): b"mine"}


def test_raw_data_may_lie_beside_the_rasters(own):
    """As the embedded landscape's do: `dataset.path/raw`."""
    root, config = own
    toy.keep_only(config, "a")
    config.path = str(root.parent)
    before = tree(root)
    assert set(prepare(config, say=toy.quiet).sites) == {"a"}
    assert set(prepare(config, say=toy.quiet).sites) == {"a"}
    assert tree(root) == before


@pytest.mark.parametrize("killed", [False, True])
def test_a_dataset_of_before_folders_were_marked_goes_on(one, killed):
    _, config = one
    data = prepare(config, say=toy.quiet)
    (data.root / MARKER).unlink()
    if killed:
        (data.root / "dataset.json").unlink()
    else:
        assert set(load(data.root).sites) == {"a"}
    lines: list[str] = []
    prepare(config, say=lines.append)
    assert sum("already there" in line for line in lines) == 1
    assert (data.root / MARKER).exists()


def test_a_preparation_that_fails_at_once_leaves_no_folder(one):
    folder, config = one
    (folder / "s2.tif").unlink()
    with pytest.raises(InputError, match=r"s2\.tif is missing"):
        prepare(config, say=toy.quiet)
    assert not (folder.parent.parent / "dataset" / MARKER).exists()


def test_a_dataset_outside_utm_is_not_opened(own):
    """Early versions accepted other metres, and their pixels are not square metres."""
    _, config = own
    root = prepare(config, say=toy.quiet).root
    path = root / "dataset.json"
    record = formats.read_record(path, formats.DATASET)
    sites = [{**site, "crs": "EPSG:3857"} for site in record["sites"]]
    formats.write_record(path, {**record, "sites": sites}, formats.DATASET)
    with pytest.raises(InputError, match=r"dataset\.json: site '.' is in EPSG:3857, which is no UTM zone.*warp=True"):
        load(root)
