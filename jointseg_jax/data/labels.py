"""From vectors and land-cover codes to the label raster: 0 pervious, 1 impervious, 255 ignored."""

from collections.abc import Iterable, Mapping

import numpy as np
import shapely
from affine import Affine

from jointseg_jax.errors import InputError
from jointseg_jax.rasters.burn import burn


def map_classes(codes: np.ndarray, mapping: Mapping[int, int], where: str) -> np.ndarray:
    """Translates land-cover codes (any integers) to label values.

    Raises:
        InputError: a code is not in `mapping`; nothing is guessed.
    """
    present, inverse = np.unique(codes, return_inverse=True)
    unknown = [int(code) for code in present if int(code) not in mapping]
    if unknown:
        raise InputError(
            f"{where} holds land-cover codes {unknown} that label.classes does not map; add them (255 to ignore)"
        )
    return np.array([mapping[int(code)] for code in present], np.uint8)[inverse].reshape(codes.shape)


def rasterise(
    shapes: Iterable[tuple[shapely.Geometry, float]], transform: Affine, height: int, width: int
) -> np.ndarray:
    """Burns impervious vectors into a label, `[height, width]` uint8.

    A pixel is impervious where its centre lies in a polygon, or within half the width of a line.

    Args:
        shapes: geometry in the raster's CRS and, for lines, the full width in its units (0 for polygons).
        transform: of the raster.
        height: pixels.
        width: pixels.
    """
    areas = ((shapely.buffer(g, w / 2) if w > 0 else g, 1) for g, w in shapes)
    return burn(areas, np.zeros((height, width), np.uint8), transform)
