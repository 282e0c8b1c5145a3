"""Pictures and rasters of where a map and another product differ."""

import pathlib
from collections.abc import Iterable
from contextlib import AbstractContextManager

import numpy as np
from odc.geo.geobox import GeoBox

from jointseg_jax.evaluation.panels import FALSE_COLOUR, FOUND_COLOUR, MISSED_COLOUR
from jointseg_jax.evaluation.products.agreement import BOTH, NEITHER, ONLY_MAP, ONLY_PRODUCT
from jointseg_jax.geo.place import in_degrees
from jointseg_jax.rasters.contract import IGNORE
from jointseg_jax.rasters.lattice import Window, crs_name, spacing_of
from jointseg_jax.rasters.pictures import drawing
from jointseg_jax.rasters.writer import Layout, RasterWriter, cog_writer

_LONGEST = 1200  # pixels on the longer side of a picture
_COLOURS = {
    NEITHER: drawing.PERVIOUS_COLOUR,
    BOTH: FOUND_COLOUR,
    ONLY_MAP: FALSE_COLOUR,
    ONLY_PRODUCT: MISSED_COLOUR,
    IGNORE: drawing.NODATA_COLOUR,
}


class Picture:
    """A picture of a map in one zone; colours of pixels that are drawn as one are averaged."""

    def __init__(self, lattices: Iterable[GeoBox]):
        """`lattices`: of the map's rasters, all in one CRS."""
        lattices = list(lattices)
        boxes = np.array([lattice.boundingbox.bbox for lattice in lattices])
        self._left, self._top = float(boxes[:, 0].min()), float(boxes[:, 3].max())
        extent = float(boxes[:, 2].max()) - self._left, self._top - float(boxes[:, 1].min())
        self.step = max(spacing_of(lattices[0]), max(extent) / _LONGEST)
        self.crs = crs_name(lattices[0])
        width, height = (max(1, int(np.ceil(side / self.step - 1e-6))) for side in extent)
        self._counts = np.zeros((len(_COLOURS), height, width), np.float32)

    def add(self, lattice: GeoBox, window: Window, code: np.ndarray) -> None:
        """Adds a window of codes, see `agreement.differences`."""
        spacing = spacing_of(lattice)
        y = lattice.affine.f - (window.row + np.arange(window.height) + 0.5) * spacing
        x = lattice.affine.c + (window.col + np.arange(window.width) + 0.5) * spacing
        (rows, at_rows), (cols, at_cols) = (
            np.unique((distance / self.step).astype(int), return_index=True)
            for distance in (self._top - y, x - self._left)
        )
        for number, value in enumerate(_COLOURS):
            counts = np.add.reduceat((code == value).astype(np.float32), at_rows, 0)
            self._counts[number][np.ix_(rows, cols)] += np.add.reduceat(counts, at_cols, 1)

    def save(self, path: pathlib.Path, head: str, theirs: str) -> None:
        """Draws it with a headline and a legend; `theirs` names the product."""
        total = self._counts.sum(0)
        colours = np.array(list(_COLOURS.values()), np.float32)
        rgb = np.einsum("khw,kc->hwc", self._counts, colours) / np.maximum(total, 1)[..., None]
        rgb = np.where(total[..., None] > 0, np.round(rgb), 255).astype(np.uint8)
        meanings = {NEITHER: "neither", BOTH: "both", ONLY_MAP: "only the map", ONLY_PRODUCT: f"only {theirs}",
                    IGNORE: "unknown"}  # fmt: skip
        legend = [(colour, meanings[code]) for code, colour in _COLOURS.items()]
        height, width = total.shape
        place = in_degrees(self.crs, self._left + width * self.step / 2, self._top - height * self.step / 2)
        words = ", ".join(part for part in (head, place, f"{self.step:.3g} m per pixel") if part)
        drawing.save_png(path, drawing.framed(rgb, words, legend, self.step))


def difference_writer(path: pathlib.Path, lattice: GeoBox, title: str) -> AbstractContextManager[RasterWriter]:
    """A writer of the codes of a difference on the map's lattice, as a cloud-optimised GeoTIFF."""
    colormap = {code: (*colour, 255) for code, colour in _COLOURS.items() if code != IGNORE}
    colormap[IGNORE] = (0, 0, 0, 0)
    tags = {"0": "neither", "1": "both", "2": "only the map", "3": f"only {title}"}
    layout = Layout(lattice, "uint8", ("difference",), IGNORE, tags, colormap=colormap)
    return cog_writer(path, layout, overviews="mode")
