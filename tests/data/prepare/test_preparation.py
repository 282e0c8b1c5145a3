"""From raw rasters to a dataset: contents, restart, and one clear sentence for everything that can be wrong."""

import shutil

import numpy as np
import pandas as pd
import pytest
import rasterio
import toy

from jointseg_jax import __version__
from jointseg_jax.data import dataset as datasets
from jointseg_jax.data.prepare.preparation import prepare
from jointseg_jax.errors import InputError
from jointseg_jax.storage import formats
from jointseg_jax.storage.files import read_json


def test_contents(data, raw):
    contract = data.contract
    assert [m.name for m in contract.modalities] == ["s2", "s2_20m", "s1", "dem"]
    assert contract.image_bands == ("B04", "B03", "B02")
    s2 = contract.primary
    assert (s2.scale, s2.offset, s2.nodata, s2.units) == (1e-4, -1000.0, 0.0, "reflectance")
    assert s2.statistics is not None
    assert all(0.05 < m < 0.6 for m in s2.statistics.mean)
    days = [column for m in (*contract.modalities, "label") for column in datasets.day_columns(getattr(m, "name", m))]
    assert list(data.index.columns) == [*datasets.INDEX_COLUMNS, *days, datasets.TRUSTED]
    assert data.index[datasets.TRUSTED].isna().all()  # no vectors, nothing was judged
    assert set(data.index["split"]) == {"train", "validation", "test"}
    assert data.index["impervious_fraction"].between(0, 1).all()
    site = data.sites["a"]
    with rasterio.open(data.root / site.layers["s2"][0]) as stored, rasterio.open(raw / "a" / "s2.tif") as given:
        np.testing.assert_array_equal(stored.read()[:, :-6], given.read()[:, :-6])  # the cloud is in the last rows
        assert stored.block_shapes[0] == (256, 256) or stored.shape < (256, 256)
        assert stored.compression.name == "zstd"
    with rasterio.open(data.root / site.layers["s1"][0]) as stored:
        assert stored.dtypes[0] == "float32"


def test_clouds_and_nodata_are_invalid_and_ignored(data):
    site = data.sites["a"]
    with rasterio.open(data.root / site.layers["s2"][0]) as raster:
        s2 = raster.read(1)
    with rasterio.open(data.root / site.label) as raster:
        label = raster.read(1)
    assert (s2[:2, :3] == 0).all()
    assert (s2[-4:, -6:] == 0).all()
    assert (s2[2:-4, 3:-6] > 0).all()
    assert (label[:20, :30] == 255).all()
    assert (label[-40:, -60:] == 255).all()
    assert set(np.unique(label[40:-60])) == {0, 1}


def test_image_units_follow_the_input(data):
    """The toy image is round(250 v + 2) and its reflectance v / 2: gain 1 / 500, offset -2 / 500."""
    for site in data.sites.values():
        np.testing.assert_allclose(site.image_gain, 1 / 500, rtol=0.03)
        np.testing.assert_allclose(site.image_offset, -2 / 500, atol=0.004)


def test_a_second_run_keeps_what_is_there(own):
    root, config = own
    toy.keep_only(config, "a", "b")
    config.inputs = ("s2",)
    prepare(config, say=toy.quiet)
    folder = root.parent / "dataset"
    before = (folder / "sites" / "a" / "s2.tif").stat().st_mtime_ns
    lines: list[str] = []
    prepare(config, say=lines.append)
    assert (folder / "sites" / "a" / "s2.tif").stat().st_mtime_ns == before
    assert sum("already there" in line for line in lines) == 2
    (root / "a" / "label.tif").touch()
    lines.clear()
    prepare(config, say=lines.append)
    assert sum("already there" in line for line in lines) == 1


def test_a_killed_preparation_leaves_no_dataset(own):
    root, config = own
    toy.keep_only(config, "a", "d")
    (root / "d" / "s1.tif").write_text("")
    with pytest.raises(InputError, match=r"s1\.tif"):
        prepare(config, say=toy.quiet)
    assert not (root.parent / "dataset" / "dataset.json").exists()


