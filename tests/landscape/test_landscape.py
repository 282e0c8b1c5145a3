"""The synthetic landscape: its contract, its plausibility, and its likeness to real scenes."""

from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import shapely
from rasterio.features import rasterize
from scipy import ndimage

from benchmarks.landscape import edge_density, luminance, rgb_of, spectrum_slope
from jointseg_jax.landscape import (
    BANDS,
    REGIONS,
    YEARS,
    LandCover,
    SyntheticScene,
    make_scene,
    radar,
)
from jointseg_jax.landscape.model import IMPERVIOUS

HEIGHT, WIDTH, YEAR = 480, 540, 2021
SEEDS = (1, pytest.param(2, marks=pytest.mark.slow))

# Impervious share of a region in 2021.
SHARES = {"upstream": (0.03, 0.08), "midstream": (0.12, 0.25), "downstream": (0.45, 0.65)}

# Ranges of real aerial and satellite imagery at about 1 m: the 5th to 95th percentile over the 229 crops of 480 x 480
# pixels, less than half of them water, of the seven scenes of "Semantic segmentation of aerial imagery" (Humans in the
# Loop and the Mohammed Bin Rashid Space Centre, CC0), measured with
# benchmarks/landscape.py.
REAL_SPECTRUM_SLOPE = (-2.66, -1.31)
REAL_EDGE_DENSITY = (0.081, 0.766)  # Sobel magnitude above 0.25 standard deviations per metre
REAL_STRONG_EDGE_DENSITY = (0.019, 0.374)  # above 0.5


@cache
def scene(region: str, year: int = YEAR, seed: int = 1) -> SyntheticScene:
    return make_scene(region, year=year, height=HEIGHT, width=WIDTH, seed=seed)


@cache
def small(region: str, year: int) -> SyntheticScene:
    return make_scene(region, year=year, height=120, width=180, seed=1)


def _band(image: np.ndarray, name: str) -> np.ndarray:
    return image[..., BANDS.index(name)]


def _ndvi(image: np.ndarray) -> np.ndarray:
    red, infrared = _band(image, "B04"), _band(image, "B08")
    return (infrared - red) / (infrared + red)


def _interior(mask: np.ndarray, margin: int = 3) -> np.ndarray:
    return ndimage.binary_erosion(mask, iterations=margin)


def _burn(shapes: list[shapely.Geometry], shape: tuple[int, int]) -> np.ndarray:
    shapes = [s for s in shapes if not s.is_empty]
    if not shapes:
        return np.zeros(shape, np.uint8)
    return rasterize([(s, 1) for s in shapes], out_shape=shape, all_touched=False, dtype="uint8")


