"""The map lies where the input lies, to a twentieth of a Sentinel-2 pixel: by phase correlation of the files."""

import numpy as np
import pytest
import rasterio
from rasterio.warp import Resampling, reproject
from skimage.registration import phase_cross_correlation

from jointseg_jax.mapping.predictor.predictor import Predictor
from jointseg_jax.mapping.product.write import write_product
from jointseg_jax.rasters.lattice import Window
from jointseg_jax.rasters.reader import Handles

LIMIT = 0.05  # Sentinel-2 pixels
EDGE = 4  # coarse pixels left out


def shift_of(path, band, scene, nudge=0.0):
    """Rows and columns, in coarse pixels, by which a raster file lies off the first modality of a scene.

    The file's own transform says where it lies; `nudge` moves it by so many metres in both directions.
    """
    height, width = scene.shape
    coarse = np.zeros((height, width), np.float32)
    with rasterio.open(path) as raster:
        stored = raster.read(band).astype(np.float32)
        transform = rasterio.Affine.translation(nudge, -nudge) * raster.transform
        reproject(
            stored, coarse, src_transform=transform, src_crs=raster.crs, dst_transform=scene.lattice.affine,
            dst_crs=raster.crs, resampling=Resampling.average,
        )  # fmt: skip
    values = scene.read(Window(0, 0, height, width), Handles())["s2"]["values"][0]
    inner = np.s_[EDGE:-EDGE, EDGE:-EDGE]
    mapped = coarse[inner]
    bands = [values[inner][..., i] for i in range(values.shape[-1])]
    likest = max(bands, key=lambda b: abs(np.corrcoef(b.ravel(), mapped.ravel())[0, 1]))
    window = np.outer(np.hanning(mapped.shape[0]), np.hanning(mapped.shape[1]))
    pair = [(x - x.mean()) / x.std() * window for x in (likest, mapped)]
    return -phase_cross_correlation(*pair, upsample_factor=200, normalization=None)[0]


def check(product, scene):
    for name in ("image", "probability"):
        found = shift_of(product.files[name], 1, scene)
        assert np.abs(found).max() < LIMIT, (name, found)
    # The estimate sees shifts that small: a file 1 m off.
    moved = shift_of(product.files["image"], 1, scene, nudge=1.0)
    assert np.abs(moved).min() > LIMIT
    assert np.abs(moved).max() == pytest.approx(0.1, abs=0.04)


def full(stored):
    """Without nodata, whose outline would fix the place by itself."""
    return np.maximum(stored, 1)


@pytest.mark.slow
def test_made_up_ground(seeing, picture, ground, tmp_path):
    scene = picture(full(ground(7, 64, 80)), "place")
    check(write_product(Predictor(seeing, 8, tile=16, augment=True), scene, tmp_path, {}, quick=False), scene)


@pytest.mark.slow
def test_real_scenes(seeing, picture, korea, tmp_path):
    scene = picture(full(korea[300:396, 100:196]), "place_korea")
    check(write_product(Predictor(seeing, 8, tile=32, augment=True), scene, tmp_path, {}, quick=False), scene)