def test_one_bad_site_does_not_stop_the_others(own):
    root, config = own
    toy.keep_only(config, "a", "b", "c")
    config.inputs = ("s2",)
    path = root / "b" / "s2.tif"
    path.write_bytes(path.read_bytes()[:600])
    lines: list[str] = []
    with pytest.raises(InputError, match=r"1 of 3 sites could not be prepared.*s2\.tif"):
        prepare(config, say=lines.append)
    assert sum(", prepared" in line for line in lines) == 2
    assert not (root.parent / "dataset" / "dataset.json").exists()


def test_dataset_json_is_versioned(data):
    description = read_json(data.root / "dataset.json")
    assert description["format"] == {"name": "dataset", "version": formats.DATASET.version, "software": __version__}
    assert [s["name"] for s in description["sites"]] == ["a", "b", "c", "d"]
    assert "offset -1000" in description["sites"][0]["notes"][0]


BAD_INPUTS = [
    ("s2.tif", {"bands": ("B02", "B03", "B04")}, "lacks band B08"),
    ("s2.tif", {"crs": "EPSG:4326"}, "degrees"),
    ("s2.tif", {"crs": "EPSG:32651"}, "warp one"),
    ("s2.tif", {"RADIO_ADD_OFFSET": "0", "boa_offset_applied": "false", "values": lambda s: s}, None),
    ("s2.tif", {"dtype": "float32"}, "digital numbers"),
    ("s2.tif", {"values": lambda s: np.where(s > 0, (s.astype(int) - 1000) // 2, 0)}, "should include"),
    ("s2.tif", {"values": np.zeros_like}, "has no data"),
    ("label.tif", {"drop": 10}, "does not lie on the pixels"),
    ("label.tif", {"values": lambda s: s + 5}, r"codes \[5, 6\]"),
    ("image.tif", {"bands": ("R",)}, "the image needs 3"),
    ("s1.tif", {"crs": "EPSG:32651"}, "warp both"),
    ("image.tif", {"values": lambda s: 255 - s}, "same ground"),
]


@pytest.mark.parametrize(("file", "change", "message"), BAD_INPUTS, ids=[f"{f}, {m}" for f, _, m in BAD_INPUTS])
def test_bad_inputs_are_named(own, file, change, message):
    root, config = own
    toy.keep_only(config, "a")
    toy.rewrite(root / "a" / file, **change)
    if message is None:  # the product's own offset wins over the flag
        prepare(config, say=toy.quiet)
        return
    with pytest.raises(InputError, match=message) as caught:
        prepare(config, say=toy.quiet)
    assert file in str(caught.value) or "site 'a'" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_offset_nobody_stated_is_asked_for(own):
    root, config = own
    toy.keep_only(config, "a")
    toy.rewrite(root / "a" / "s2.tif", keep_tags=False)
    with pytest.raises(InputError, match="RADIO_ADD_OFFSET=-1000"):
        prepare(config, say=toy.quiet)


def test_removed_offset_is_put_back(own):
    """Sites with and without +1000 end in one convention."""
    root, config = own
    toy.keep_only(config, "a", "b")
    config.inputs = ("s2",)
    toy.rewrite(root / "a" / "s2.tif", values=lambda s: np.where(s > 0, (s - 1000) // 2, 0), RADIO_ADD_OFFSET="0")
    data = prepare(config, say=toy.quiet)
    with rasterio.open(data.root / "sites" / "a" / "s2.tif") as raster:
        stored = raster.read()
    assert stored[stored > 0].min() > 1000


def test_warping_is_asked_for_and_works(own):
    """A site whose inputs lie half a pixel off is refused, or warped on request."""
    root, config = own
    toy.keep_only(config, "a")
    config.inputs = ("s2", "s1")
    with rasterio.open(root / "a" / "s1.tif") as raster:
        shifted = raster.transform * rasterio.Affine.translation(0.5, 0.5)
    toy.rewrite(root / "a" / "s1.tif", transform=shifted)
    with pytest.raises(InputError, match="fraction of a pixel"):
        prepare(config, say=toy.quiet)
    config.warp = True
    data = prepare(config, say=toy.quiet)
    assert data.sites["a"].height == 36


def test_blocks_leave_a_gap(own):
    from split_gap import gap_between

    root, config = own
    toy.write_site(root / "e", 4, 96, 96)
    table = pd.read_csv(root / "sites.csv")
    table.loc[len(table)] = {"site": "e", "region": "south", "date": "2021", "folder": "e"}
    table.to_csv(root / "sites.csv", index=False)
    config.source.only, config.inputs = ("e",), ("s2",)
    config.split.by = "block"
    config.split.block, config.split.gap, config.split.halo, config.split.tolerance = 32, 10, 2, 0.1
    config.patch = 8
    data = prepare(config, say=toy.quiet)
    with rasterio.open(data.root / data.sites["e"].split) as raster:
        codes = raster.read(1)
    assert set(np.unique(codes)) == {0, 1, 2, 3}
    assert gap_between(codes) >= 10
    for row in data.index.itertuples():
        part = codes[row.row : row.row + row.height, row.col : row.col + row.width]
        assert (part == {"train": 1, "validation": 2, "test": 3}[row.split]).all()


def test_split_table_must_fit(own):
    _, config = own
    config.split.table.train = ("a",)
    with pytest.raises(InputError, match=r"sites \['b'\] are in no split"):
        prepare(config, say=toy.quiet)
    config.split.table.train = ("a", "b", "c")
    with pytest.raises(InputError, match="keep it in one of them"):
        prepare(config, say=toy.quiet)


def test_scenes_are_simulated(tmp_path, config):
    """A folder of <scene>/image + landcover becomes a dataset whose input is the sensor model's."""
    root = tmp_path / "scenes"
    data = prepare(toy.scenes(root, tmp_path / "dataset").dataset, say=toy.quiet)
    assert data.contract.label == "built_proxy"
    assert data.contract.primary.units == "display"
    assert data.simulated is not None
    with rasterio.open(data.root / "sites/one/s2.tif") as s2, rasterio.open(root / "one/image.tif") as image:
        coarse, fine = s2.read().astype(float), image.read().astype(float)
    mean = fine.reshape(3, 24, 10, 24, 10).mean((2, 4))
    assert np.corrcoef(coarse.ravel(), mean.ravel())[0, 1] > 0.9
    assert coarse.std() < mean.std()
    assert data.sites["one"].image_gain == (1 / 255,) * 3


def test_another_sensor_makes_another_site(tmp_path):
    """In the same dataset: the fingerprint knows of the blur's shape and of the misregistration."""
    config = toy.scenes(tmp_path / "scenes", tmp_path / "dataset").dataset
    config.source.only, config.split.table = ("three",), {"train": (), "validation": (), "test": ("three",)}
    config.simulate.snr = (1e9,) * 3

    def simulated():
        data = prepare(config, say=toy.quiet)
        with rasterio.open(data.root / data.sites["three"].layers["s2"][0]) as raster:
            return raster.read().astype(int)

    nominal = simulated()
    config.simulate.misregistration = (0.0, 10.0)
    np.testing.assert_allclose(simulated()[:, :, :-4], nominal[:, :, 1:-3], atol=1)
    config.simulate.misregistration = (0.0, 0.0)
    config.simulate.kernel = "box"
    box = simulated()
    assert 0 < np.abs(box - nominal)[:, 3:-3, 3:-3].mean() < 3  # of 255: the MTF at Nyquist is the same


def test_two_dates_make_two_layers(own):
    """A modality may have several acquisitions; where one is missing or cloudy, its mask is zero."""
    from jointseg_jax.data.patches import PatchReader

    root, config = own
    toy.keep_only(config, "a")
    shutil.copy(root / "a" / "s2.tif", root / "a" / "later.tif")
    toy.rewrite(root / "a" / "later.tif", values=lambda s: np.where(s > 0, s + 500, 0))
    config.inputs = ("s2",)
    config.source.layers.s2 = ("s2.tif", "later.tif")
    config.source.cloud = ("scl.tif", "scl.tif")
    data = prepare(config, say=toy.quiet)
    assert data.contract.dates == 2
    assert data.sites["a"].layers["s2"] == ("sites/a/s2_0.tif", "sites/a/s2_1.tif")
    sample = PatchReader(data, "train", data.contract).read(4)
    values, valid = sample["inputs"]["s2"]["values"], sample["inputs"]["s2"]["valid"]
    assert values.shape == (2, 12, 12, 4)
    both = valid[0] & valid[1]
    np.testing.assert_allclose(values[1][both] - values[0][both], 0.05, atol=1e-6)
