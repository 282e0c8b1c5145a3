"""How a scene is cut into tiles."""

import pytest

from jointseg_jax.mapping.predictor.tiles import cores, fitted

pytestmark = pytest.mark.quick


@pytest.mark.parametrize(
    ("asked", "scene", "expected", "count"),
    [
        ((64, None), (40, 30), (40, None), 1),
        ((64, 4), (72, 72), (72, 1), 1),  # an eighth larger: one window, not four
        ((64, None), (73, 40), (64, None), 2),
        ((64, 3), (200, 64), (64, 3), 4),
        ((5, None), (6, 6), (5, None), 4),
    ],
)
def test_a_scene_slightly_larger_than_a_tile_is_one(asked, scene, expected, count):
    tile, batch = fitted(*asked, *scene)
    assert (tile, batch) == expected
    assert len(cores(*scene, tile)) == count