@pytest.mark.parametrize("region", REGIONS)
def test_shapes_types_and_ranges(region: str) -> None:
    made = scene(region)
    assert made.reflectance.shape == (HEIGHT, WIDTH, len(BANDS))
    assert made.reflectance.dtype == np.float32
    assert made.reflectance.min() > 0.0
    assert made.reflectance.max() < 1.0
    assert made.label.shape == made.landcover.shape == (HEIGHT, WIDTH)
    assert made.label.dtype == made.landcover.dtype == np.uint8
    assert set(np.unique(made.label)) == {0, 1}
    assert set(np.unique(made.landcover)) <= {int(c) for c in LandCover}
    assert made.elevation.shape == (HEIGHT // 10, WIDTH // 10)
    assert made.backscatter.shape == (HEIGHT // 10, WIDTH // 10, 2)
    assert made.elevation.dtype == made.backscatter.dtype == np.float32
    for array in (made.reflectance, made.elevation, made.backscatter):
        assert np.isfinite(array).all()


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("size", [(60, 60), (300, 60)])
def test_any_size_that_is_a_multiple_of_sixty(region: str, size: tuple[int, int]) -> None:
    made = make_scene(region, year=2017, height=size[0], width=size[1], seed=5)
    assert made.reflectance.shape == (*size, 6)
    assert made.elevation.shape == (size[0] // 10, size[1] // 10)
    assert made.label.any()


@pytest.mark.parametrize("region", REGIONS)
def test_same_arguments_give_the_same_bits(region: str) -> None:
    first = small(region, 2019)
    second = make_scene(region, year=2019, height=120, width=180, seed=1)
    for name in ("reflectance", "label", "landcover", "elevation", "backscatter", "cloud", "cloud_shadow"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name), err_msg=name)
    assert first.features == second.features
    other = make_scene(region, year=2019, height=120, width=180, seed=4)
    assert not np.array_equal(first.label, other.label)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"region": "delta"}, "region 'delta' is unknown"),
        ({"year": 2018}, "year 2018 is unknown"),
        ({"height": 250}, "250 x 300"),
        ({"width": 0}, "240 x 0"),
        ({"height": -60}, "-60 x 300"),
        ({"seed": -1}, "seed -1 is negative"),
    ],
)
def test_wrong_arguments_are_refused(change: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {"region": "upstream", "year": 2021, "height": 240, "width": 300, "seed": 0} | change
    with pytest.raises(ValueError, match=message):
        make_scene(arguments.pop("region"), **arguments)


@pytest.mark.parametrize("region", REGIONS)
def test_label_is_the_rasterised_features(region: str) -> None:
    made = scene(region)
    shapes = [f.geometry.buffer(f.width / 2) if f.kind == "road" else f.geometry for f in made.features]
    np.testing.assert_array_equal(_burn(shapes, made.label.shape), made.label)
    assert np.array_equal(np.isin(made.landcover, IMPERVIOUS), made.label == 1)


@pytest.mark.parametrize("region", REGIONS)
def test_features_carry_what_their_kind_needs(region: str) -> None:
    for feature in scene(region).features:
        assert feature.name
        assert feature.year_built <= YEAR
        assert feature.geometry.is_valid
        if feature.kind == "road":
            assert feature.geometry.geom_type == "LineString"
            assert 2.0 < feature.width < 40.0
        else:
            assert feature.kind in ("building", "paved")
            assert feature.width == 0.0
            assert (feature.height > 0.0) == (feature.kind == "building")


@pytest.mark.parametrize("region", REGIONS)
def test_nothing_is_ever_demolished_and_the_land_stays(region: str) -> None:
    made = [small(region, year) for year in YEARS]
    assert made[0].label.any()
    for early, late in pairwise(made):
        assert (early.label <= late.label).all()
        assert early.features == tuple(f for f in late.features if f.year_built <= early.year)
        np.testing.assert_array_equal(early.elevation, late.elevation)
        assert not np.array_equal(early.reflectance, late.reflectance)
        water = early.landcover == LandCover.WATER
        assert (np.isin(late.landcover[water], [LandCover.WATER, *IMPERVIOUS])).mean() > 0.99


@pytest.mark.slow
def test_growth_is_rapid_upstream_moderate_midstream_small_downstream() -> None:
    growth = {}
    for region in REGIONS:
        shares = [
            np.mean([make_scene(region, year=y, height=HEIGHT, width=WIDTH, seed=s).label.mean() for s in (1, 2)])
            for y in (YEARS[0], YEARS[-1])
        ]
        growth[region] = (shares[1] - shares[0]) / shares[1]
    assert growth["upstream"] > 0.2
    assert growth["upstream"] > growth["midstream"] > growth["downstream"] >= 0.0
    assert growth["downstream"] < 0.08


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("region", REGIONS)
def test_impervious_share(region: str, seed: int) -> None:
    low, high = SHARES[region]
    assert low <= scene(region, seed=seed).label.mean() <= high


@pytest.mark.parametrize("region", REGIONS)
def test_buildings_keep_off_roads_and_water(region: str) -> None:
    made = scene(region)
    roads = [f.geometry.buffer(f.width / 2) for f in made.features if f.kind == "road"]
    buildings = [f.geometry for f in made.features if f.kind == "building"]
    assert len(buildings) > 10
    on_roads = shapely.union_all(roads).intersection(shapely.union_all(buildings)).area
    assert on_roads < 1e-3 * sum(b.area for b in buildings)
    first, second = shapely.STRtree(buildings).query(buildings, predicate="overlaps")
    shared = shapely.area(shapely.intersection(np.array(buildings)[first], np.array(buildings)[second]))
    assert (shared < 0.5).all()
    # The ground right around a building is not water, and no building shows the water's near-infrared darkness.
    ring = ndimage.binary_dilation(_burn(buildings, made.label.shape)) & (made.landcover == LandCover.WATER)
    assert ring.sum() < 0.002 * made.label.size


@pytest.mark.parametrize("region", REGIONS)
def test_roads_form_a_network_that_leads_out_of_the_scene(region: str) -> None:
    made = scene(region)
    sealed = ndimage.binary_dilation(made.label, iterations=1)
    parts, _ = ndimage.label(sealed, structure=np.ones((3, 3)))
    sizes = np.bincount(parts.ravel())[1:]
    largest = parts == 1 + int(np.argmax(sizes))
    roads = _burn([f.geometry.buffer(f.width / 2) for f in made.features if f.kind == "road"], made.label.shape) > 0
    assert (largest & roads).sum() > 0.8 * roads.sum()
    edges = [largest[0], largest[-1], largest[:, 0], largest[:, -1]]
    assert sum(bool(edge.any()) for edge in edges) >= 2


def test_roads_cross_the_river_on_bridges() -> None:
    made = scene("downstream")
    water = made.landcover == LandCover.WATER
    bridges = (made.landcover == LandCover.ROAD) & ndimage.binary_closing(water, iterations=18) & ~water
    assert bridges.sum() > 100


@pytest.mark.parametrize("region", REGIONS)
def test_vegetation_and_water_have_their_spectra(region: str) -> None:
    made = scene(region)
    ndvi = _ndvi(made.reflectance)
    water = _interior(made.landcover == LandCover.WATER)
    assert water.sum() > 200
    assert np.median(ndvi[water]) < 0.1
    assert np.median(_band(made.reflectance, "B08")[water]) < 0.06
    sealed = _interior(made.label == 1, 2)
    assert np.median(ndvi[sealed]) < 0.25
    if region == "upstream":
        forest = made.landcover == LandCover.FOREST
        assert np.median(ndvi[forest]) > 0.5
        assert np.median(_band(made.reflectance, "B11")[forest]) < np.median(_band(made.reflectance, "B08")[forest])


def test_pervious_and_impervious_ground_overlap_in_colour() -> None:
    made = scene("downstream")
    for name in ("B02", "B04", "B11"):
        band = _band(made.reflectance, name)
        low, high = np.percentile(band[made.label == 1], [5, 95])
        inside = band[made.label == 0]
        assert ((inside > low) & (inside < high)).mean() > 0.2


def test_tall_buildings_darken_the_ground_to_their_north_west() -> None:
    made = scene("downstream")
    tall = [f for f in made.features if f.kind == "building" and f.height > 15.0]
    assert tall
    ground = made.label.copy()
    ground[made.landcover == LandCover.BUILDING] = 2
    green = _band(made.reflectance, "B03")
    towards: list[np.ndarray] = []
    away: list[np.ndarray] = []
    for feature in tall:
        for values, sign in ((towards, 1), (away, -1)):
            step = sign * 0.35 * feature.height / np.sqrt(2)
            ring = shapely.transform(feature.geometry, lambda p, s=step: p + s).difference(feature.geometry.buffer(1.0))
            mask = _burn([ring], made.label.shape).astype(bool) & (made.landcover != LandCover.BUILDING)
            values.append(green[mask])
    assert np.median(np.concatenate(away)) < 0.75 * np.median(np.concatenate(towards))


def test_backscatter_orders_the_classes() -> None:
    levels = {}
    cover = np.zeros((600, 600), np.uint8)
    flat = np.zeros((60, 60), np.float32)
    for code in (LandCover.WATER, LandCover.CROP, LandCover.FOREST, LandCover.BUILDING):
        cover[:] = code
        height = np.full((600, 600), 18.0 if code is LandCover.BUILDING else 0.0, np.float32)
        levels[code] = radar.backscatter(np.random.default_rng(0), cover, height, flat).mean(axis=(0, 1))
    order = [levels[c] for c in (LandCover.WATER, LandCover.CROP, LandCover.FOREST, LandCover.BUILDING)]
    assert all((a < b).all() for a, b in pairwise(order))
    assert levels[LandCover.WATER] == pytest.approx([-21.2, -28.2], abs=1.5)
    made = scene("downstream")
    share = made.label.reshape(HEIGHT // 10, 10, WIDTH // 10, 10).mean(axis=(1, 3))
    assert (made.backscatter[..., 0] > made.backscatter[..., 1]).mean() > 0.9
    assert np.median(made.backscatter[share > 0.8, 0]) > np.median(made.backscatter[share < 0.1, 0]) + 2.0


def test_reflectance_is_free_of_clouds() -> None:
    made = make_scene("upstream", year=2017, height=60, width=60, seed=30)
    thick = made.cloud > 0.7
    assert thick.any(), "take the next seed whose scene is cloudy"
    assert np.median(_band(made.reflectance, "B02")[thick]) < 0.2


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("region", REGIONS)
def test_the_image_is_as_rough_as_real_ones(region: str, seed: int) -> None:
    bright = luminance(rgb_of(scene(region, seed=seed)))
    low, high = REAL_SPECTRUM_SLOPE
    assert low < spectrum_slope(bright) < high
    low, high = REAL_EDGE_DENSITY
    assert low < edge_density(bright, 0.25) < high
    low, high = REAL_STRONG_EDGE_DENSITY
    assert low < edge_density(bright, 0.5) < high


def test_another_weather_shows_the_same_ground_in_another_light() -> None:
    """What changes in such a pair of scenes is no change of the ground."""
    first, other = (make_scene("downstream", year=2021, height=120, width=180, seed=5, weather=w) for w in (2021, 7))
    np.testing.assert_array_equal(first.label, other.label)
    np.testing.assert_array_equal(first.landcover, other.landcover)
    assert np.abs(first.reflectance - other.reflectance).mean() > 0.001
    usual = make_scene("downstream", year=2021, height=120, width=180, seed=5)
    np.testing.assert_array_equal(usual.reflectance, first.reflectance)
