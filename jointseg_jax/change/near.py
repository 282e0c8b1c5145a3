"""Finds which of many rectangles a rectangle overlaps."""

from collections.abc import Sequence

import numpy as np

Bounds = tuple[float, float, float, float]


class Near:
    """Rectangles of whole metres in zones of UTM, searched all at once."""

    def __init__(self, rectangles: Sequence[tuple[int, Bounds]]):
        """rectangles: EPSG code of the zone, and west, south, east, north of each."""
        self._at = np.array([(epsg, *bounds) for epsg, bounds in rectangles], float).reshape(-1, 5)

    def of(self, epsg: int, bounds: Bounds) -> list[int]:
        """Indexes of those that share ground with a rectangle."""
        at, (west, south, east, north) = self._at, bounds
        hit = (at[:, 0] == epsg) & (at[:, 1] < east) & (at[:, 3] > west) & (at[:, 2] < north) & (at[:, 4] > south)
        return np.flatnonzero(hit).tolist()
