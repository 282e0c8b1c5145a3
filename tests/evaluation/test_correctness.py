"""Improvement, omission and hallucination equal the published package's."""

import numpy as np
import pytest
from scipy import ndimage

from jointseg_jax.evaluation.correctness import Chips, Correctness, score_chip

pytestmark = pytest.mark.quick


def arrays(seed):
    """An input of 32 x 32 pixels, an image that is blurred, moved by half a pixel and paler, and its target."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(0.05, 0.4, (32, 32, 3))
    coarse[10:16, 12:20] = 0.25
    base = coarse.repeat(4, 0).repeat(4, 1)
    target = base + rng.uniform(-0.04, 0.04, base.shape)
    target[44:60, 52:76] = 0.25  # here input and target are equal, so that distances are divided by zero
    moved = 0.5 * np.roll(target, 1, 0) + 0.5 * np.roll(target, (1, -1), (0, 1))
    image = 0.7 * moved + 0.2 * base + 0.05 + rng.uniform(-0.01, 0.01, base.shape)
    return tuple(x.astype(np.float32) for x in (coarse, image, target))


EVERYWHERE = np.ones((128, 128), bool)


def shares(found):
    return [found.improvement, found.omission, found.hallucination]


@pytest.mark.parametrize(
    ("seed", "align", "published"),
    [
        (0, False, [0.2933935821056366, 0.2907532751560211, 0.4158530831336975]),
        (0, True, [0.5300427675247192, 0.3548997938632965, 0.11505746096372604]),
        (1, False, [0.28554490208625793, 0.3018059730529785, 0.41264912486076355]),
        (1, True, [0.5223509073257446, 0.36594343185424805, 0.11170564591884613]),
    ],
)
def test_equal_to_the_published_package(seed, align, published):
    """Made by opensr-test 1.3.3 (torch 2.13.0, satalign 0.1.17, scikit-image 0.26.0, OpenCV 5.0.0.93, NumPy 2.4.6).

    In an environment of its own, with `arrays` of this file as tensors [bands, rows, columns]:

        lr, sr, hr = (torch.from_numpy(np.moveaxis(x, -1, 0).copy()) for x in arrays(seed))
        found = opensr_test.Metrics(harm_apply_spatial=align).compute(lr=lr, sr=sr, hr=hr)
        print(found["im_metric"], found["om_metric"], found["ha_metric"])

    The module `satalign.lgm` was replaced by an empty one: it needs torchvision, and the default alignment is another.
    """
    coarse, image, target = arrays(seed)
    found = score_chip(coarse, image, target, EVERYWHERE, align=align)
    assert found.chips == 1
    assert shares(found) == pytest.approx(published, abs=5e-6)


def test_the_three_extremes():
    """The target, the input and another place."""
    coarse, rng = arrays(0)[0], np.random.default_rng(0)
    bilinear = ndimage.zoom(coarse, (4, 4, 1), order=1, mode="nearest", grid_mode=True)
    target = bilinear + rng.uniform(-0.04, 0.04, bilinear.shape).astype(np.float32)
    found = [score_chip(coarse, image, target, EVERYWHERE) for image in (target, bilinear, arrays(5)[2])]
    assert [int(np.argmax(shares(x))) for x in found] == [0, 1, 2]
    assert found[0].improvement > 0.9


def test_invalid_pixels_do_not_count():
    coarse, image, target = arrays(0)
    valid = EVERYWHERE.copy()
    valid[:50] = False
    spoiled = image.copy()
    spoiled[:50] = 9
    clean = score_chip(coarse, image, target, valid)
    assert shares(score_chip(coarse, spoiled, target, valid)) == shares(clean)
    assert shares(clean) != shares(score_chip(coarse, image, target, EVERYWHERE))
    valid[:100] = False
    assert score_chip(coarse, image, target, valid) == Correctness()


@pytest.mark.parametrize("height", [44, 13])
def test_chips_do_not_depend_on_strips(height):
    """A site of 40 rows and 90 columns has two chips of 40; strips end anywhere."""
    rng = np.random.default_rng(0)
    coarse, fine = rng.uniform(0.1, 0.4, (40, 90, 3)), rng.uniform(0.1, 0.4, (2, 160, 360, 3))
    valid = np.ones((160, 360), bool)
    chips, total, plain = Chips(40, 90), Correctness(), Correctness()
    for row in range(0, 40, height):
        at = np.s_[4 * row : 4 * (row + height)]
        own, second = chips.add(coarse[row : row + height], fine[0, at], valid[at], [fine[1, at], fine[0, at]])
        total, plain = total + own, plain + second
    wanted = sum(
        (
            score_chip(coarse[:, x : x + 40], *(f[:, 4 * x : 4 * (x + 40)] for f in (fine[1], fine[0], valid)))
            for x in (0, 40)
        ),
        Correctness(),
    )
    assert total == wanted
    assert total.chips == 2
    assert plain.improvement > total.improvement


def test_small_sites_have_none():
    chips = Chips(31, 64)
    found = chips.add(np.ones((31, 64, 3)), np.ones((124, 256, 3)), np.ones((124, 256), bool), [np.ones((124, 256, 3))])
    assert found == [Correctness()]
    assert found[0].figures() == {"chips": 0, "improvement": None, "omission": None, "hallucination": None}
