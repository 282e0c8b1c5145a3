"""What --input may be, and the dates of what is found."""

import dataclasses
import shutil

import pytest
import toy
from scene_values import first_modality

from jointseg_jax.errors import InputError
from jointseg_jax.mapping.scenes.find import find_scenes, is_single
from jointseg_jax.mapping.scenes.open_all import open_all
from jointseg_jax.sources.raster_tags import iso_date


def test_rasters_in_a_folder(raw, data, tmp_path):
    contract = first_modality(data.contract)
    for name, date in (("a", "T50RKU_20210601T031500"), ("b", "later_2021-06-11")):
        shutil.copy(raw / name / "s2.tif", tmp_path / f"{date}_{name}.tif")
    (tmp_path / "readme.txt").write_text("")
    entries, refused = open_all(find_scenes(tmp_path, contract, tmp_path / "inputs"), contract)
    assert not refused
    assert [e.datetime for e in entries] == ["2021-06-01T03:15:00Z", "2021-06-11T00:00:00Z"]
    assert is_single(tmp_path / "x.tif", contract)
    assert not is_single(tmp_path, contract)


def test_what_is_no_input_is_one_sentence(data, tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        find_scenes(tmp_path / "nowhere", data.contract, tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="contains no scene"):
        find_scenes(tmp_path / "empty", data.contract, tmp_path)
    for text, message in (
        ("{", "cannot be read as JSON"),
        ("{}", "is not a STAC"),
        ('{"type": "Collection"}', "no STAC item"),
    ):
        (tmp_path / "x.json").write_text(text)
        with pytest.raises(InputError, match=message):
            find_scenes(tmp_path / "x.json", data.contract, tmp_path)


def test_another_dataset_is_refused(data, tmp_path):
    first = data.contract.modalities[0]
    other = data.contract.replace(modalities=(dataclasses.replace(first, units="display"),))
    with pytest.raises(InputError, match="does not fit the network"):
        find_scenes(data.root, other, tmp_path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("S2A_MSIL2A_20210601T031541_N0300", "2021-06-01T03:15:41Z"),
        ("2021-06-01T03:15:41.024Z", "2021-06-01T03:15:41Z"),
        ("scene-2021-06-01", "2021-06-01"),
        ("scene20210601", "2021-06-01"),
        ("tile_120210601", ""),
        ("2021", ""),
        ("20211301", ""),
        ("20210230", ""),
    ],
)
def test_dates(text, expected):
    assert iso_date(text) == expected


@pytest.mark.parametrize(
    ("date", "expected", "interval"),
    [
        ("2021-06-01", "2021-06-01T00:00:00Z", ("2021-06-01T00:00:00Z",) * 2),
        ("2021-06-01 03:25", "2021-06-01T03:25:00Z", ("2021-06-01T03:25:00Z",) * 2),
        ("summer 2021", None, None),
        ("01.06.2021", None, None),
        ("2021", None, ("2021-01-01T00:00:00Z", "2021-12-31T23:59:59Z")),
        ("2021-02", None, ("2021-02-01T00:00:00Z", "2021-02-28T23:59:59Z")),
        ("2021-06-01/2021-06-11", None, ("2021-06-01T00:00:00Z", "2021-06-11T23:59:59Z")),
    ],
)
def test_dates_of_datasets_that_were_prepared_unchecked(data, tmp_path, date, expected, interval):
    """A map's records, written last, take ISO times only."""
    for name in ("sites", "index.parquet"):
        (tmp_path / name).symlink_to(data.root / name)
    shutil.copy(data.root / "dataset.json", tmp_path)
    toy.edit_dataset(tmp_path, lambda description: description["sites"][0].update(date=date))
    entries, _ = open_all(find_scenes(tmp_path, data.contract, tmp_path)[:1], data.contract)
    assert entries[0].datetime == expected
    assert entries[0].interval == interval
