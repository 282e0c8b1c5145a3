"""Rasterises vectors."""

from collections.abc import Iterable

import numpy as np
import rasterio.features
import shapely
from affine import Affine
from rasterio.enums import MergeAlg

IDENTITY = Affine.identity()


def burn(
    shapes: Iterable[tuple[shapely.Geometry | dict, float]],
    out: np.ndarray,
    transform: Affine = IDENTITY,
    *,
    add: bool = False,
) -> np.ndarray:
    """Writes values into `out`, in place, where a pixel's centre lies in a geometry.

    Args:
        shapes: geometry (or GeoJSON dict) and value; empty geometries are skipped, later ones win.
        out: [height, width].
        transform: from pixels of `out` to the coordinates of the geometries.
        add: sum the values instead.

    Returns:
        `out`.
    """
    present = [(geometry, value) for geometry, value in shapes if isinstance(geometry, dict) or not geometry.is_empty]
    if present:
        merge = MergeAlg.add if add else MergeAlg.replace
        rasterio.features.rasterize(present, out=out, transform=transform, merge_alg=merge, skip_invalid=False)
    return out
