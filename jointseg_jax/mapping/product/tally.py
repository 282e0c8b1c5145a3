"""Statistics of a map: of the stored values, and of owned, valid and impervious ground in pixels and square metres."""

import dataclasses

import numpy as np
from odc.geo.geobox import GeoBox

from jointseg_jax.geo.ellipsoid import PixelAreas
from jointseg_jax.rasters.lattice import Window, is_placed


@dataclasses.dataclass(frozen=True)
class BandStatistics:
    """Statistics of the values stored in one band, without nodata; None if all is nodata.

    Attributes:
        valid_share: of the raster's pixels.
    """

    minimum: float | None
    maximum: float | None
    mean: float | None
    stddev: float | None
    valid_share: float


class Sums:
    """Accumulates the sums behind `BandStatistics`."""

    def __init__(self, bands: int):
        self._valid = 0
        self._low, self._high = np.full(bands, np.inf), np.full(bands, -np.inf)
        self._sum, self._squares = np.zeros(bands), np.zeros(bands)

    def add(self, stored: np.ndarray, known: np.ndarray) -> None:
        """Adds values: stored [h, w, bands] or [h, w]; known: bool [h, w]."""
        values = stored.reshape(known.size, -1)[known.reshape(-1)].astype(np.float64)
        if len(values):
            self._valid += len(values)
            self._low, self._high = np.minimum(self._low, values.min(0)), np.maximum(self._high, values.max(0))
            self._sum, self._squares = self._sum + values.sum(0), self._squares + np.square(values).sum(0)

    def figures(self, pixels: int) -> tuple[BandStatistics, ...]:
        """The statistics of each band; `pixels` is the size of the raster."""
        share = self._valid / pixels
        if not self._valid:
            return (BandStatistics(None, None, None, None, share),) * len(self._sum)
        mean = self._sum / self._valid
        deviation = np.sqrt(np.maximum(self._squares / self._valid - mean**2, 0))
        bands = zip(self._low, self._high, mean, deviation, strict=True)
        return tuple(BandStatistics(float(a), float(b), float(c), float(d), share) for a, b, c, d in bands)


@dataclasses.dataclass(frozen=True)
class Ground:
    """Pixels of 1 m, and their geodesic area if the lattice has a place on the ellipsoid."""

    pixels: int
    square_metres: float | None


class Tally:
    """Accumulates owned, valid and impervious ground."""

    def __init__(self, lattice: GeoBox):
        """lattice: of 1 m; without a CRS that places it on the Earth (with `--keep-grid`), only pixels count."""
        self._areas = PixelAreas(lattice) if is_placed(lattice) else None
        self._pixels, self._metres = np.zeros(3, np.int64), np.zeros(3)

    def add(self, window: Window, owned: int, valid: int, impervious: int) -> None:
        """Adds the counts of a window of the lattice."""
        counts = np.array((owned, valid, impervious), np.int64)
        self._pixels += counts
        if self._areas is not None and owned:
            self._metres += counts * self._areas.pixel(window)

    def figures(self) -> tuple[Ground, Ground, Ground]:
        """The totals: owned, valid, impervious."""
        owned, valid, impervious = (
            Ground(int(pixels), None if self._areas is None else float(metres))
            for pixels, metres in zip(self._pixels, self._metres, strict=True)
        )
        return owned, valid, impervious
