"""A network of several dates maps any number of them: order and absent dates change nothing."""

import dataclasses

import numpy as np
import pytest
import toy

from jointseg_jax.errors import InputError
from jointseg_jax.mapping.predictor.predictor import Predictor
from jointseg_jax.mapping.scenes.find import find_scenes
from jointseg_jax.mapping.scenes.merged_scene import merge_scenes
from jointseg_jax.mapping.scenes.open_all import open_all
from jointseg_jax.rasters.lattice import Window, make_lattice
from jointseg_jax.rasters.open_scene import open_scene
from jointseg_jax.rasters.reader import Handles
from jointseg_jax.rasters.writer import Layout, write_raster
from jointseg_jax.training.build.network import build_model

HEIGHT, WIDTH = 22, 27
HALO = 34  # the reach of the network below


@pytest.fixture(scope="module")
def several(seeing):
    """A network of three dates, with strong random weights and a deconvolved base."""
    primary = dataclasses.replace(seeing.meta.contract.primary, dates=3, mtf=(0.24, 0.28, 0.26))
    contract = seeing.meta.contract.replace(modalities=(primary,))
    model = build_model(toy.network("10", dilations=(1,)), contract)
    meta = dataclasses.replace(seeing.meta, contract=contract)
    return dataclasses.replace(seeing, model=model, params=toy.weights(model), meta=meta)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Five dates of one place, each with a hole of its own."""
    path = tmp_path_factory.mktemp("dates")
    image, _ = toy.ground(3, HEIGHT, WIDTH)
    seen = image.reshape(HEIGHT, 10, WIDTH, 10, 3).mean((1, 3))
    rng = np.random.default_rng(1)
    lattice = make_lattice("EPSG:32652", 300000.0, 4000000.0, 10, HEIGHT, WIDTH)
    for date in range(5):
        own = np.clip(seen * rng.uniform(0.8, 1.2) + rng.normal(0, 0.03, seen.shape), 0.02, 1)
        stored = np.round(own * 250).astype(np.uint8)
        stored[3 * date : 3 * date + 5, 2 * date : 2 * date + 6] = 0
        layout = Layout(lattice, "uint8", ("B04", "B03", "B02"), 0, rgb=True)
        write_raster(path / f"s2_{date}.tif", stored, layout)
    return path


@pytest.fixture(scope="module")
def scene(several, folder):
    return open_scene(folder, several.meta.contract).scene


def with_dates(scene, *dates):
    layers = scene.layers["s2"]
    return dataclasses.replace(scene, layers={"s2": tuple(layers[date] for date in dates)})


def mapped(trained, scene, tile=27):
    """The probability and the 1 m image of a scene."""
    probability = np.full((10 * HEIGHT, 10 * WIDTH), np.nan, np.float32)
    image = np.full((10 * HEIGHT, 10 * WIDTH, 3), np.nan, np.float32)
    for part in Predictor(trained, HALO, tile=tile, batch=1).run(scene):
        at = part.window.scale(10).slices()
        probability[at], image[at] = part.probability, part.images[-1]
    return probability, image


def difference(first, second):
    return max(float(np.abs(a - b).max()) for a, b in zip(first, second, strict=True))


@pytest.fixture(scope="module")
def whole(several, scene):
    return mapped(several, scene)


def test_any_number_of_dates_makes_a_map_of_its_own(several, scene, whole):
    assert scene.dates == 5
    maps = [mapped(several, with_dates(scene, *range(count))) for count in (1, 3)] + [whole]
    for k, found in enumerate(maps):
        assert np.isfinite(found[0]).all()
        assert found[0].std() > 0.02
        assert all(difference(found, other) > 0.02 for other in maps[:k])


def test_order_does_not_matter(several, scene, whole):
    assert difference(mapped(several, with_dates(scene, 3, 0, 4, 2, 1)), whole) < 1e-4


def test_an_absent_date_is_like_none(several, scene, folder, tmp_path):
    """Beside two dates: nothing, a date of holes only, or three of these."""
    two = with_dates(scene, 1, 3)
    layout = Layout(scene.lattice, "uint8", ("B04", "B03", "B02"), 0, rgb=True)
    write_raster(tmp_path / "empty.tif", np.zeros((HEIGHT, WIDTH, 3), np.uint8), layout)
    empty = dataclasses.replace(two.layers["s2"][0], path=str(tmp_path / "empty.tif"))
    expected = mapped(several, two)
    for dates in ((empty, *two.layers["s2"]), (*two.layers["s2"], empty, empty, empty)):
        assert difference(mapped(several, dataclasses.replace(two, layers={"s2": dates})), expected) < 1e-4


@pytest.mark.parametrize("count", [1, 5])
def test_tiled_equals_untiled(several, scene, count):
    part = scene.first_dates(count)
    assert difference(mapped(several, part, tile=9), mapped(several, part)) < 2e-3


def test_the_first_dates_are_those_of_a_folder_with_fewer(several, scene, folder):
    opened = open_scene(folder, several.meta.contract, dates=2)
    assert opened.asked["dates"] == "2"
    assert [layer.path for layer in opened.scene.layers["s2"]] == [str(folder / f"s2_{k}.tif") for k in range(2)]
    assert opened.scene.dates == 3  # that of the network; the third is masked
    window = Window(0, 0, HEIGHT, WIDTH)
    read, again = (s.read(window, Handles())["s2"] for s in (opened.scene, scene.first_dates(2)))
    assert not read["valid"][2].any()
    np.testing.assert_array_equal(read["values"], again["values"])


def test_a_network_of_one_date_takes_one(seeing, folder):
    with pytest.raises(InputError, match=r"trained on one date: give one, named s2\.tif, or add --dates=1"):
        open_scene(folder, seeing.meta.contract)
    assert open_scene(folder, seeing.meta.contract, dates=1).scene.dates == 1


def test_scenes_of_different_dates_are_merged(several, scene):
    """Where the first, of one date, has a hole, the second shows its five."""
    contract = several.meta.contract
    first = with_dates(scene, 0)
    merged = merge_scenes("both", scene.lattice, [first, scene], contract)
    assert merged.dates == 5
    window = Window(0, 0, HEIGHT, WIDTH)
    read, all_five = (s.read(window, Handles())["s2"] for s in (merged, scene))
    one = first.read(window, Handles())["s2"]
    hole = ~one["valid"][0]
    assert 0 < hole.sum() < hole.size / 4
    np.testing.assert_array_equal(read["valid"][:, hole], all_five["valid"][:, hole])
    np.testing.assert_array_equal(read["values"][0, ~hole], one["values"][0, ~hole])
    assert not read["valid"][1:, ~hole].any()


def test_an_area_uses_the_first_dates_too(seeing, several, folder, tmp_path):
    def opened(contract, dates):
        found = find_scenes(folder, contract, tmp_path, dates=dates)
        return open_all(found, contract)

    for trained, dates in ((several, 2), (seeing, 1)):
        (entry,), refused = opened(trained.meta.contract, dates)
        assert refused == []
        assert len(entry.scene.layers["s2"]) == len(entry.stamps) == dates
    entries, (refused,) = opened(seeing.meta.contract, None)
    assert not entries
    assert "--dates=1" in refused.reason
