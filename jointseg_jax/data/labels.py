"""From vectors and land-cover codes to the label raster: 0 pervious, 1 impervious, 255 ignored."""

from collections.abc import Iterable, Mapping

import numpy as np
import rasterio.features
import shapely
from affine import Affine

from jointseg_jax.errors import InputError
from jointseg_jax.rasters.contract import IGNORE


def map_classes(codes: np.ndarray, mapping: Mapping[int, int], where: str) -> np.ndarray:
    """Translates land-cover codes (uint8) to label values.

    Raises:
        InputError: a code is not in `mapping`; nothing is guessed.
    """
    table = np.full(256, -1, np.int16)
    for code, value in mapping.items():
        table[code] = value
    labels = table[codes]
    if (labels < 0).any():
        unknown = sorted(np.unique(codes[labels < 0]).tolist())
        raise InputError(
            f"{where} holds land-cover codes {unknown} that label.classes does not map; add them (255 to ignore)"
        )
    return labels.astype(np.uint8)


def rasterise(
    shapes: Iterable[tuple[shapely.Geometry, float]],
    transform: Affine,
    height: int,
    width: int,
    unknown: Iterable[shapely.Geometry] = (),
) -> np.ndarray:
    """Burns impervious vectors into a label, `[height, width]` uint8.

    A pixel is impervious where its centre lies in a polygon, or within half the width of a line.

    Args:
        shapes: geometry in the raster's CRS and, for lines, the full width in its units (0 for polygons).
        transform: of the raster.
        height: pixels.
        width: pixels.
        unknown: polygons to ignore (255), over everything else.
    """
    polygons = [shapely.buffer(g, w / 2) if w > 0 else g for g, w in shapes]
    label = np.zeros((height, width), np.uint8)
    for value, geometries in ((1, polygons), (IGNORE, list(unknown))):
        burn = [g for g in geometries if not g.is_empty]
        if burn:
            rasterio.features.rasterize(burn, out=label, transform=transform, default_value=value)
    return label
