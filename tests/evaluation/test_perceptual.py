"""LPIPS of a site: chips whatever the strips, valid ones only, of display values."""

import lpips_weights
import numpy as np
import pytest

from jointseg_jax.errors import InputError
from jointseg_jax.evaluation import perceptual
from jointseg_jax.evaluation.perceptual import CHIP, Likeness, Lpips, LpipsChips

pytestmark = pytest.mark.quick
RNG = np.random.default_rng(0)
TARGET = RNG.random((150, 200, 3)).astype(np.float32)
IMAGES = [np.clip(TARGET + s * RNG.standard_normal(TARGET.shape), -0.2, 1.2).astype(np.float32) for s in (0.1, 0.2)]
EVERYWHERE = np.ones((150, 200), bool)
BANDS = ("B04", "B03", "B02")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "both.npz"
    np.savez(path, **lpips_weights.backbone("alex", 0), **lpips_weights.linear("alex", 0))
    return [path]


@pytest.fixture(scope="module")
def judge(files):
    return Lpips(files, BANDS, 0.0, 1.0)


def by_strips(judge, valid, height):
    chips, found = LpipsChips(judge), [Likeness(), Likeness()]
    for row in range(0, len(TARGET), height):
        at = np.s_[row : row + height]
        found = [a + b for a, b in zip(found, chips.add(TARGET[at], valid[at], [x[at] for x in IMAGES]), strict=True)]
    return found


@pytest.mark.parametrize("height", [150, 70, 40])
def test_chips_do_not_depend_on_the_strips(judge, height):
    squares = [np.s_[r : r + CHIP, c : c + CHIP] for r in (0, 64) for c in (0, 64, 128)]
    target, *images = ([x[square] for square in squares] for x in (TARGET, *IMAGES))
    alone = judge.distances(np.stack(target), [np.stack(x) for x in images])
    found = by_strips(judge, EVERYWHERE, height)
    assert [one.chips for one in found] == [6, 6]
    assert [one.mean() for one in found] == pytest.approx([values.mean() for values in alone])
    assert 0 < found[0].mean() < found[1].mean()


def test_only_chips_without_an_invalid_pixel_count(judge):
    valid = EVERYWHERE.copy()
    valid[10, 5] = valid[100, 130] = False
    found = by_strips(judge, valid, 40)
    kept = [np.s_[r : r + CHIP, c : c + CHIP] for r, c in ((0, 64), (0, 128), (64, 0), (64, 64))]
    alone = judge.distances(np.stack([TARGET[k] for k in kept]), [np.stack([IMAGES[0][k] for k in kept])])[0]
    assert found[0].chips == 4
    assert found[0].mean() == pytest.approx(alone.mean())
    assert by_strips(judge, ~EVERYWHERE, 70)[0].mean() is None


def test_more_chips_than_a_batch(judge, monkeypatch):
    whole = by_strips(judge, EVERYWHERE, 150)
    monkeypatch.setattr(perceptual, "_BATCH", 4)
    assert [one.mean() for one in by_strips(judge, EVERYWHERE, 150)] == pytest.approx([one.mean() for one in whole])


def test_what_the_network_sees(judge, files):
    """Red, green, blue between black and white; what lies beyond is cut off."""
    other = Lpips(files, ("B02", "B03", "B04"), 1.0, 3.0)
    target, image = (x[None, :CHIP, :CHIP] for x in (TARGET, IMAGES[0]))
    found = other.distances(1 + 2 * target[..., ::-1], [1 + 2 * image[..., ::-1]])[0]
    expected = judge.distances(target, [image])[0]
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    np.testing.assert_allclose(judge.distances(target, [np.clip(image, 0, 1)])[0], expected, rtol=1e-6)
    assert abs(judge.distances(target[..., ::-1], [image[..., ::-1]])[0] / expected - 1) > 1e-3


def test_three_bands_are_needed(files):
    with pytest.raises(InputError, match=r"of three bands, but this dataset's have 4 \(B04, B03, B02, B08\)"):
        Lpips(files, (*BANDS, "B08"), 0.0, 1.0)
