"""The image's units: fill, change and another season do not move them, and other ground is told from another season."""

import numpy as np
import pytest
import toy
from scipy import ndimage, spatial

from jointseg_jax.data.prepare.preparation import prepare
from jointseg_jax.data.prepare.site.image_units import fit_lines
from jointseg_jax.data.prepare.site.structure import compare
from jointseg_jax.errors import InputError


def fields(height, width, count, seed):
    """The number of the nearest of some random points, [h, w]."""
    points = np.random.default_rng(seed).uniform(0, (height, width), (count, 2))
    grid = np.stack(np.mgrid[:height, :width], -1).reshape(-1, 2)
    return spatial.KDTree(points).query(grid)[1].reshape(height, width)


def blocks(values):
    return values.reshape(-1, 1)


@pytest.mark.parametrize("share", [0.05, 0.2, 0.3])
@pytest.mark.parametrize("fill", [0.0, 255.0])
def test_blocks_far_from_the_bulk_move_no_gain(share, fill):
    rng = np.random.default_rng(0)
    x = rng.uniform(60, 180, 600)
    y = 2e-3 * x + 0.01 + rng.normal(0, 0.004, 600)
    x[: int(share * 600)] = fill
    (line,), kept = fit_lines(blocks(x), blocks(y))
    assert line.gain == pytest.approx(2e-3, rel=0.02)
    assert line.offset == pytest.approx(0.01, abs=0.006)
    assert line.explained > 0.95
    assert abs((~kept).mean() - share) < 0.03
    assert abs(np.polyfit(x, y, 1)[0] / 2e-3 - 1) > 0.3  # which is why


def test_gain_does_not_shrink_with_differences():
    """Half of the variance of either date is its own: a least-squares line would halve the contrast of the image."""
    rng = np.random.default_rng(0)
    common = rng.normal(0, 1, 4000)
    x, y = 100 + 10 * (common + rng.normal(0, 1, 4000)), 0.2 + 0.03 * (common + rng.normal(0, 1, 4000))
    (line,), _ = fit_lines(blocks(x), blocks(y))
    assert line.gain == pytest.approx(3e-3, rel=0.03)
    assert line.explained == pytest.approx(0.25, abs=0.04)


def test_edges_tell_the_same_ground_in_another_season_from_other_ground():
    rng = np.random.default_rng(1)
    parcels = fields(80, 90, 120, 0)
    spring, autumn = (rng.uniform(0.05, 0.4, 120)[parcels] + rng.normal(0, 0.01, (80, 90)) for _ in range(2))
    other = rng.uniform(0.05, 0.4, 120)[fields(80, 90, 120, 5)] + rng.normal(0, 0.01, (80, 90))
    ok = np.ones((80, 90), bool)
    assert compare(spring, autumn, ok).alike
    assert compare(spring, np.roll(autumn, 1, 0), ok).alike  # 10 m of misregistration
    assert not compare(spring, other, ok).alike
    assert not compare(spring, autumn[::-1], ok).alike
    ok[:, :30] = False
    autumn[:, :30] = -9999
    assert compare(spring, autumn, ok).alike
    assert not compare(spring, autumn, np.zeros_like(ok)).alike  # nothing to see


def season(path, seed):
    """Turns bright fields dark, and dark ones bright, in half of the fields."""
    parcels = fields(36, 42, 30, seed).repeat(10, 0).repeat(10, 1)
    turned = np.random.default_rng(seed).random(30)[parcels] < 0.5
    toy.rewrite(path, values=lambda s: np.where(turned, 230 - ndimage.gaussian_filter(s, (0, 2, 2)), s).clip(1, 254))


def test_another_season_is_warned_of_and_other_ground_refused(one):
    folder, config = one
    before = prepare(config, say=toy.quiet).sites["a"]
    season(folder / "image.tif", 3)
    lines: list[str] = []
    site = prepare(config, say=lines.append).sites["a"]
    assert any("WARNING: below 0.2 the gain may be off" in note and "same ground" in note for note in site.notes)
    assert "WARNING: another season" in lines[0]
    assert min(site.fit.explained) < 0.2
    # Bright fields are no longer bright: the spread is another, but its kind is not.
    np.testing.assert_allclose(site.image_gain, before.image_gain, rtol=0.6)
    toy.rewrite(folder / "image.tif", values=lambda s: s[:, ::-1])
    with pytest.raises(InputError, match=r"do not show the same ground .*edges correlate by"):
        prepare(config, say=toy.quiet)


@pytest.mark.parametrize(("fill", "colour"), [(0, "black"), (255, "white")])
def test_an_unmarked_border_is_absent_and_unmarked_holes_move_nothing(one, fill, colour):
    folder, config = one
    before = prepare(config, say=toy.quiet).sites["a"]

    def spoil(stack):
        made = stack.copy()
        made[:, :, :30] = fill
        made[:, 100:170, 200:260] = fill  # inside: nobody can tell it from ground
        return made

    toy.rewrite(folder / "image.tif", values=spoil)
    site = prepare(config, say=toy.quiet).sites["a"]
    notes = " ".join(site.notes)
    assert f"image: {colour} border on 7.1%" in notes
    np.testing.assert_allclose(site.image_gain, before.image_gain, rtol=0.03)
    np.testing.assert_allclose(site.image_offset, before.image_offset, atol=0.006)
