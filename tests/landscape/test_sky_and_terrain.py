"""The parts that make a landscape's light, clouds, radar and relief, each by itself."""

import numpy as np
import pytest

from jointseg_jax.landscape import REGIONS, LandCover, noise, radar, sky, terrain


def test_shadows_fall_away_from_the_sun() -> None:
    sun = sky.Sun(azimuth=135.0, elevation=45.0)
    height = np.zeros((80, 80), np.float32)
    height[40:50, 40:50] = 10.0
    shadow = sky.shadows(height, sun) > 0.5
    assert shadow[36, 36]  # north-west of the block, up and to the left
    assert not shadow[53, 53]
    reach = np.hypot(40 - np.argwhere(shadow)[:, 0].min(), 40 - np.argwhere(shadow)[:, 1].min())
    assert reach == pytest.approx(10.0, abs=2.5)


def test_the_suns_place() -> None:
    for region in range(len(REGIONS)):
        for seed in range(20):
            sun = sky.sun_of(noise.stream(seed, region, "sun"), 2021)
            assert 115 < sun.azimuth < 160
            assert 35 < sun.elevation < 60


def test_speckle_has_the_looks_of_the_product() -> None:
    cover = np.full((1200, 1200), LandCover.CROP, np.uint8)
    height, flat = np.zeros((1200, 1200), np.float32), np.zeros((120, 120), np.float32)
    power = 10 ** (radar.backscatter(np.random.default_rng(1), cover, height, flat) / 10)
    # Adjacent cells share the slow drift of the ground, so their differences show the speckle alone.
    ratio = np.log(power[:, 1:] / power[:, :-1])
    assert 3.0 < 2.0 / ratio.var() < 6.0


def test_clouds_on_some_scenes_with_shadows_away_from_the_sun() -> None:
    sun = sky.Sun(azimuth=135.0, elevation=45.0)
    clear = 0
    offsets: list[list[int]] = []
    for seed in range(30):
        cloud, shadow = sky.clouds(np.random.default_rng(seed), (1200, 960), sun)
        assert cloud.shape == shadow.shape == (1200, 960)
        assert min(cloud.min(), shadow.min()) >= 0.0
        assert max(cloud.max(), shadow.max()) <= 1.0
        assert cloud.mean() <= 0.10
        if not cloud.any():
            clear += 1
            assert not shadow.any()
            continue
        coarse_cloud, coarse_shadow = cloud[::10, ::10], shadow[::10, ::10]
        padded = (2 * coarse_cloud.shape[0], 2 * coarse_cloud.shape[1])
        spectrum = np.fft.rfft2(coarse_shadow, padded) * np.conj(np.fft.rfft2(coarse_cloud, padded))
        peak = np.unravel_index(int(np.argmax(np.fft.irfft2(spectrum, s=padded))), padded)
        offsets.append([(p + n // 2) % n - n // 2 for p, n in zip(peak, padded, strict=True)])
    assert 10 < clear < 28
    away = np.array(offsets)
    # Shadows of some clouds fall outside of the scene, but where they match they lie up and to the left.
    assert (away < -8).all(axis=1).mean() > 0.7


def test_clouds_beside_a_small_scene_do_not_shade_all_of_it() -> None:
    sun = sky.Sun(azimuth=135.0, elevation=45.0)
    shaded = [(sky.clouds(np.random.default_rng(s), (240, 240), sun)[1] > 0.05).mean() for s in range(60)]
    assert 0.1 < max(shaded) < 0.35


def test_mountains_drain_to_the_river() -> None:
    channel = np.zeros((120, 120), bool)
    channel[60] = True
    relief = terrain.mountains(np.random.default_rng(2), channel, np.ones((120, 120)), np.full((120, 120), 100.0))
    assert relief.min() > 99.0
    assert relief[channel].mean() < relief[20:40].mean() - 40.0
    slope = np.hypot(*np.gradient(relief, terrain.CELL))
    assert np.percentile(slope, 99) < 1.2
