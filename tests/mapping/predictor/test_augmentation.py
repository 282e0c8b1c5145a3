"""With the eight flips and turns averaged, no direction is special: flipping the scene flips the map."""

from unittest import mock

import numpy as np
import pytest

from jointseg_jax.mapping.predictor import halo as halos
from jointseg_jax.mapping.predictor.flips import MEMBERS, turn, turn_back
from jointseg_jax.mapping.predictor.predictor import Predictor


def whole(predictor, scene):
    """Probability, spread and 1 m image of a scene, put together from tiles."""
    height, width = scene.shape
    found = [np.full((10 * height, 10 * width, *more), np.nan, np.float32) for more in ((), (), (3,))]
    for tile in predictor.run(scene):
        at = tile.window.scale(10).slices()
        for array, part in zip(found, (tile.probability, tile.spread, (tile.images or (None,))[-1]), strict=True):
            if part is not None:
                array[at] = part
    return found


@pytest.fixture(scope="module")
def predictor(seeing):
    return Predictor(seeing, 4, tile=16, augment=True)


@pytest.mark.slow
def test_turning_the_scene_turns_the_map_to_the_bit(predictor, picture, ground):
    """Sides that the tile divides: tiles are turned into tiles. With nodata, and a scene that is not square."""
    stored = ground(0, 32, 48)
    upright = whole(predictor, picture(stored, "upright"))
    assert upright[0].std() > 10 * halos.TOLERANCE  # a map with something to be turned
    for member in range(1, MEMBERS):
        turned = whole(predictor, picture(turn(stored, member, 0), f"turned{member}"))
        for one, other in zip(upright, turned, strict=True):
            assert np.isfinite(other).all()
            np.testing.assert_array_equal(turn_back(other, member, 0), one)


def test_without_the_mean_it_does_not(seeing, picture, ground):
    """The check above can fail: the network itself is far from indifferent."""
    stored = ground(0, 32, 48)
    plain = Predictor(seeing, 4, tile=16)
    upright = whole(plain, picture(stored, "upright"))[0]
    turned = turn_back(whole(plain, picture(turn(stored, 5, 0), "turned5"))[0], 5, 0)
    assert np.abs(turned - upright).max() > 20 * halos.TOLERANCE


def test_mean_and_spread_are_those_of_eight_maps(seeing, predictor, picture, ground):
    stored = ground(0, 32, 48)
    plain = Predictor(seeing, 4, tile=16)
    maps = [
        turn_back(whole(plain, picture(turn(stored, k, 0), f"turned{k}"))[0], k, 0).astype(np.float64)
        for k in range(MEMBERS)
    ]
    probability, spread, _ = whole(predictor, picture(stored, "upright"))
    np.testing.assert_allclose(probability, np.mean(maps, 0), atol=1e-6)
    np.testing.assert_allclose(spread, np.std(maps, 0), atol=1e-5)
    assert 0.01 < spread.max() <= 0.5


@pytest.fixture(scope="module")
def measured(seeing, picture, ground):
    """By three crops instead of eight, which takes less time."""
    with mock.patch.object(halos, "_CROPS", 3):
        return halos.measure(seeing, picture(ground(1, 72, 60), "measured"), halos.TOLERANCE)


@pytest.mark.slow
def test_any_size_and_any_tile(seeing, picture, ground, measured):
    """Sides that no tile divides: what is left is the halo's tolerance."""
    stored = ground(2, 37, 29)
    upright = whole(Predictor(seeing, measured.halo, tile=13, images=False, augment=True), picture(stored, "odd"))[0]
    other = Predictor(seeing, measured.halo, tile=20, images=False, augment=True)
    for member in (0, 7):
        turned = whole(other, picture(turn(stored, member, 0), f"odd{member}"))[0]
        assert np.abs(turn_back(turned, member, 0) - upright).max() <= halos.TOLERANCE


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_real_scenes(seeing, picture, korea):
    """Real Sentinel-2: tiles and their origin do not matter, nor do flips and turns."""
    stored = korea[100:148, 200:264]
    assert stored.std() > 10
    scene = picture(stored, "korea")
    halo = halos.measure(seeing, scene, halos.TOLERANCE).halo
    tiled = whole(Predictor(seeing, halo, tile=16, images=False, augment=True), scene)[0]
    turned = picture(turn(stored, 6, 0), "korea6")
    found = whole(Predictor(seeing, halo, tile=16, images=False, augment=True), turned)[0]
    np.testing.assert_array_equal(turn_back(found, 6, 0), tiled)
    plain = whole(Predictor(seeing, halo, tile=16, images=False), scene)[0]
    assert plain.std() > 4 * halos.TOLERANCE
    assert np.abs(whole(Predictor(seeing, halo, tile=64, images=False), scene)[0] - plain).max() <= halos.TOLERANCE
    # Tiles that begin elsewhere, the same ground around them: the inside of a larger cut.
    wider = whole(Predictor(seeing, halo, tile=27, images=False), picture(korea[93:155, 189:280], "wider"))[0]
    down, across = slice(70 + 10 * halo, 70 + 480 - 10 * halo), slice(110 + 10 * halo, 110 + 640 - 10 * halo)
    inner = slice(10 * halo, -10 * halo)
    assert 2 * halo < 40
    assert np.abs(wider[down, across] - plain[inner, inner]).max() <= halos.TOLERANCE
