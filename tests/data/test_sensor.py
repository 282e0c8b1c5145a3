"""The simulated instrument has the transfer function, the sampling and the noise it claims."""

import numpy as np
import pytest

from jointseg_jax.data.sensor import (
    KERNELS,
    Sensor,
    SensorSpread,
    box_width,
    gaussian_sigma,
    to_display,
    to_linear,
)

pytestmark = pytest.mark.quick


def slanted_edge(height: int, width: int, slope: float) -> np.ndarray:
    """A vertical edge leaning by `slope`, with exact pixel coverage up to the small slope. [height, width, 1]"""
    rows = np.arange(height)[:, None] + 0.5
    edge = width / 2 + slope * (rows - height / 2)
    coverage = np.clip(np.arange(width)[None, :] + 1 - edge, 0, 1)
    return (0.1 + 0.4 * coverage)[..., None].astype(np.float32)


def measured_mtf(sensor: Sensor, factor: int) -> float:
    """MTF at Nyquist by the slanted-edge method (ISO 12233).

    Project rows onto the edge normal, differentiate, transform.
    """
    slope = 0.11
    image = slanted_edge(160 * factor, 64 * factor, slope)
    seen, _ = sensor.observe(image, np.ones(image.shape[:2], bool))
    seen = seen[20:-20, :, 0]
    rows = (np.arange(seen.shape[0]) + 20 + 0.5) * factor
    edge = (image.shape[1] / 2 + slope * (rows - image.shape[0] / 2)) / factor
    distance = (np.arange(seen.shape[1])[None, :] + 0.5 - edge[:, None]).ravel()
    oversampling = 8
    bins = np.round(distance * oversampling).astype(int)
    keep = np.abs(bins) <= 12 * oversampling
    index = bins[keep] + 12 * oversampling
    spread = np.bincount(index, seen.ravel()[keep]) / np.maximum(np.bincount(index), 1)
    line = np.diff(spread)
    transfer = np.abs(np.fft.rfft(line)) / np.abs(line.sum())
    frequency = np.fft.rfftfreq(len(line), 1 / oversampling)
    bin_box = np.sinc(0.5 / oversampling)
    return float(np.interp(0.5, frequency, transfer) / bin_box)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize(("mtf", "spacing"), [(0.2, 10), (0.26, 10), (0.38, 10), (0.22, 20)])
def test_slanted_edge_returns_the_system_mtf(mtf, spacing, kernel):
    sensor = Sensor((mtf,), (np.inf,), (0.3,), spacing=spacing, kernel=kernel)
    assert measured_mtf(sensor, spacing) == pytest.approx(mtf, abs=0.02)


def test_kernels_of_one_mtf_differ_in_shape():
    """The response to a point: the box ends at half its width and half a pixel, the Gaussian goes on."""
    point = np.zeros((110, 110, 1), np.float32)
    point[55, 55] = 1
    ones = np.ones((110, 110), bool)
    gaussian, box = (Sensor((0.26,), (np.inf,), (0.3,), kernel=k).observe(point, ones)[0][5, :, 0] for k in KERNELS)
    reach = (box_width(0.26, 10) + 10) / 2
    assert np.sinc(1 / 2) * np.sinc(box_width(0.26, 10) / 20) == pytest.approx(0.26)
    np.testing.assert_array_equal(box > 0, np.abs(np.arange(11) * 10 + 4.5 - 55) < reach)
    assert gaussian[7] > 0 == box[7]
    assert gaussian.sum() == pytest.approx(box.sum(), rel=0.1)


def test_sigma_of_the_literature():
    assert gaussian_sigma(0.25, 10) == pytest.approx(4.352, abs=0.002)
    with pytest.raises(ValueError, match=r"between 0 and 0\.637"):
        gaussian_sigma(0.7, 10)


def test_constant_stays_constant_up_to_the_edge():
    sensor = Sensor.sentinel2(("B02", "B04"))
    seen, valid = sensor.observe(np.full((60, 80, 2), 0.2, np.float32), np.ones((60, 80), bool))
    assert seen.shape == (6, 8, 2)
    assert valid.all()
    np.testing.assert_allclose(seen, 0.2, atol=1e-6)


