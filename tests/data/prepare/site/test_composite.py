"""Several dates become one: the best, or the medoid, whose kind travels with the contract."""

import shutil

import numpy as np
import pytest
import rasterio
import toy

from jointseg_jax.data.prepare.preparation import prepare
from jointseg_jax.data.prepare.site.composite import medoid
from jointseg_jax.errors import InputError
from jointseg_jax.rasters.contract import differences
from jointseg_jax.rasters.open_scene import open_scene


def test_the_medoid_is_the_date_nearest_to_all_valid_ones():
    rng = np.random.default_rng(0)
    values, valid = rng.random((5, 7, 9, 4)), rng.random((5, 7, 9)) < 0.7
    valid[:, 0, 0] = False
    found = medoid(values, valid)
    for row, col in np.ndindex(7, 9):
        there = np.flatnonzero(valid[:, row, col])
        spectra = values[there, row, col]
        sums = np.linalg.norm(spectra[:, None] - spectra, axis=-1).sum(1)
        assert found[row, col] == (there[np.argmin(sums)] if len(there) else 0)


@pytest.fixture
def three(one):
    """Three dates of a site and their 20 m bands: the second is brighter, the third too bright to be ground."""
    folder, config = one
    for number, factor in enumerate((1.0, 1.1, 3.0)):
        for name in ("s2", "s2_20m"):
            shutil.copy(folder / f"{name}.tif", folder / f"{name}_{number}.tif")
            toy.rewrite(
                folder / f"{name}_{number}.tif",
                values=lambda s, f=factor: np.where(s > 0, (s.astype(float) - 1000) * f + 1000, 0).clip(0, 20_000),
            )
        shutil.copy(folder / "scl.tif", folder / f"scl_{number}.tif")
    toy.rewrite(folder / "scl_0.tif", values=lambda s: np.where(np.arange(18)[:, None] < 6, 9, s))
    config.inputs = ("s2", "s2_20m")
    config.source.layers.s2 = tuple(f"s2_{n}.tif" for n in range(3))
    config.source.layers.s2_20m = tuple(f"s2_20m_{n}.tif" for n in range(3))
    config.source.cloud = tuple(f"scl_{n}.tif" for n in range(3))
    return folder, config


def stored(path):
    with rasterio.open(path) as raster:
        return raster.read(), raster.tags()


def test_the_medoid_takes_the_middle_date_and_says_what_it_is(three):
    folder, config = three
    config.source.composite = "medoid"
    for name, date in (("s2_0", "2021-06-03"), ("s2_1", "2021-05-20T03:15:00Z"), ("s2_2", "2021-06-10")):
        toy.rewrite(folder / f"{name}.tif", acquisition_date=date)
    data = prepare(config, say=toy.quiet)
    site, contract = data.sites["a"], data.contract
    assert site.layers == {"s2": ("sites/a/s2.tif",), "s2_20m": ("sites/a/s2_20m.tif",)}
    assert sorted(p.name for p in (data.root / "sites/a").glob("s2*")) == ["s2.tif", "s2_20m.tif"]
    assert (contract.dates, contract.composite_kind) == (1, "medoid")
    assert len(site.dates["s2"]) == 3
    values, tags = stored(data.root / site.layers["s2"][0])
    assert tags["COMPOSITE"] == "medoid"
    assert tags["ACQUISITION_DATE"] == "2021-05-20T03:15:00Z/2021-06-10"
    assert "ACQUISITION_DATE" not in stored(data.root / site.layers["s2_20m"][0])[1]  # a date is not known
    middle = stored(folder / "s2_1.tif")[0]
    clear = middle.all(0)
    clear[-4:, -6:] = False
    # In the first rows the first date is cloudy: of the other two, equally far from each other, the earlier one counts.
    np.testing.assert_array_equal(values[:, clear], middle[:, clear])
    assert not values[:, -4:, -6:].any()  # cloud on all dates
    plain = contract.replace(composite="single acquisition")
    assert any("medoid of several dates, but the network" in text for text in differences(plain, contract))
    for trained, at, is_ in ((plain, data.root / "sites/a", "is medoid"), (contract, folder, "is of a single date")):
        scene = shutil.copytree(at, folder.parent / is_, ignore=shutil.ignore_patterns("s2_?.tif", "s2_20m_?.tif"))
        with pytest.raises(InputError, match=f"{is_}.*--radiometry=any-composite"):
            open_scene(scene, trained)
        decisions = open_scene(scene, trained, mode="any-composite").decisions
        assert decisions["radiometry"] == "any-composite"
        assert "trained on" in decisions["composite"]
    assert open_scene(data.root / "sites/a", contract).decisions["composite"] == "medoid, trained on medoid"


def test_the_best_is_the_date_with_the_most_valid_ground(three):
    folder, config = three
    config.source.composite = "best"
    data = prepare(config, say=toy.quiet)
    site = data.sites["a"]
    assert data.contract.composite_kind == "none"  # it is a single date
    for name in ("s2", "s2_20m"):
        values, tags = stored(data.root / site.layers[name][0])
        second = stored(folder / f"{name}_1.tif")[0]
        valid = values.all(0)
        np.testing.assert_array_equal(values[:, valid], second[:, valid])
        assert "COMPOSITE" not in tags
    assert "s2: best of 3 dates, number 1" in site.notes


def test_dates_that_are_simulated_are_not_joined(tmp_path):
    config = toy.scenes(tmp_path / "scenes", tmp_path / "dataset", dates="2").dataset
    config.source.composite = "medoid"
    with pytest.raises(InputError, match="are simulated: set it to 'none'"):
        prepare(config, say=toy.quiet)
