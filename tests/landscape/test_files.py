"""The landscape's files: consistent with one another, made once, and prepared into a dataset."""

import geopandas as gpd
import numpy as np
import pytest
import rasterio
from ml_collections import ConfigDict

from jointseg_jax.configs import demo
from jointseg_jax.data.prepare.preparation import prepare
from jointseg_jax.errors import InputError
from jointseg_jax.landscape import make_scene
from jointseg_jax.landscape.files import instrument, make_landscape, write_landscape, write_scene
from jointseg_jax.rasters.burn import burn


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    scene = make_scene("midstream", year=2021, height=300, width=360, seed=4)
    write_scene(folder, scene, (499_980.0, 3_400_020.0))
    return folder, scene


def test_the_label_is_its_vectors(site):
    """Burning features.gpkg gives label.tif: whoever brings vectors gets the same label as who brings a raster."""
    folder, scene = site
    frame = gpd.read_file(folder / "features.gpkg")
    assert set(frame["kind"]) >= {"road", "building"}
    with rasterio.open(folder / "label.tif") as raster:
        label, transform = raster.read(1), raster.transform
    shapes = [(g.buffer(w / 2) if w else g, 1) for g, w in zip(frame.geometry, frame["width"], strict=True)]
    burnt = burn(shapes, np.zeros_like(label), transform)
    np.testing.assert_array_equal(label, scene.label)
    assert (burnt != label).mean() < 1e-4


def test_sentinel2_shows_the_ground(site):
    folder, scene = site
    with rasterio.open(folder / "s2.tif") as raster:
        dn, tags = raster.read().astype(float), raster.tags()
    assert tags["RADIO_ADD_OFFSET"] == "-1000.0"
    clear = (scene.cloud + scene.cloud_shadow).reshape(30, 10, 36, 10).max((1, 3)) < 0.01
    mean = scene.reflectance[..., :4].reshape(30, 10, 36, 10, 4).mean((1, 3))
    seen = np.moveaxis((dn - 1000) / 10000, 0, -1)
    inner = np.zeros_like(clear)
    inner[3:-3, 3:-3] = True
    gains = instrument(scene.seed, scene.year, ("B02", "B03", "B04", "B08"), 10).gain
    for band, gain in enumerate(gains):
        assert np.corrcoef(seen[clear & inner, band], mean[clear & inner, band])[0, 1] > 0.85
        assert abs(seen[clear & inner, band].mean() - gain * mean[clear & inner, band].mean()) < 0.005


def test_every_site_has_an_instrument_of_its_own():
    """One for all its bands, the same every time, and another one over the next site or in the next year."""
    first = instrument(1, 2021, ("B04",), 10)
    assert first == instrument(1, 2021, ("B04",), 10)
    assert first.gain == instrument(1, 2021, ("B11",), 20).gain
    others = [instrument(1, 2019, ("B04",), 10), instrument(2, 2021, ("B04",), 10)]
    assert len({s.mtf for s in (first, *others)}) == len({s.shift for s in (first, *others)}) == 3


def test_the_instrument_lies_as_far_off_as_it_is_told():
    """Its other deviations are drawn alike."""
    near, far = instrument(1, 2021, ("B04",), 10), instrument(1, 2021, ("B04",), 10, 2.0)
    np.testing.assert_allclose(far.shift, np.multiply(near.shift, 4))
    assert (far.mtf, far.gain, far.snr) == (near.mtf, near.gain, near.snr)


def test_the_image_is_a_stretch_of_red_green_blue(site):
    folder, scene = site
    with rasterio.open(folder / "image.tif") as raster:
        image = raster.read().astype(float)
    for stored, band in zip(image, (2, 1, 0), strict=True):
        assert np.corrcoef(stored.ravel(), scene.reflectance[..., band].ravel())[0, 1] > 0.97
    assert image.min() >= 1


def test_clouds_are_classified(tmp_path):
    seeds = (s for s in range(30) if make_scene("upstream", year=2021, height=240, width=240, seed=s).cloud.max() > 0.8)
    scene = make_scene("upstream", year=2021, height=240, width=240, seed=next(seeds))
    write_scene(tmp_path, scene, (499_980.0, 3_400_020.0))
    with rasterio.open(tmp_path / "scl.tif") as raster:
        classes = raster.read(1)
    thick = scene.cloud.reshape(12, 20, 12, 20).mean((1, 3)) > 0.5
    assert np.isin(classes[thick], (8, 9)).all()
    assert (classes == 4).any()


def test_a_second_run_makes_nothing(tmp_path):
    spec = ConfigDict({"sites": 1, "side": 120, "years": (2017, 2023), "seed": 0})
    lines: list[str] = []
    write_landscape(tmp_path, spec, lines.append)
    write_landscape(tmp_path, spec, lines.append)
    assert "(6 new)" in lines[0]
    assert "(0 new)" in lines[1]
    table = (tmp_path / "sites.csv").read_text().splitlines()
    assert table[0] == "site,place,region,date,folder,date_s2,date_s2_20m,date_s1,date_label"
    assert len(table) == 7


@pytest.mark.slow
def test_years_of_one_place_share_a_split(tmp_path):
    config = demo.get_config("sites=3,side=240")
    d = config.dataset
    d.path, d.source.root = str(tmp_path / "dataset"), str(tmp_path / "raw")
    d.source.landscape.years = (2017, 2021)
    d.patch = d.stride = 12
    make_landscape(d, say=lambda _: None)
    data = prepare(d, say=lambda _: None)
    assert len(data.sites) == 18
    for site in data.index.groupby("site")["split"].nunique().items():
        assert site[1] == 1
    by_place: dict[str, set[str]] = {}
    for row in data.index.itertuples():
        by_place.setdefault(row.site.rsplit("-", 1)[0], set()).add(row.split)
    assert all(len(v) == 1 for v in by_place.values())


def test_a_size_off_the_lattice_is_one_sentence(tmp_path):
    with pytest.raises(InputError, match="multiples of 60"):
        write_landscape(tmp_path, ConfigDict({"sites": 1, "side": 250, "years": (2021,), "seed": 0}), print)


def test_a_torn_record_of_the_landscape_is_made_anew(tmp_path, monkeypatch):
    from jointseg_jax.landscape import files

    made = []
    monkeypatch.setattr(files, "make_scene", lambda *_, **__: None)
    monkeypatch.setattr(files, "write_scene", lambda folder, *_: made.append(folder))
    about = {"region": "midstream", "year": 2021, "side": 300, "seed": 4}
    arguments = (tmp_path / "midstream-1", about, (499_980.0, 3_400_020.0), files.SHIFT)
    assert files._write_once(*arguments)
    assert not files._write_once(*arguments)
    for content in (b"", b'{"format"', b"[]"):
        (tmp_path / "midstream-1" / "landscape.json").write_bytes(content)
        assert files._write_once(*arguments)
        assert not files._write_once(*arguments)
