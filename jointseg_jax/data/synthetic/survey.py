"""A running account of a landscape under construction: how much is sealed, and where its roads lie."""

import numpy as np
import shapely
from affine import Affine

from jointseg_jax.data.synthetic.model import Landscape
from jointseg_jax.rasters.burn import burn

REFERENCE_YEAR = 2021  # the year that targets of the sealed share refer to


class Survey:
    """Follows a landscape; `refresh` takes in what has been added since the last time."""

    def __init__(self, land: Landscape):
        self._land = land
        self._seen = 0
        self._sealed = np.zeros(land.shape, np.uint8)
        self._sealed_pixels = 0
        self._roads: list[shapely.Geometry] = []
        self.refresh()

    def refresh(self) -> None:
        """Take in new features."""
        new = self._land.features[self._seen :]
        self._seen = len(self._land.features)
        areas = [f.area() for f in new]
        self._roads += [area for f, area in zip(new, areas, strict=True) if f.kind == "road"]
        shapes = [
            area for f, area in zip(new, areas, strict=True) if f.year_built <= REFERENCE_YEAR and not area.is_empty
        ]
        if shapes:
            x0, y0, x1, y1 = shapely.total_bounds(np.array(shapes, object))
            window = self._sealed[max(0, int(y0)) : max(0, int(y1) + 1), max(0, int(x0)) : max(0, int(x1) + 1)]
            if window.size:
                part = np.zeros(window.shape, np.uint8)
                burn([(shape, 1) for shape in shapes], part, Affine.translation(max(0, int(x0)), max(0, int(y0))))
                self._sealed_pixels += int(np.count_nonzero(part & ~window & 1))
                window |= part

    def share(self) -> float:
        """Return the share of the scene that is sealed in the reference year."""
        self.refresh()
        return self._sealed_pixels / self._sealed.size

    def roads(self) -> list[shapely.Geometry]:
        """Return the surfaces of all roads."""
        self.refresh()
        return list(self._roads)

    def taken(self, others: list[shapely.Geometry]) -> tuple[shapely.STRtree, np.ndarray]:
        """Return what cannot be built on, roads and `others`, with a spatial index of it."""
        self.refresh()
        areas = np.array([*self._roads, *others], object)
        return shapely.STRtree(areas), areas
