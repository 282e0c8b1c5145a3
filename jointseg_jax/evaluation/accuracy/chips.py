"""Small pictures around the points of a sample: the super-resolved image, the 10 m input, and the user's imagery."""

import contextlib
import pathlib
from collections.abc import Iterator, Sequence

import numpy as np

from jointseg_jax.evaluation.accuracy.design import Row
from jointseg_jax.evaluation.accuracy.frame import Frame
from jointseg_jax.mapping.records.zone_mosaics import mosaic_path
from jointseg_jax.mapping.viewer.page_layers import by_name
from jointseg_jax.rasters.lattice import Window, make_lattice
from jointseg_jax.rasters.pictures.drawing import as_jpeg, stretch, stretch_limits
from jointseg_jax.rasters.raster_files import lattice_of
from jointseg_jax.rasters.reader import Handles
from jointseg_jax.rasters.warped import Warped, bounds_in

_PIXELS = 240  # on the side of a picture
_FOR_LIMITS = 60  # pictures whose values decide the stretch
AROUND = 5  # the input is shown over so many times the side, for context


class Source:
    """A kind of pictures: rasters of which the first with data at a point is shown.

    Attributes:
        title: of the pictures.
        side: metres on the ground.
    """

    def __init__(self, title: str, rasters: Sequence[tuple[pathlib.Path, tuple[int, ...]]], side: float):
        """rasters: paths with the one-based numbers of their red, green and blue bands."""
        self.title, self.side = title, side
        self._rasters = [(path, bands, lattice_of(path)) for path, bands in rasters]
        self._bounds: dict[tuple[int, int], tuple[float, float, float, float]] = {}
        self._handles = Handles(limit=8)
        self._seen: dict[str, tuple[np.ndarray, np.ndarray] | None] = {}
        self._limits: tuple[np.ndarray, np.ndarray] | None = None

    def prepare(self, rows: Sequence[Row]) -> None:
        """Finds one stretch for all pictures, from the first points with data."""
        pixels: list[np.ndarray] = []
        for row in rows:
            found = self._seen[row.id] = self._read(row)
            if found is not None:
                pixels.append(found[0][found[1]])
            if len(pixels) == _FOR_LIMITS:
                break
        if pixels:
            self._limits = stretch_limits(np.concatenate(pixels)[None])

    def picture(self, row: Row) -> bytes | None:
        """The picture around a point as JPEG; None where no raster has data."""
        found = self._seen.pop(row.id) if row.id in self._seen else self._read(row)
        if found is None or self._limits is None:
            return None
        return as_jpeg(stretch(found[0], self._limits, found[1]))

    def close(self) -> None:
        """Closes the rasters."""
        self._handles.close()

    def _read(self, row: Row) -> tuple[np.ndarray, np.ndarray] | None:
        """Values [h, w, 3] and where they are valid [h, w], the point in the middle."""
        spacing, half = self.side / _PIXELS, self.side / 2
        lattice = make_lattice(f"EPSG:{row.epsg}", row.x - half, row.y + half, spacing, _PIXELS, _PIXELS)
        for number, (path, bands, own) in enumerate(self._rasters):
            key = (number, row.epsg)
            if key not in self._bounds:
                self._bounds[key] = bounds_in(own, f"EPSG:{row.epsg}")
            left, bottom, right, top = self._bounds[key]
            if not (left <= row.x <= right and bottom <= row.y <= top):
                continue
            values, valid = Warped(self._handles.get(str(path)), lattice, picture=True).read(
                Window(0, 0, _PIXELS, _PIXELS), bands
            )
            valid &= np.isfinite(values).all(-1)
            if valid[_PIXELS // 2, _PIXELS // 2]:
                return np.where(valid[..., None], values, 0).astype(np.float64), valid
        return None


@contextlib.contextmanager
def sources(
    frame: Frame, inputs: Sequence[pathlib.Path], imagery: Sequence[pathlib.Path], side: float
) -> Iterator[list[Source]]:
    """Opens all kinds of pictures, the most detailed first.

    Raises:
        InputError: a raster cannot be read or has no bands to show.
    """

    def banded(paths: Sequence[pathlib.Path]) -> list[tuple[pathlib.Path, tuple[int, ...]]]:
        return [(path, by_name(path, print)) for path in paths]

    zones = sorted({t.epsg for t in frame.tiles})
    mosaics = [path for epsg in zones if (path := mosaic_path(frame.product, "image", epsg)).is_file()]
    found = [
        *(Source(path.stem, banded([path]), side) for path in imagery),
        *([Source("super-resolved, 1 m", banded(mosaics), side)] if mosaics else []),
        *([Source("input, 10 m", banded(inputs), AROUND * side)] if inputs else []),
    ]
    try:
        yield found
    finally:
        for source in found:
            source.close()
