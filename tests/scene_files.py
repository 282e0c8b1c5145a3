"""Contracts of small networks, and rasters that meet or break them."""

import numpy as np

from jointseg_jax.rasters.contract import Contract, Modality, Statistics
from jointseg_jax.rasters.lattice import make_lattice
from jointseg_jax.rasters.writer import Layout, write_raster

_RNG = np.random.default_rng(0)


def statistics(mean, std, low, high, bands=3):
    """The same training statistics for every band."""
    return Statistics((mean,) * bands, (std,) * bands, (low,) * bands, (high,) * bands)


DISPLAY = Contract(
    (Modality("s2", ("R", "G", "B"), 10.0, "uint8", "display", 0.0, 1 / 255, 0.0, statistics(0.5, 0.2, 0.0, 1.0)),),
    ("R", "G", "B"),
)
REFLECTANCE = Contract(
    (
        Modality(
            "s2",
            ("B04", "B03", "B02"),
            10.0,
            "uint16",
            "reflectance",
            0.0,
            1e-4,
            -1000.0,
            statistics(0.12, 0.08, 0.0, 0.5),
        ),
    ),
    ("B04", "B03", "B02"),
)
SWIR = Modality("s2_20m", ("B11",), 20.0, "uint16", "reflectance", 0.0, 1e-4, -1000.0, statistics(0.2, 0.1, 0, 0.6, 1))
WITH_SWIR = REFLECTANCE.replace(modalities=(*REFLECTANCE.modalities, SWIR))
WITH_SAR = REFLECTANCE.replace(
    modalities=(
        *REFLECTANCE.modalities,
        Modality("s1", ("VV",), 10.0, "float32", "dB", None, 1, 0, statistics(-12, 4, -30, 5, 1)),
    )
)


def write_scene(
    path,
    *,
    dtype="uint16",
    low=1100,
    high=4000,
    names=("B02", "B03", "B04"),
    crs="EPSG:32650",
    spacing=10.0,
    size=(30, 40),
    corner=None,
    nodata=None,
    scale=None,
    offset=None,
    **tags,
):
    """Writes a raster of random numbers from `low` to `high`; tags are keyword arguments. The numbers [h, w, bands]."""
    values = _RNG.integers(low, high, (*size, len(names))).astype(dtype)
    left, top = corner or ((500_000, 3_400_000) if crs != "EPSG:4326" else (118.0, 31.0))
    lattice = make_lattice(crs, left, top, spacing, *size)
    layout = Layout(lattice, dtype, names, nodata, tags, scale=scale, offset=offset)
    write_raster(path, values, layout)
    return values
