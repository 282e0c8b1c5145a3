"""PSNR, SSIM and spectral angle in strips equal the library's on the whole."""

from fractions import Fraction

import numpy as np
import pytest
from scipy import ndimage
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from jointseg_jax.evaluation.images import STRIP_OVERLAP, ImageScore, area_mean, score_strip

pytestmark = pytest.mark.quick

RNG = np.random.default_rng(0)
TARGET = RNG.random((70, 60, 3))
IMAGE = np.clip(TARGET + 0.1 * RNG.standard_normal(TARGET.shape), 0, 1)


def strips(image, target, valid, height):
    total = ImageScore()
    for row in range(0, len(image), height):
        begin = max(0, row - STRIP_OVERLAP)
        at = np.s_[begin : row + height]
        total += score_strip(image[at], target[at], valid[at], 1.0, row - begin)
    return total


@pytest.mark.parametrize("height", [70, 20, 13])
def test_strips_equal_the_whole(height):
    score = strips(IMAGE, TARGET, np.ones((70, 60), bool), height)
    assert score.psnr(1.0) == pytest.approx(peak_signal_noise_ratio(TARGET, IMAGE, data_range=1.0))
    library = structural_similarity(
        TARGET, IMAGE, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1.0, channel_axis=-1
    )
    assert score.mean_ssim() == pytest.approx(library, abs=1e-6)
    assert score.windows == 60 * 50
    whole = strips(IMAGE, TARGET, np.ones((70, 60), bool), 70)
    assert score.detail_ratio() == pytest.approx(whole.detail_ratio())
    assert score.spectral_angle() == pytest.approx(whole.spectral_angle())
    assert score.angles == 70 * 60


def test_invalid_pixels_do_not_count():
    valid = np.ones((70, 60), bool)
    valid[:30] = False
    spoiled = IMAGE.copy()
    spoiled[:30] = 9.0
    score = strips(spoiled, TARGET, valid, 20)
    clean = score_strip(IMAGE[30:], TARGET[30:], np.ones((40, 60), bool), 1.0, 0)
    assert score.psnr(1.0) == pytest.approx(clean.psnr(1.0))
    assert score.mean_ssim() == pytest.approx(clean.mean_ssim())
    assert score.spectral_angle() == pytest.approx(clean.spectral_angle())


def test_the_spectral_angle_is_between_spectra_and_blind_to_brightness():
    target = np.broadcast_to([1.0, 1.0, 0.0], (20, 20, 3)).copy()
    everywhere = np.ones((20, 20), bool)
    assert score_strip(7 * target, target, everywhere, 1.0, 0).spectral_angle() == pytest.approx(0, abs=1e-5)
    image = np.broadcast_to([0.0, 2.0, 0.0], (20, 20, 3)).copy()
    image[:10] = [0.0, 0.0, 3.0]
    assert score_strip(image, target, everywhere, 1.0, 0).spectral_angle() == pytest.approx((90 + 45) / 2)
    image[:10] = 0  # black has no spectrum
    assert score_strip(image, target, everywhere, 1.0, 0).spectral_angle() == pytest.approx(45)


def test_detail_is_what_is_finer_than_a_window():
    """By hand: the energy about the mean of 11 x 11 pixels; blurring takes it away, a slope has none."""
    views = np.lib.stride_tricks.sliding_window_view(TARGET, (11, 11), (0, 1))
    finer = TARGET[5:-5, 5:-5] - views.mean((-2, -1))
    everywhere = np.ones((70, 60), bool)
    assert score_strip(TARGET, TARGET, everywhere, 1.0, 0).target_detail == pytest.approx(np.square(finer).sum())
    assert score_strip(TARGET, TARGET, everywhere, 1.0, 0).detail_ratio() == pytest.approx(1)
    blurred = ndimage.gaussian_filter(TARGET, (3, 3, 0))
    assert score_strip(blurred, TARGET, everywhere, 1.0, 0).detail_ratio() < 0.05
    slope = np.broadcast_to(np.linspace(0, 1, 70)[:, None, None], TARGET.shape)
    assert score_strip(slope, TARGET, everywhere, 1.0, 0).detail == pytest.approx(0, abs=1e-20)


def test_nothing_has_no_score():
    assert ImageScore().psnr(1.0) is None
    assert ImageScore().mean_ssim() is None
    assert ImageScore().detail_ratio() is None
    assert ImageScore().spectral_angle() is None


@pytest.mark.parametrize("spacing", [Fraction(5, 2), Fraction(5), Fraction(10)])
def test_area_mean_is_the_training_target(spacing):
    import jax.numpy as jnp

    from jointseg_jax.training.losses.basic import stage_targets

    valid = RNG.random((70, 60)) > 0.2
    ours, seen = area_mean(TARGET.astype(np.float32), valid, spacing)
    ((theirs, weight),) = stage_targets(
        jnp.asarray(TARGET[None], jnp.float32), jnp.asarray(valid[None, ..., None], jnp.float32), (spacing,)
    )
    np.testing.assert_allclose(ours, theirs[0], atol=1e-5)
    np.testing.assert_array_equal(seen, weight[0, ..., 0] > 0)