def test_invalid_pixels_carry_no_weight():
    image = np.full((60, 60, 1), 0.3, np.float32)
    valid = np.ones((60, 60), bool)
    valid[:, 30:] = False
    image[:, 30:] = 99.0
    seen, seen_valid = Sensor((0.25,), (np.inf,), (0.3,)).observe(image, valid)
    assert seen_valid[:, :3].all()
    assert not seen_valid[:, 3:].any()
    np.testing.assert_allclose(seen[:, :3], 0.3, atol=1e-5)


def test_shift_moves_the_observation():
    rng = np.random.default_rng(0)
    image = np.repeat(np.repeat(rng.random((30, 30, 1), np.float32), 10, 0), 10, 1)
    still = Sensor((0.25,), (np.inf,), (0.3,))
    moved = Sensor((0.25,), (np.inf,), (0.3,), shift=(10.0, 0.0))
    ones = np.ones(image.shape[:2], bool)
    np.testing.assert_allclose(moved.observe(image, ones)[0][5:-6], still.observe(image, ones)[0][6:-5], atol=1e-5)


def test_a_larger_window_changes_nothing_beyond_the_margin():
    image = np.random.default_rng(1).random((200, 200, 1), np.float32)
    sensor = Sensor((0.25,), (np.inf,), (0.3,))
    whole, _ = sensor.observe(image, np.ones((200, 200), bool))
    coarse_margin = -(-sensor.margin // 10)
    part, _ = sensor.observe(image[50:150, 30:170], np.ones((100, 140), bool))
    inner = part[coarse_margin:-coarse_margin, coarse_margin:-coarse_margin]
    np.testing.assert_allclose(
        inner, whole[5:15, 3:17][coarse_margin:-coarse_margin, coarse_margin:-coarse_margin], atol=1e-5
    )


@pytest.mark.parametrize("band", ["B02", "B04", "B08"])
def test_noise_has_the_published_ratio_at_reference(band):
    sensor = Sensor.sentinel2((band,))
    image = np.full((1000, 1000, 1), sensor.reference[0], np.float32)
    seen, _ = sensor.observe(image, np.ones((1000, 1000), bool), rng=np.random.default_rng(0))
    assert sensor.reference[0] / seen.std() == pytest.approx(sensor.snr[0], rel=0.05)


@pytest.mark.parametrize("value", [0.03, 0.2, 0.8])
@pytest.mark.parametrize("display", [True, False])
def test_the_stated_noise_is_that_of_the_simulation(value, display):
    sensor = Sensor.display(("G",)) if display else Sensor.sentinel2(("B03",))
    image = np.full((1000, 1000, 1), value, np.float32)
    seen, _ = sensor.observe(image, np.ones((1000, 1000), bool), rng=np.random.default_rng(0))
    inner = seen[2:-2, 2:-2]
    assert inner.std() == pytest.approx(sensor.noise(inner).mean(), rel=0.05)


def test_display_blurs_linear_light():
    image = np.zeros((100, 100, 3), np.float32)
    image[:, ::2] = 1.0  # half the light, so the display value of one half and not the mean display value
    seen, _ = Sensor.display(("R", "G", "B")).observe(image, np.ones((100, 100), bool))
    np.testing.assert_allclose(seen[3:-3, 3:-3], to_display(np.float32(0.5)), atol=2e-3)


def test_display_encoding_is_invertible():
    values = np.linspace(0, 1, 256, dtype=np.float32)
    np.testing.assert_allclose(to_display(to_linear(values)), values, atol=1e-5)


def test_drawn_instruments_differ_and_repeat():
    nominal = Sensor.display(("R", "G", "B"))
    draw = [SensorSpread().draw(nominal, np.random.default_rng(s)) for s in (0, 1, 0)]
    assert draw[0] == draw[2] != draw[1]
    assert all(0.05 <= m <= 0.6 for d in draw for m in d.mtf)


def test_a_drawn_instrument_keeps_the_nominal_misregistration():
    still, moved = (Sensor((0.25,), (100.0,), (0.3,), shift=shift) for shift in ((0.0, 0.0), (0.0, 5.0)))
    first, second = (SensorSpread().draw(sensor, np.random.default_rng(0)) for sensor in (still, moved))
    assert np.subtract(second.shift, first.shift) == pytest.approx((0, 5))
